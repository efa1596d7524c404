//! Webhook subscriptions as records: fields, defaults, lists, and that their secrets are not readable.

use agentcafe_testkit::{Answer, Client, Method, Value, fresh_key, json};

use crate::{UNKNOWN_ID, cafe};

const URL: &str = "http://127.0.0.1:9/hook";
pub(crate) async fn subscribe(client: &Client, body: Value) -> Value {
    client.act("/v1/subscriptions", body).await.data()["subscription"].clone()
}

pub(crate) async fn change(client: &Client, subscription: &Value, body: Value) -> Answer {
    let path = format!("/v1/subscriptions/{}", subscription["id"].as_str().expect("an id"));
    client.request(Method::PATCH, &path).key(&fresh_key()).json(&body).send().await
}

pub(crate) async fn delete(client: &Client, subscription: &Value) -> Answer {
    let path = format!("/v1/subscriptions/{}", subscription["id"].as_str().expect("an id"));
    client.request(Method::DELETE, &path).key(&fresh_key()).send().await
}

pub(crate) async fn listed(client: &Client, query: &str) -> Vec<Value> {
    let answer = client.get(&format!("/v1/subscriptions{query}")).await;
    let data = answer.data();
    assert_eq!(data["count"], data["subscriptions"].as_array().expect("a list").len());
    data["subscriptions"].as_array().expect("a list").clone()
}

/// `maxRetries: 0` is 0, not the default.
#[tokio::test]
async fn webhook_subscription_has_its_defaults() {
    let (_server, client) = cafe().await;
    let answer = client.act("/v1/subscriptions", json!({"targetUrl": URL})).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.data()["correlationId"].as_str(), answer.header("x-correlation-id"));
    let made = &answer.data()["subscription"];
    let want = json!({
        "id": made["id"], "tenantId": "default", "roomId": null, "actorId": null, "eventTypes": ["*"], "targetUrl": URL,
        "hasSecret": true, "secret": made["secret"], "enabled": true, "maxRetries": 3, "backoffMs": 1000, "timeoutMs": 5000,
        "metadata": {}, "createdAt": made["createdAt"], "updatedAt": made["createdAt"], "lastDeliveredAt": null, "lastError": null,
    });
    assert_eq!(made, &want);
    let body = json!({"targetUrl": URL, "tenantId": "acme", "roomId": " attic ", "actorId": "Nova", "enabled": false, "maxRetries": 0,
        "eventTypes": [" task_created ", "", "task_created"], "backoffMs": 100, "timeoutMs": 30_000, "metadata": {"a": 1}});
    let made = subscribe(&client, body).await;
    let want = json!([
        "acme", "attic", "Nova", false, 0, ["task_created"], 100, 30_000, {"a": 1}
    ]);
    let names = [
        "tenantId",
        "roomId",
        "actorId",
        "enabled",
        "maxRetries",
        "eventTypes",
        "backoffMs",
        "timeoutMs",
        "metadata",
    ];
    assert_eq!(json!(names.map(|name| made[name].clone())), want);
}

