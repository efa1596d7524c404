//! Shared objects: creating, reading and changing them over HTTP.

use agentcafe_testkit::{Client, Method, Value, json};

use crate::tasks::{List, change};
use crate::{UNKNOWN_ID, cafe, log};

/// Creates an object as Nova, unless the fields name another actor.
async fn create(client: &Client, mut fields: Value) -> Value {
    if fields.get("actorId").is_none() {
        fields["actorId"] = json!("Nova");
    }
    let answer = client.act("/v1/objects", fields).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.data()["object"].clone()
}

fn path_of(object: &Value) -> String {
    format!("/v1/objects/{}", object["objectId"].as_str().expect("an id"))
}

/// The object's fields as its events show them.
fn payload_of(object: &Value) -> Value {
    let mut payload = object.clone();
    for name in ["tenantId", "roomId"] {
        payload.as_object_mut().expect("an object").remove(name);
    }
    payload
}

#[tokio::test]
async fn object_create_returns_appends_and_stores_it() {
    let (_server, client) = cafe().await;
    let body = json!({"actorId": "Nova", "roomId": "attic", "objectType": " TOKEN ", "objectKey": "beans", "title": "Beans",
        "content": "", "data": {"origin": "Kenya"}, "metadata": {"a": 1}, "correlationId": "c-1"});
    let answer = client.act("/v1/objects", body).await;
    assert_eq!(answer.status, 201);
    let data = answer.data();
    let object = &data["object"];
    let want = json!({"objectId": object["objectId"], "tenantId": "default", "roomId": "attic", "objectType": "token",
        "objectKey": "beans", "title": "Beans", "content": null, "data": {"origin": "Kenya"}, "quantity": 0,
        "metadata": {"a": 1}, "version": 1, "createdBy": "Nova", "updatedBy": "Nova", "createdAt": object["createdAt"],
        "updatedAt": object["createdAt"]});
    assert_eq!(object, &want);
    let [event] = log(&client).await.try_into().unwrap();
    assert_eq!((&event["type"], &event["causationId"]), (&json!("shared_object_created"), &json!(null)));
    assert_eq!((&event["payload"], &event["roomId"]), (&payload_of(object), &json!("attic")));
    let emitted =
        json!([{"eventId": event["eventId"], "sequence": event["sequence"], "eventType": event["type"]}]);
    assert_eq!((&data["emittedEvents"], &data["correlationId"]), (&emitted, &json!("c-1")));
    assert_eq!(client.get(&path_of(object)).await.data(), &json!({"object": want}));
    let plain = create(&client, json!({})).await;
    assert_eq!(
        (&plain["objectType"], &plain["quantity"], &plain["roomId"]),
        (&json!("note"), &json!(null), &json!("main"))
    );
}

/// The change happens in the object's own room, whatever room the request names.
#[tokio::test]
async fn object_patch_changes_named_fields_and_increments_version() {
    let (_server, client) = cafe().await;
    let client = client.lenient();
    let object =
        create(&client, json!({"roomId": "attic", "title": "t", "content": "c", "data": {"a": 1}})).await;
    let body =
        json!({"actorId": "Kai", "roomId": "cellar", "objectType": "token", "title": null, "data": {"b": 2}});
    let answer = change(&client, &path_of(&object), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let changed = &answer.data()["object"];
    let mut want = object.clone();
    for (name, value) in [
        ("objectType", json!("token")),
        ("title", json!(null)),
        ("data", json!({"b": 2})),
        ("quantity", json!(0)),
        ("version", json!(2)),
        ("updatedBy", json!("Kai")),
        ("updatedAt", changed["updatedAt"].clone()),
    ] {
        want[name] = value;
    }
    assert_eq!(changed, &want);
    let event = log(&client).await.pop().unwrap();
    let mut payload = payload_of(&want);
    payload["changedFields"] = json!(["objectType", "title", "data", "quantity"]);
    assert_eq!((&event["type"], &event["payload"]), (&json!("shared_object_updated"), &payload));
    assert_eq!((&event["roomId"], &event["actorId"]), (&json!("attic"), &json!("Kai")));
    assert_eq!(answer.data()["emittedEvents"][0]["eventId"], event["eventId"]);
}

/// The type cannot be removed. A refused change has no effect.
#[tokio::test]
async fn object_patch_with_another_expected_version_is_a_conflict() {
    let (_server, client) = cafe().await;
    let object = create(&client, json!({})).await;
    let path = path_of(&object);
    let types = json!(["whiteboard", "note", "token"]);
    let seven = json!(["objectType", "objectKey", "title", "content", "data", "quantity", "metadata"]);
    let cases = [
        (
            json!({"title": "t", "expectedVersion": 2}),
            409,
            "ERR_CONFLICT",
            json!({"tenantId": "default", "objectId": object["objectId"], "expectedVersion": 2, "version": 1}),
        ),
        (
            json!({"title": "t", "expectedVersion": "one"}),
            400,
            "ERR_VALIDATION",
            json!({"field": "expectedVersion", "value": "one"}),
        ),
        (
            json!({"objectType": null}),
            400,
            "ERR_INVALID_ENUM",
            json!({"field": "objectType", "allowed": types}),
        ),
        (json!({}), 400, "ERR_VALIDATION", json!({"fields": seven})),
        (
            json!({"quantity": -2}),
            400,
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "quantity", "min": 0, "max": 9_007_199_254_740_991_i64, "value": -2.0}),
        ),
        (
            json!({"metadata": {"a": "x".repeat(70_000)}}),
            400,
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "metadata", "max": 65_536, "value": 70_008}),
        ),
    ];
    for (mut body, status, code, mut details) in cases {
        body["actorId"] = json!("Kai");
        let answer = change(&client, &path, body).await;
        details["correlationId"] = json!(answer.header("x-correlation-id"));
        assert_eq!(answer.error(status, code), &details);
    }
    assert_eq!(client.get(&path).await.data()["object"], object);
    assert_eq!(log(&client).await.len(), 1);
}

