//! Tasks: creating, reading and changing them over HTTP.

use std::cmp::Reverse;

use agentcafe_testkit::{Answer, Client, Method, Value, fresh_key, json};

use crate::{UNKNOWN_ID, cafe, log, merged};

/// Creates a task as Nova, unless the fields name another actor.
pub(crate) async fn create(client: &Client, fields: Value) -> Value {
    let body = merged(json!({"actorId": "Nova", "title": "Sweep"}), &fields);
    let answer = client.act("/v1/tasks", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.data()["task"].clone()
}

/// Sends a patch.
pub(crate) async fn change(client: &Client, path: &str, body: Value) -> Answer {
    client.request(Method::PATCH, path).key(&fresh_key()).json(&body).send().await
}

/// The titles of the wanted `records`, in the order of lists: newest change first, by `id` if equal.
pub(crate) fn newest_first(records: &[Value], id: &str, wanted: &[&str]) -> Vec<Value> {
    let is_wanted = |record: &&Value| wanted.iter().any(|title| record["title"] == *title);
    let mut found: Vec<&Value> = records.iter().filter(is_wanted).collect();
    assert_eq!(found.len(), wanted.len());
    let text = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
    found.sort_by_key(|record| (Reverse(text(record, "updatedAt")), text(record, id)));
    found.into_iter().map(|record| record["title"].clone()).collect()
}

fn path_of(task: &Value) -> String {
    format!("/v1/tasks/{}", task["taskId"].as_str().expect("an id"))
}

/// A list of records that have titles: its path, the member of the response, and the member that is a record's id.
pub(crate) struct List {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
    pub(crate) id: &'static str,
}

impl List {
    /// Checks which titles each query returns, in their order.
    pub(crate) async fn assert_filters(
        &self,
        client: &Client,
        records: &[Value],
        cases: &[(&str, Vec<&str>)],
    ) {
        for (query, want) in cases {
            let data = client.get(&format!("{}?{query}", self.path)).await.data().clone();
            let found = data[self.name].as_array().expect("a list");
            let titles: Vec<Value> = found.iter().map(|record| record["title"].clone()).collect();
            assert_eq!(titles, newest_first(records, self.id, want), "{query}");
            assert_eq!(data["count"], want.len(), "{query}");
        }
    }

    /// Checks that pages of one record return these titles, then an empty page.
    pub(crate) async fn assert_pages(&self, client: &Client, records: &[Value], titles: &[&str]) {
        let mut cursor = String::new();
        for want in newest_first(records, self.id, titles) {
            let page = client.get(&format!("{}?limit=1{cursor}", self.path)).await.data().clone();
            assert_eq!(page[self.name][0]["title"], want);
            cursor = format!("&cursor={}", page["nextCursor"].as_str().expect("a cursor"));
        }
        let end = client.get(&format!("{}?limit=1{cursor}", self.path)).await;
        assert_eq!(end.data(), &json!({self.name: [], "count": 0, "nextCursor": null}));
    }

    /// Checks the error of each invalid query: its code and field.
    pub(crate) async fn assert_errors(&self, client: &Client, cases: &[(&str, &str, &str)]) {
        for (query, code, field) in cases {
            let answer = client.get(&format!("{}?{query}", self.path)).await;
            assert_eq!(answer.error(400, code)["field"], *field);
        }
    }
}

#[tokio::test]
async fn task_create_returns_appends_and_notifies_the_assignee() {
    let (_server, client) = cafe().await;
    let body = json!({"actorId": "Nova", "roomId": "attic", "title": " Sweep ", "description": " All of it. ",
        "assigneeActorId": "Kai", "progress": 10, "metadata": {"colour": "red"}, "correlationId": "c-1"});
    let answer = client.act("/v1/tasks", body).await;
    assert_eq!(answer.status, 201);
    let data = answer.data();
    let task = &data["task"];
    assert_eq!(task["taskId"].as_str().unwrap().len(), 36);
    let want = json!({"taskId": task["taskId"], "tenantId": "default", "roomId": "attic", "title": "Sweep",
        "description": " All of it. ", "state": "active", "createdBy": "Nova", "assigneeActorId": "Kai", "progress": 10,
        "metadata": {"colour": "red"}, "createdAt": task["createdAt"], "updatedAt": task["createdAt"],
        "completedAt": null, "completedBy": null});
    assert_eq!((task, &data["correlationId"]), (&want, &json!("c-1")));
    let events = log(&client).await;
    let [created, assigned] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&created["type"], &created["causationId"]), (&json!("task_created"), &json!(null)));
    assert_eq!(
        created["payload"],
        json!({"taskId": task["taskId"], "title": "Sweep", "state": "active", "assigneeActorId": "Kai", "progress": 10,
            "createdBy": "Nova"})
    );
    assert_eq!((&assigned["type"], &assigned["causationId"]), (&json!("task_assigned"), &created["eventId"]));
    assert_eq!(
        assigned["payload"],
        json!({"taskId": task["taskId"], "fromAssigneeActorId": null, "toAssigneeActorId": "Kai", "assignedBy": "Nova"})
    );
    for (event, summary) in events.iter().zip(data["emittedEvents"].as_array().unwrap()) {
        let emitted =
            json!({"eventId": event["eventId"], "sequence": event["sequence"], "eventType": event["type"]});
        assert_eq!(summary, &emitted);
        assert_eq!((&event["roomId"], &event["correlationId"]), (&json!("attic"), &json!("c-1")));
    }
    assert_eq!(client.get(&path_of(task)).await.data(), &json!({"task": want}));
    let inbox = client.get("/v1/inbox?actorId=Kai").await;
    let item = &inbox.data()["items"][0];
    assert_eq!((&item["topic"], &item["sourceEventId"]), (&json!("task"), &assigned["eventId"]));
    assert_eq!(item["payload"]["taskId"], task["taskId"]);
    let trace = client.get("/v1/traces/c-1").await;
    assert_eq!(
        (&trace.data()["trace"]["status"], &trace.data()["trace"]["roomId"]),
        (&json!("success"), &json!("attic"))
    );
}