/// On create and on change.
#[tokio::test]
async fn webhook_subscription_fields_are_validated() {
    let (_server, client) = cafe().await;
    let made = subscribe(&client, json!({"targetUrl": URL})).await;
    let long = "x".repeat(70_000);
    let cases = [
        (json!({"targetUrl": 7}), "ERR_MISSING_FIELD", "targetUrl"),
        (json!({"targetUrl": " "}), "ERR_MISSING_FIELD", "targetUrl"),
        (json!({"targetUrl": "/hook"}), "ERR_INVALID_URL", "targetUrl"),
        (json!({"targetUrl": "ftp://example.com"}), "ERR_INVALID_URL", "targetUrl"),
        (json!({"targetUrl": "http://user:word@example.com"}), "ERR_INVALID_URL", "targetUrl"),
        (json!({"targetUrl": "http://169.254.169.254/"}), "ERR_INVALID_URL", "targetUrl"),
        (json!({"targetUrl": format!("http://example.com/{long}")}), "ERR_OUT_OF_BOUNDS", "targetUrl"),
        (json!({"eventTypes": "task_created"}), "ERR_VALIDATION", "eventTypes"),
        (json!({"eventTypes": [1]}), "ERR_VALIDATION", "eventTypes"),
        (
            json!({"eventTypes": (0..65).map(|n| n.to_string()).collect::<Vec<_>>()}),
            "ERR_OUT_OF_BOUNDS",
            "eventTypes",
        ),
        (json!({"secret": 7}), "ERR_VALIDATION", "secret"),
        (json!({"secret": "whsec_***"}), "ERR_VALIDATION", "secret"),
        (json!({"secret": long}), "ERR_OUT_OF_BOUNDS", "secret"),
        (json!({"roomId": 7}), "ERR_VALIDATION", "roomId"),
        (json!({"actorId": ["Nova"]}), "ERR_VALIDATION", "actorId"),
        (json!({"enabled": "false"}), "ERR_VALIDATION", "enabled"),
        (json!({"maxRetries": 11}), "ERR_OUT_OF_BOUNDS", "maxRetries"),
        (json!({"maxRetries": -1}), "ERR_OUT_OF_BOUNDS", "maxRetries"),
        (json!({"maxRetries": "many"}), "ERR_OUT_OF_BOUNDS", "maxRetries"),
        (json!({"backoffMs": 99}), "ERR_OUT_OF_BOUNDS", "backoffMs"),
        (json!({"backoffMs": 60_001}), "ERR_OUT_OF_BOUNDS", "backoffMs"),
        (json!({"timeoutMs": 499}), "ERR_OUT_OF_BOUNDS", "timeoutMs"),
        (json!({"timeoutMs": 30_001}), "ERR_OUT_OF_BOUNDS", "timeoutMs"),
        (json!({"metadata": []}), "ERR_VALIDATION", "metadata"),
        (json!({"metadata": {"a": long}}), "ERR_OUT_OF_BOUNDS", "metadata"),
    ];
    for (body, code, field) in cases {
        let mut whole = body.clone();
        if body.get("targetUrl").is_none() {
            whole["targetUrl"] = json!(URL);
        }
        let created = client.act("/v1/subscriptions", whole).await;
        assert_eq!(created.error(400, code)["field"], field, "{body}");
        assert_eq!(change(&client, &made, body).await.error(400, code)["field"], field);
    }
    let answer = client.act("/v1/subscriptions", json!({"maxRetries": 99})).await;
    assert_eq!(answer.error(400, "ERR_MISSING_FIELD")["field"], "targetUrl", "the contract's order");
    let empty = change(&client, &made, json!({"tenantId": "default"})).await;
    assert!(empty.error(400, "ERR_VALIDATION")["fields"].is_array(), "an empty patch lists its fields");
    assert_eq!(listed(&client, "").await.len(), 1);
}

/// Null sets the default; it does not generate another secret.
#[tokio::test]
async fn webhook_subscription_patch_changes_named_fields() {
    let (_server, client) = cafe().await;
    let made =
        subscribe(&client, json!({"targetUrl": URL, "maxRetries": 9, "roomId": "attic", "actorId": "Nova"}))
            .await;
    let cases = [
        (json!({"maxRetries": 0}), "maxRetries", json!(0)),
        (json!({"maxRetries": null}), "maxRetries", json!(3)),
        (json!({"enabled": false}), "enabled", json!(false)),
        (json!({"enabled": null}), "enabled", json!(true)),
        (json!({"eventTypes": ["a", " "]}), "eventTypes", json!(["a"])),
        (json!({"eventTypes": [" "]}), "eventTypes", json!(["*"])),
        (json!({"roomId": null}), "roomId", json!(null)),
        (json!({"metadata": {"x": 1}}), "metadata", json!({"x": 1})),
        (json!({"targetUrl": "http://127.0.0.1:9/other"}), "targetUrl", json!("http://127.0.0.1:9/other")),
        (json!({"secret": null}), "actorId", json!("Nova")),
    ];
    for (body, field, want) in cases {
        let answer = change(&client, &made, body.clone()).await;
        assert_eq!((answer.status, &answer.data()["subscription"][field]), (200, &want), "{body}");
        assert!(answer.data()["subscription"].get("secret").is_none(), "{body}");
    }
    let path = format!("/v1/subscriptions/{}", made["id"].as_str().unwrap());
    let found = client.get(&path).await.data()["subscription"].clone();
    assert_eq!((&found["actorId"], &found["backoffMs"]), (&json!("Nova"), &json!(1_000)));
    assert_eq!(found["createdAt"], made["createdAt"]);
}

