//! Handoffs of tasks: who may assign, accept, block and finish, the inbox items, and the list of handoffs.

use agentcafe_testkit::{Answer, Client, Value, json};

use crate::tasks::create;
use crate::{cafe, log};

async fn hand_over(client: &Client, task: &Value, body: Value) -> Answer {
    client.act(&path_of(task), body).await
}

fn path_of(task: &Value) -> String {
    format!("/v1/tasks/{}/handoffs", task["taskId"].as_str().expect("an id"))
}

async fn inbox(client: &Client, actor: &str) -> Vec<Value> {
    let found = client.get(&format!("/v1/inbox?actorId={actor}")).await;
    found.data()["items"].as_array().cloned().unwrap_or_default()
}

/// Each event names its cause; the task keeps the newest handoff as `metadata.handoff`.
#[tokio::test]
async fn handoff_appends_events_and_an_inbox_item_per_target() {
    let (_server, client) = cafe().await;
    let task =
        create(&client, json!({"roomId": "attic", "assigneeActorId": "Kai", "metadata": {"a": 1}})).await;
    let body = json!({"actorId": "Kai", "action": "assign", "toAssigneeActorId": "Zoe", "note": "Mind the corners.",
        "threadId": "t", "replyToEventId": "e", "metadata": {"b": 2}, "correlationId": "c-1"});
    let answer = hand_over(&client, &task, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let data = answer.data();
    let events = log(&client).await.split_off(2);
    let types: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["task_updated", "task_assigned", "task_handoff"]);
    assert!(events[1..].iter().all(|event| event["causationId"] == events[0]["eventId"]));
    assert!(events.iter().all(|event| event["correlationId"] == "c-1" && event["roomId"] == "attic"));
    assert_eq!(events[0]["payload"]["changedFields"], json!(["assigneeActorId", "metadata"]));
    let handoff = &data["handoff"];
    let at = &data["task"]["updatedAt"];
    let want = json!({"handoffId": handoff["handoffId"], "taskId": task["taskId"], "action": "assign",
        "fromAssigneeActorId": "Kai", "toAssigneeActorId": "Zoe", "initiatedBy": "Kai", "ownerActorId": "Zoe",
        "state": "active", "progress": 0, "note": "Mind the corners.", "blockedReason": null, "threadId": "t",
        "replyToEventId": "e", "metadata": {"b": 2}, "targetActorIds": ["Nova", "Zoe"], "at": at});
    assert_eq!((handoff, &events[2]["payload"]), (&want, &want));
    assert_eq!(handoff["handoffId"].as_str().unwrap().len(), 36);
    let kept = json!({"a": 1, "handoff": {"action": "assign", "by": "Kai", "at": at, "fromAssigneeActorId": "Kai",
        "toAssigneeActorId": "Zoe", "note": "Mind the corners.", "blockedReason": null, "threadId": "t",
        "replyToEventId": "e"}});
    assert_eq!((&data["task"]["metadata"], &data["task"]["assigneeActorId"]), (&kept, &json!("Zoe")));
    assert_eq!(data["emittedEvents"].as_array().unwrap().len(), 3);
    assert_eq!(data["correlationId"], "c-1");
    let [item] = inbox(&client, "Nova").await.try_into().unwrap();
    assert_eq!((&item["sourceEventId"], &item["topic"]), (&events[2]["eventId"], &json!("task")));
    let payload = json!({"topic": "task", "taskId": task["taskId"], "action": "assign", "note": "Mind the corners.",
        "blockedReason": null, "initiatedBy": "Kai"});
    assert_eq!(item["payload"], payload);
    let [item] = inbox(&client, "Zoe").await.try_into().unwrap();
    assert_eq!(item["sourceEventType"], "task_assigned", "the assignee gets one item");
    assert_eq!(
        inbox(&client, "Kai").await.len(),
        1,
        "the item of the first assignment, none of its own handoff"
    );
}

/// A handoff of a done task is `409 ERR_CONFLICT`.
#[tokio::test]
async fn handoff_is_possible_until_the_task_is_done() {
    let (_server, client) = cafe().await;
    let task = create(&client, json!({})).await;
    let steps = [
        (json!({"actorId": "Kai", "action": "accept"}), json!(["active", "Kai", 0])),
        (
            json!({"actorId": "Kai", "action": "blocked", "blockedReason": "No broom."}),
            json!(["active", "Kai", 0]),
        ),
        (
            json!({"actorId": "Nova", "action": "assign", "toAssigneeActorId": "Zoe"}),
            json!(["active", "Zoe", 0]),
        ),
        (json!({"actorId": "Zoe", "action": "done", "note": "Clean."}), json!(["done", "Zoe", 100])),
    ];
    for (body, want) in steps {
        let answer = hand_over(&client, &task, body.clone()).await;
        let task = &answer.data()["task"];
        assert_eq!(json!([task["state"], task["assigneeActorId"], task["progress"]]), want, "{body}");
        assert_eq!(task["metadata"]["handoff"]["by"], body["actorId"]);
    }
    let over =
        hand_over(&client, &task, json!({"actorId": "Zoe", "action": "accept", "correlationId": "c"})).await;
    let want =
        json!({"tenantId": "default", "taskId": task["taskId"], "state": "done", "correlationId": "c"});
    assert_eq!(over.error(409, "ERR_CONFLICT"), &want);
    let actions: Vec<Value> =
        inbox(&client, "Nova").await.iter().map(|item| item["payload"]["action"].clone()).collect();
    assert_eq!(actions, ["accept", "blocked", "done"]);
}