/// In the task's own room, whatever room the body names.
#[tokio::test]
async fn task_patch_changes_named_fields() {
    let (_server, client) = cafe().await;
    let client = client.lenient();
    let task = create(&client, json!({"roomId": "attic", "description": "d", "metadata": {"a": 1}})).await;
    let body = json!({"actorId": "Kai", "roomId": "cellar", "title": "Mop", "state": "done", "assigneeActorId": "Bo"});
    let answer = change(&client, &path_of(&task), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let changed = &answer.data()["task"];
    let events = log(&client).await.split_off(1);
    let types: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["task_updated", "task_assigned", "task_progress_updated", "task_completed"]);
    assert!(events.iter().all(|event| event["roomId"] == "attic" && event["actorId"] == "Kai"));
    assert!(events[1..].iter().all(|event| event["causationId"] == events[0]["eventId"]));
    let id = &task["taskId"];
    let payloads: Vec<&Value> = events.iter().map(|event| &event["payload"]).collect();
    let changed_fields = json!(["title", "state", "assigneeActorId", "progress"]);
    assert_eq!(
        payloads,
        [
            &json!({"taskId": id, "changedFields": changed_fields, "state": "done", "assigneeActorId": "Bo", "progress": 100}),
            &json!({"taskId": id, "fromAssigneeActorId": null, "toAssigneeActorId": "Bo", "assignedBy": "Kai"}),
            &json!({"taskId": id, "fromProgress": 0, "toProgress": 100}),
            &json!({"taskId": id, "completedBy": "Kai", "completedAt": changed["completedAt"], "progress": 100}),
        ]
    );
    let mut want = task.clone();
    for (name, value) in
        [("title", "Mop"), ("state", "done"), ("assigneeActorId", "Bo"), ("completedBy", "Kai")]
    {
        want[name] = json!(value);
    }
    want["progress"] = json!(100);
    want["completedAt"] = changed["updatedAt"].clone();
    want["updatedAt"] = changed["updatedAt"].clone();
    assert_eq!(changed, &want);
    assert_eq!(client.get(&path_of(&task)).await.data()["task"], want);
    assert_eq!(answer.data()["emittedEvents"].as_array().unwrap().len(), 4);
}