/// In the response that creates or sets it; not in its replay, and in no read.
#[tokio::test]
async fn webhook_secret_is_shown_once() {
    let (mut server, client) = cafe().await;
    let (key, body) = (fresh_key(), json!({"targetUrl": URL, "maxRetries": 0}));
    let first = client.post("/v1/subscriptions", &key, body.clone()).await;
    let made = first.data()["subscription"].clone();
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_") && secret.len() == 6 + 44, "{secret}");
    let rotated = change(&client, &made, json!({"secret": "my own secret"})).await;
    assert_eq!(rotated.data()["subscription"]["secret"], "my own secret");
    let _ = client.act("/v1/commands/say", json!({"actorId": "Nova", "text": "hey"})).await.data();
    agentcafe_testkit::eventually("the delivery fails", std::time::Duration::from_secs(60), async || {
        let dlq = client.get("/v1/subscriptions/dlq").await;
        dlq.data()["count"].as_u64().is_some_and(|count| count > 0).then_some(())
    })
    .await;
    server.restart().await;
    let client = server.client();
    let again = client.post("/v1/subscriptions", &key, body).await;
    assert_eq!((again.status, again.header("x-idempotent-replay")), (201, Some("true")));
    assert_eq!(again.data()["subscription"]["hasSecret"], true);
    assert_eq!(again.data()["subscription"]["id"], made["id"]);
    let id = made["id"].as_str().unwrap();
    let mut reads = vec![again.text];
    for path in [
        "/v1/subscriptions",
        &format!("/v1/subscriptions/{id}"),
        "/v1/subscriptions/dlq",
        "/v1/subscriptions/deliveries",
        "/v1/events",
        "/healthz",
        "/metrics",
        &format!("/v1/traces/{}", first.data()["correlationId"].as_str().unwrap()),
        &format!("/v1/traces/{}", rotated.data()["correlationId"].as_str().unwrap()),
    ] {
        reads.push(client.get(path).await.text);
    }
    let gone = delete(&client, &made).await;
    reads.push(gone.text);
    for read in reads {
        assert!(!read.contains(&secret) && !read.contains("my own secret"), "{read}");
        assert!(!read.contains("\"secret\""), "{read}");
    }
    assert!(!server.log().contains(&secret[6..]), "{}", server.log());
}