#[tokio::test]
async fn handoff_refusals_name_the_cause_and_change_nothing() {
    let (_server, client) = cafe().await;
    let task = create(&client, json!({"assigneeActorId": "Kai"})).await;
    let cases = [
        (
            json!({"action": "accept"}),
            403,
            "ERR_FORBIDDEN",
            json!({"tenantId": "default", "roomId": "main", "actorId": "Zoe", "taskId": task["taskId"], "action": "accept"}),
        ),
        (json!({}), 400, "ERR_MISSING_FIELD", json!({"field": "action"})),
        (json!({"action": "assign"}), 400, "ERR_MISSING_FIELD", json!({"field": "toAssigneeActorId"})),
        (json!({"action": "blocked"}), 400, "ERR_VALIDATION", json!({"fields": ["blockedReason", "note"]})),
        (
            json!({"action": "drop"}),
            400,
            "ERR_INVALID_ENUM",
            json!({"field": "action", "allowed": ["assign", "accept", "blocked", "done"]}),
        ),
    ];
    for (mut body, status, code, mut details) in cases {
        body["actorId"] = json!("Zoe");
        let answer = hand_over(&client, &task, body.clone()).await;
        details["correlationId"] = json!(answer.header("x-correlation-id"));
        assert_eq!(answer.error(status, code), &details, "{body}");
    }
    assert_eq!(log(&client).await.len(), 2);
    assert_eq!(client.get(&path_of(&task)).await.data()["count"], 0);
}

/// The list contains the log's own events, ascending, paged by sequence.
#[tokio::test]
async fn handoffs_are_listed_in_log_order_also_after_a_kill() {
    let (mut server, client) = cafe().await;
    let task = create(&client, json!({"actorId": "Kai"})).await;
    let other = create(&client, json!({})).await;
    for n in 0..5 {
        let note = format!("{n}");
        for task in [&task, &other] {
            let body = json!({"actorId": "Kai", "action": "blocked", "note": note});
            assert_eq!(hand_over(&client, task, body).await.status, 200);
        }
    }
    server.kill();
    server.restart().await;
    let client = server.client();
    let all = log(&client).await;
    let own: Vec<&Value> = all
        .iter()
        .filter(|event| event["type"] == "task_handoff" && event["payload"]["taskId"] == task["taskId"])
        .collect();
    assert_eq!(own.len(), 5);
    let page = async |query: &str| client.get(&format!("{}{query}", path_of(&task))).await.data().clone();
    let whole = page("").await;
    let want =
        json!({"taskId": task["taskId"], "handoffs": own, "count": 5, "nextCursor": own[4]["sequence"]});
    assert_eq!(whole, want);
    let first = page("?limit=2").await;
    assert_eq!((&first["handoffs"], &first["nextCursor"]), (&json!(own[..2]), &own[1]["sequence"]));
    let rest = page(&format!("?cursor={}", first["nextCursor"])).await;
    assert_eq!(rest["handoffs"], json!(own[2..]));
    let end = page(&format!("?cursor={}", rest["nextCursor"])).await;
    assert_eq!((&end["count"], &end["nextCursor"]), (&json!(0), &rest["nextCursor"]));
    let none = create(&client, json!({})).await;
    let empty = json!({"taskId": none["taskId"], "handoffs": [], "count": 0, "nextCursor": 0});
    assert_eq!(client.get(&path_of(&none)).await.data(), &empty);
    for bad in ["cursor=x", "limit=1.5"] {
        let answer = client.get(&format!("{}?{bad}", path_of(&task))).await;
        let _ = answer.error(400, "ERR_VALIDATION");
    }
}

/// A copy with the same key changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handoff_accept_of_a_free_task_succeeds_for_one_of_many() {
    let (_server, client) = cafe().await;
    let task = create(&client, json!({})).await;
    let takers: Vec<_> = (0..16)
        .map(|n| {
            let (client, path) = (client.clone(), path_of(&task));
            let body = json!({"actorId": format!("Taker {n}"), "action": "accept"});
            tokio::spawn(async move {
                let answer = client.post(&path, &format!("k{n}"), body.clone()).await;
                let again = client.post(&path, &format!("k{n}"), body.clone()).await;
                assert_eq!(again.json["data"], answer.json["data"]);
                (answer, body)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for taker in takers {
        let (answer, body) = taker.await.unwrap();
        if answer.status == 200 {
            winners.push(body["actorId"].clone());
        } else {
            let _ = answer.error(403, "ERR_FORBIDDEN");
        }
    }
    let now = client.get(&format!("/v1/tasks/{}", task["taskId"].as_str().unwrap())).await;
    assert_eq!(winners, [now.data()["task"]["assigneeActorId"].clone()]);
    assert_eq!(client.get(&path_of(&task)).await.data()["count"], 1);
    assert_eq!(inbox(&client, "Nova").await.len(), 1);
}