/// Tasks of other tenants are not listed.
#[tokio::test]
async fn tasks_are_filtered_and_paged_newest_change_first() {
    let (_server, client) = cafe().await;
    let mut tasks = Vec::new();
    for fields in [
        json!({"title": "a", "assigneeActorId": "Kai"}),
        json!({"title": "b", "roomId": "attic"}),
        json!({"title": "c", "actorId": "Zoe", "state": "done"}),
        json!({"title": "d", "tenantId": "acme"}),
    ] {
        tasks.push(create(&client, fields).await);
    }
    let later = change(&client, &path_of(&tasks[0]), json!({"actorId": "Bo", "progress": 5})).await;
    tasks[0] = later.data()["task"].clone();
    let cases = [
        ("", vec!["a", "c", "b"]),
        ("roomId=main", vec!["a", "c"]),
        ("roomId=attic", vec!["b"]),
        ("state=done", vec!["c"]),
        ("state=+Active+&roomId=main", vec!["a"]),
        ("assigneeActorId=Kai", vec!["a"]),
        ("createdBy=Zoe", vec!["c"]),
        ("createdBy=Nova&state=open", vec!["b"]),
        ("tenantId=acme", vec!["d"]),
        ("roomId=nowhere", vec![]),
        ("limit=0", vec!["a"]),
    ];
    let list = List { path: "/v1/tasks", name: "tasks", id: "taskId" };
    list.assert_filters(&client, &tasks, &cases).await;
    list.assert_pages(&client, &tasks, &["a", "c", "b"]).await;
    let errors = [
        ("state=lost", "ERR_INVALID_ENUM", "state"),
        ("limit=x", "ERR_VALIDATION", "limit"),
        ("cursor=x", "ERR_VALIDATION", "cursor"),
        ("createdBy=%01", "ERR_VALIDATION", "createdBy"),
    ];
    list.assert_errors(&client, &errors).await;
}

/// The ids of the caller are checked first.
#[tokio::test]
async fn task_of_an_unknown_id_or_another_tenant_is_404() {
    let (_server, client) = cafe().await;
    let task = create(&client, json!({"tenantId": "acme"})).await;
    let id = task["taskId"].as_str().unwrap();
    let handoff = json!({"actorId": "Nova", "action": "accept"});
    for (id, tenant) in [(UNKNOWN_ID, "default"), ("42", "default"), (id, "default"), (UNKNOWN_ID, "acme")] {
        let path = format!("/v1/tasks/{id}");
        let tenant_too = format!("?tenantId={tenant}");
        let answers = [
            client.get(&format!("{path}{tenant_too}")).await,
            client.get(&format!("{path}/handoffs{tenant_too}")).await,
            change(&client, &format!("{path}{tenant_too}"), json!({"actorId": "Nova", "title": 5})).await,
            client.act(&format!("{path}/handoffs{tenant_too}"), handoff.clone()).await,
        ];
        for answer in answers {
            let details = answer.error(404, "ERR_NOT_FOUND");
            assert_eq!(details, &json!({"tenantId": tenant, "taskId": id}));
        }
        let anonymous = change(&client, &path, json!({"title": "Mop"})).await;
        assert_eq!(anonymous.error(400, "ERR_MISSING_FIELD")["field"], "actorId");
    }
    assert_eq!(client.get(&format!("/v1/tasks/{id}?tenantId=acme")).await.data()["task"], task);
    let path = format!("/v1/tasks/{id}?tenantId=acme");
    let by_query = change(&client, &path, json!({"actorId": "Kai", "title": "Mop"})).await;
    assert_eq!(by_query.data()["task"]["title"], "Mop");
    let by_body = json!({"actorId": "Kai", "title": "Dust", "tenantId": "acme"});
    assert_eq!(
        change(&client, &format!("/v1/tasks/{id}?tenantId=other"), by_body).await.data()["task"]["title"],
        "Dust"
    );
}