#[tokio::test]
async fn webhook_subscription_of_another_tenant_deleted_or_invalid_id_is_404() {
    let (_server, client) = cafe().await;
    let made = subscribe(&client, json!({"targetUrl": URL, "tenantId": "acme"})).await;
    let id = made["id"].as_str().unwrap();
    let path = format!("/v1/subscriptions/{id}");
    assert_eq!(client.get(&path).await.status, 200, "without a tenant");
    assert_eq!(client.get(&format!("{path}?tenantId=acme")).await.status, 200);
    for path in [
        &format!("{path}?tenantId=default"),
        "/v1/subscriptions/nothing",
        &format!("/v1/subscriptions/{UNKNOWN_ID}"),
    ] {
        assert!(client.get(path).await.error(404, "ERR_NOT_FOUND")["subscriptionId"].is_string(), "{path}");
    }
    let foreign = change(&client, &made, json!({"tenantId": "default", "enabled": false})).await;
    assert_eq!(foreign.error(404, "ERR_NOT_FOUND")["subscriptionId"], id);
    let delete_with = async |key: &str, query: &str| {
        client.request(Method::DELETE, &format!("{path}{query}")).key(key).send().await
    };
    let key = fresh_key();
    let _ = delete_with(&key, "?tenantId=default").await.error(404, "ERR_NOT_FOUND");
    let deleted = delete_with(&key, "?tenantId=acme").await;
    let want =
        json!({"deleted": true, "subscriptionId": id, "correlationId": deleted.header("x-correlation-id")});
    assert_eq!((deleted.status, deleted.data()), (200, &want));
    let again = delete_with(&key, "").await;
    assert_eq!((again.header("x-idempotent-replay"), &again.text), (Some("true"), &deleted.text));
    let _ = delete_with(&fresh_key(), "").await.error(404, "ERR_NOT_FOUND");
    let _ = client.get(&path).await.error(404, "ERR_NOT_FOUND");
    let _ = change(&client, &made, json!({"enabled": true})).await.error(404, "ERR_NOT_FOUND");
    assert!(listed(&client, "").await.is_empty());
}

#[tokio::test]
async fn webhook_subscriptions_are_filtered_and_paged_newest_first() {
    let (_server, client) = cafe().await;
    for (tenant, room, types, enabled) in [
        ("default", json!(null), json!(["*"]), true),
        ("default", json!("attic"), json!(["task_created"]), true),
        ("acme", json!("attic"), json!(["order_changed", "task_created"]), false),
    ] {
        let body = json!({"targetUrl": URL, "tenantId": tenant, "roomId": room, "eventTypes": types, "enabled": enabled});
        subscribe(&client, body).await;
    }
    let all = listed(&client, "").await;
    let ids: Vec<&Value> = all.iter().map(|one| &one["id"]).collect();
    assert!(all.is_sorted_by(|newer, older| newer["createdAt"].as_str() >= older["createdAt"].as_str()));
    let cases = [
        ("?tenantId=acme", vec![0]),
        ("?tenantId=default", vec![1, 2]),
        ("?roomId=attic", vec![0, 1]),
        ("?eventType=task_created", vec![0, 1, 2]),
        ("?eventType=order_changed", vec![0, 2]),
        ("?enabled=no", vec![0]),
        ("?enabled=true&roomId=attic", vec![1]),
        ("?enabled=perhaps", vec![0, 1, 2]),
    ];
    for (query, want) in cases {
        // Those created in the same millisecond are ordered by id.
        let got = listed(&client, query).await;
        let mut got: Vec<_> =
            got.iter().filter_map(|one| ids.iter().position(|id| **id == one["id"])).collect();
        got.sort_unstable();
        let by_age = |at: &usize| {
            let tenant_and_room =
                [("acme", json!("attic")), ("default", json!("attic")), ("default", json!(null))];
            all.iter().position(|one| {
                (one["tenantId"].as_str().unwrap(), one["roomId"].clone()) == tenant_and_room[*at]
            })
        };
        let mut want: Vec<_> = want.iter().filter_map(by_age).collect();
        want.sort_unstable();
        assert_eq!(got, want, "{query}");
    }
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    while !query.is_empty() {
        let answer = client.get(&format!("/v1/subscriptions{query}")).await;
        seen.extend(answer.data()["subscriptions"].as_array().unwrap().iter().map(|one| one["id"].clone()));
        query = match answer.data()["nextCursor"].as_str() {
            Some(cursor) => format!("?limit=2&cursor={cursor}"),
            None => String::new(),
        };
    }
    assert_eq!(seen.iter().collect::<Vec<_>>(), ids);
}