/// Objects of other tenants are not listed.
#[tokio::test]
async fn objects_are_filtered_and_paged_newest_change_first() {
    let (_server, client) = cafe().await;
    let mut objects = Vec::new();
    for fields in [
        json!({"title": "a", "objectKey": "k 1"}),
        json!({"title": "b", "roomId": "attic", "objectType": "token"}),
        json!({"title": "c", "actorId": "Zoe"}),
        json!({"title": "d", "tenantId": "acme"}),
    ] {
        objects.push(create(&client, fields).await);
    }
    let later = change(&client, &path_of(&objects[0]), json!({"actorId": "Bo", "content": "c"})).await;
    objects[0] = later.data()["object"].clone();
    let cases = [
        ("", vec!["a", "c", "b"]),
        ("roomId=main", vec!["a", "c"]),
        ("objectType=Token", vec!["b"]),
        ("objectKey=k%201", vec!["a"]),
        ("objectKey=k", vec![]),
        ("createdBy=Nova", vec!["a", "b"]),
        ("updatedBy=Bo", vec!["a"]),
        ("createdBy=Zoe&roomId=attic", vec![]),
        ("tenantId=acme", vec!["d"]),
        ("limit=-5", vec!["a"]),
    ];
    let list = List { path: "/v1/objects", name: "objects", id: "objectId" };
    list.assert_filters(&client, &objects, &cases).await;
    list.assert_pages(&client, &objects, &["a", "b", "c"]).await;
    let errors = [
        ("objectType=cup", "ERR_INVALID_ENUM", "objectType"),
        ("limit=1.5", "ERR_VALIDATION", "limit"),
        ("cursor=bm9uZQ", "ERR_VALIDATION", "cursor"),
    ];
    list.assert_errors(&client, &errors).await;
}

/// The ids of the caller are checked first.
#[tokio::test]
async fn object_of_an_unknown_id_or_another_tenant_is_404() {
    let (_server, client) = cafe().await;
    let object = create(&client, json!({"tenantId": "acme"})).await;
    let id = object["objectId"].as_str().unwrap();
    for (id, tenant) in [(UNKNOWN_ID, "default"), ("%20", "default"), (id, "default"), (UNKNOWN_ID, "acme")] {
        let path = format!("/v1/objects/{id}?tenantId={tenant}");
        let id = id.replace("%20", " ");
        for answer in
            [client.get(&path).await, change(&client, &path, json!({"actorId": "Nova", "title": 5})).await]
        {
            assert_eq!(answer.error(404, "ERR_NOT_FOUND"), &json!({"tenantId": tenant, "objectId": id}));
        }
        let anonymous = change(&client, &path, json!({"title": "t"})).await;
        assert_eq!(anonymous.error(400, "ERR_MISSING_FIELD")["field"], "actorId");
    }
    let path = format!("/v1/objects/{id}?tenantId=acme");
    assert_eq!(
        change(&client, &path, json!({"actorId": "Kai", "title": "t"})).await.data()["object"]["version"],
        2
    );
}

/// None is lost. Of those that expect the same version, one succeeds; copies of one request are one change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_patches_at_the_same_time_each_make_a_version() {
    const AT_ONCE: usize = 40;
    let (mut server, client) = cafe().await;
    let object = create(&client, json!({"objectType": "token"})).await;
    let send = |key: String, body: Value| {
        let request = client.request(Method::PATCH, &path_of(&object)).key(&key).json(&body);
        tokio::spawn(request.send())
    };
    let actor = |n: usize| json!(format!("Actor {n}"));
    let patches: Vec<_> =
        (0..AT_ONCE).map(|n| send(format!("a{n}"), json!({"actorId": actor(n), "quantity": n}))).collect();
    let mut versions = Vec::new();
    for patch in patches {
        versions.push(patch.await.unwrap().data()["object"]["version"].as_u64().unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, (2..2 + AT_ONCE as u64).collect::<Vec<_>>());
    let emitted: Vec<Value> =
        log(&client).await.iter().map(|event| event["payload"]["version"].clone()).collect();
    assert_eq!(emitted, (1..2 + AT_ONCE as u64).map(|version| json!(version)).collect::<Vec<_>>());
    let seen = 1 + AT_ONCE;
    let rivals: Vec<_> = (0..8)
        .map(|n| {
            send(format!("b{n}"), json!({"actorId": actor(n), "title": "mine", "expectedVersion": seen}))
        })
        .collect();
    let mut statuses = Vec::new();
    for rival in rivals {
        statuses.push(rival.await.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
    let copies: Vec<_> =
        (0..8).map(|_| send("c".to_owned(), json!({"actorId": "Kai", "content": "once"}))).collect();
    for copy in copies {
        assert_eq!(copy.await.unwrap().data()["object"]["version"], seen + 2);
    }
    server.kill();
    server.restart().await;
    let kept = server.client().get(&path_of(&object)).await.data()["object"].clone();
    assert_eq!(
        (&kept["version"], &kept["title"], &kept["content"]),
        (&json!(seen + 2), &json!("mine"), &json!("once"))
    );
}