/// A refused mutation has no effect.
#[tokio::test]
async fn task_errors_have_code_field_and_correlation_id() {
    let (_server, client) = cafe().await;
    let task = create(&client, json!({})).await;
    let answer = client.act("/v1/tasks", json!({"actorId": "Nova", "title": "t", "progress": "much"})).await;
    let want = json!({"field": "progress", "min": 0, "max": 100, "value": "much",
        "correlationId": answer.header("x-correlation-id")});
    assert_eq!(answer.error(400, "ERR_OUT_OF_BOUNDS"), &want);
    let answer = change(&client, &path_of(&task), json!({"actorId": "Nova", "correlationId": "c-2"})).await;
    let six = json!(["title", "description", "state", "assigneeActorId", "progress", "metadata"]);
    assert_eq!(answer.error(400, "ERR_VALIDATION"), &json!({"fields": six, "correlationId": "c-2"}));
    assert_eq!(client.get("/v1/traces/c-2").await.data()["trace"]["status"], "error");
    let no_key =
        client.request(Method::PATCH, &path_of(&task)).json(&json!({"actorId": "Nova", "title": "t"}));
    let _ = no_key.send().await.error(400, "ERR_IDEMPOTENCY_KEY_REQUIRED");
    assert_eq!(log(&client).await.len(), 1);
}

/// Also after a restart.
#[tokio::test]
async fn task_mutation_takes_effect_once_per_key() {
    let (mut server, client) = cafe().await;
    let body = json!({"actorId": "Nova", "title": "Sweep"});
    let first = client.post("/v1/tasks", "k", body.clone()).await;
    let path = path_of(&first.data()["task"]);
    let patch =
        |client: &Client, body: Value| client.request(Method::PATCH, &path).key("k").json(&body).send();
    let mop = json!({"actorId": "Kai", "title": "Mop"});
    let changed = patch(&client, mop.clone()).await;
    assert_eq!(changed.status, 200, "another scope: {}", changed.text);
    let conflict = patch(&client, json!({"actorId": "Kai", "title": "Dust"})).await;
    let id = first.data()["task"]["taskId"].as_str().unwrap();
    let scope = format!("default:main:tasks:{id}:patch");
    assert_eq!(conflict.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT")["scope"], scope);
    server.kill();
    server.restart().await;
    let client = server.client();
    for (again, answer) in
        [(client.post("/v1/tasks", "k", body).await, first), (patch(&client, mop).await, changed)]
    {
        assert_eq!((again.status, &again.text), (answer.status, &answer.text));
        assert_eq!(again.header("x-idempotent-replay"), Some("true"));
    }
    assert_eq!(client.get(&path).await.data()["task"]["title"], "Mop");
    assert_eq!(client.get("/v1/tasks").await.data()["count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_patches_at_the_same_time_are_all_kept() {
    let (_server, client) = cafe().await;
    let task = create(&client, json!({})).await;
    let fields = [
        ("title", json!("Mop")),
        ("description", json!("d")),
        ("progress", json!(7)),
        ("metadata", json!({"a": 1})),
    ];
    let patches = fields.clone().map(|(name, value)| {
        let (client, path) = (client.clone(), path_of(&task));
        tokio::spawn(
            async move { change(&client, &path, json!({"actorId": "Kai", name: value})).await.status },
        )
    });
    for patch in patches {
        assert_eq!(patch.await.unwrap(), 200);
    }
    let kept = client.get(&path_of(&task)).await.data()["task"].clone();
    for (name, value) in fields {
        assert_eq!(kept[name], value, "{name}");
    }
}
