//! Traces: the steps of a request, by correlation id.

use std::time::Duration;

use agentcafe_testkit::{Client, Method, Value, eventually, json};

use crate::{cafe, launch};

/// The trace with this id, when it has `steps` steps in all.
async fn trace(client: &Client, id: &str, steps: usize) -> Value {
    let path = format!("/v1/traces/{id}");
    eventually(&format!("a trace {id} of {steps} steps"), Duration::from_secs(60), async || {
        let answer = client.get(&path).await;
        let trace = &answer.json["data"]["trace"];
        (trace["steps"].as_array()?.len() == steps).then(|| trace.clone())
    })
    .await
}

fn codes(trace: &Value) -> Vec<&str> {
    trace["steps"].as_array().into_iter().flatten().filter_map(|step| step["code"].as_str()).collect()
}

/// Received, new, appended, finished.
#[tokio::test]
async fn trace_of_a_command_has_its_steps() {
    let (_server, client) = cafe().await;
    let body = json!({"actorId": "Nova", "roomId": "attic", "text": "hi", "correlationId": "c1"});
    let request = client.request(Method::POST, "/v1/commands/say").key("k").json(&body);
    let said = request.header("x-request-id", "r1").send().await;
    let trace = trace(&client, "c1", 4).await;
    let want = json!({"correlationId": "c1", "requestId": "r1", "route": "/v1/commands/say", "method": "POST",
        "actorId": "Nova", "tenantId": "default", "roomId": "attic", "status": "success"});
    for (name, want) in want.as_object().unwrap() {
        assert_eq!(&trace[name], want, "{name}");
    }
    assert_eq!(trace["traceId"].as_str().unwrap().len(), 36);
    assert!(trace["startedAt"].as_str() <= trace["endedAt"].as_str());
    let steps = [
        (
            "RC_REQUEST_RECEIVED",
            json!({"route": "/v1/commands/say", "method": "POST", "actorId": "Nova", "roomId": "attic", "tenantId": "default"}),
        ),
        ("RC_IDEMPOTENCY_NEW", json!({"scope": "attic:Nova:/v1/commands/say"})),
        (
            "RC_EVENT_APPEND_OK",
            json!({"eventId": said.data()["eventId"], "sequence": said.data()["sequence"], "eventType": "conversation_message_posted"}),
        ),
        ("RC_EVENT_APPEND_OK", json!({"replay": false})),
    ];
    for (step, (code, details)) in trace["steps"].as_array().unwrap().iter().zip(steps) {
        assert_eq!(step["code"], code);
        assert!(step["ts"].is_string());
        for (name, want) in details.as_object().unwrap() {
            assert_eq!(&step["details"][name], want, "{code}: {step}");
        }
    }
}

#[tokio::test]
async fn trace_of_an_intent_has_its_plan() {
    let (_server, client) = cafe().await;
    let body = json!({"actorId": "Nova", "intent": "navigate_to", "x": 0, "y": 6, "correlationId": "c"});
    let _ = client.act("/v1/intents/execute", body).await.data();
    let trace = trace(&client, "c", 5).await;
    let want = [
        "RC_REQUEST_RECEIVED",
        "RC_IDEMPOTENCY_NEW",
        "RC_INTENT_PLANNED",
        "RC_INTENT_EXECUTED",
        "RC_EVENT_APPEND_OK",
    ];
    assert_eq!(codes(&trace), want);
    let planned = json!({"intent": "navigate_to", "from": {"x": 10, "y": 6}, "target": {"x": 0, "y": 6},
        "path": [{"direction": "W", "steps": 10}]});
    assert_eq!(trace["steps"][2]["details"], planned);
    assert_eq!(trace["steps"][3]["details"], json!({"intent": "navigate_to", "emittedEvents": 4}));
}

/// The trace ends as `error`; the error response has the correlation id.
#[tokio::test]
async fn trace_of_an_error_has_its_code() {
    let server = launch().env("MOD_MAX_REPEATED_TEXT_PER_WINDOW", 1).start().await;
    let client = server.client();
    let say = json!({"actorId": "Nova", "text": "hi"});
    let _ = client.post("/v1/commands/say", "taken", say.clone()).await.data();
    let (no_key, long) = (None, "x".repeat(121));
    let cases = [
        (
            "invalid",
            "/v1/commands/say",
            Some("a"),
            json!({"actorId": "Nova", "text": long}),
            "RC_VALIDATION_ERROR",
            true,
        ),
        ("no-key", "/v1/commands/say", no_key, say.clone(), "RC_VALIDATION_ERROR", false),
        ("moderated", "/v1/commands/say", Some("b"), say, "RC_MODERATION_BLOCKED", true),
        (
            "no-item",
            "/v1/inbox/0190b5a0-0000-7000-8000-000000000000/ack",
            Some("c"),
            json!({"actorId": "Nova"}),
            "RC_NOT_FOUND",
            true,
        ),
        (
            "unknown",
            "/v1/intents/execute",
            Some("d"),
            json!({"actorId": "Nova", "intent": "dance"}),
            "RC_UNSUPPORTED_ACTION",
            true,
        ),
        (
            "conflict",
            "/v1/commands/say",
            Some("taken"),
            json!({"actorId": "Nova", "text": "ho"}),
            "RC_IDEMPOTENCY_CONFLICT",
            false,
        ),
    ];
    for (id, path, key, mut body, code, looked_up) in cases {
        body["correlationId"] = json!(id);
        let request = client.request(Method::POST, path).json(&body);
        let answer = key.into_iter().fold(request, |request, key| request.key(key)).send().await;
        assert_eq!(answer.json["error"]["details"]["correlationId"], id, "{}", answer.text);
        assert_eq!(answer.header("x-correlation-id"), Some(id));
        let mut want = vec!["RC_REQUEST_RECEIVED", "RC_IDEMPOTENCY_NEW", code];
        if !looked_up {
            want.remove(1);
        }
        let trace = trace(&client, id, want.len()).await;
        assert_eq!((codes(&trace), &trace["status"]), (want, &json!("error")), "{id}");
        assert!(trace["steps"].as_array().unwrap().last().unwrap()["details"]["message"].is_string());
    }
    let moderated = client.get("/v1/traces/moderated").await;
    assert_eq!(moderated.data()["trace"]["steps"][2]["details"]["reasonCode"], "MOD_REPEAT_TEXT");
}

#[tokio::test]
async fn trace_is_not_started_by_a_failed_pre_check() {
    let (_server, client) = cafe().await;
    let body = json!({"text": "hi", "correlationId": "early"});
    let _ = client.act("/v1/commands/say", body).await.error(400, "ERR_MISSING_FIELD");
    let _ = client.act("/v1/commands/say", json!({"actorId": "Nova", "text": "hi"})).await.data();
    let _ = client.get("/v1/traces/early").await.error(404, "ERR_NOT_FOUND");
}

/// Requests with one correlation id, replays included, are appended to one trace.
#[tokio::test]
async fn trace_of_several_requests_keeps_their_order() {
    let (_server, client) = cafe().await;
    let body = json!({"actorId": "Nova", "itemId": "tea", "correlationId": "c"});
    let _ = client.post("/v1/commands/order", "k", body.clone()).await.data();
    let first = trace(&client, "c", 4).await;
    let _ = client.post("/v1/commands/order", "k", body).await.data();
    let both = trace(&client, "c", 7).await;
    assert_eq!(codes(&both)[4..], ["RC_REQUEST_RECEIVED", "RC_IDEMPOTENCY_REPLAY", "RC_EVENT_APPEND_OK"]);
    assert_eq!(both["steps"].as_array().unwrap()[..4], first["steps"].as_array().unwrap()[..]);
    assert_eq!(both["steps"][6]["details"], json!({"replay": true}));
    assert_ne!(both["traceId"], first["traceId"]);
    let intruder = json!({"actorId": "Kai", "itemId": "", "correlationId": "c"});
    let _ = client.act("/v1/commands/order", intruder).await.error(400, "ERR_MISSING_FIELD");
    let three = trace(&client, "c", 10).await;
    assert_eq!((&three["actorId"], &three["status"]), (&json!("Kai"), &json!("error")));
    assert_eq!(codes(&three)[..7], codes(&both)[..]);
}

#[tokio::test]
async fn trace_of_another_tenant_or_unknown_id_is_404() {
    let (_server, client) = cafe().await;
    let body =
        json!({"actorId": "Nova", "tenantId": "acme", "itemId": "tea", "correlationId": "an id / with ü"});
    let _ = client.act("/v1/commands/order", body).await.data();
    let path = "/v1/traces/an%20id%20%2F%20with%20%C3%BC";
    for (query, status) in
        [("", 200), ("?tenantId=acme", 200), ("?tenantId=default", 404), ("?tenantId=", 200)]
    {
        assert_eq!(client.get(&format!("{path}{query}")).await.status, status, "{query}");
    }
    let unknown = client.get("/v1/traces/unknown").await;
    assert_eq!(unknown.error(404, "ERR_NOT_FOUND")["correlationId"], "unknown");
    assert_eq!(unknown.header("x-correlation-id"), Some("unknown"));
    assert_eq!(client.get("/v1/traces/").await.error(404, "ERR_NOT_FOUND")["correlationId"], "");
    let _ = client.get("/v1/traces").await.error(404, "ERR_UNSUPPORTED_ACTION");
}

#[tokio::test]
async fn trace_survives_a_restart() {
    let (mut server, client) = cafe().await;
    let body = json!({"actorId": "Nova", "itemId": "tea", "correlationId": "c"});
    let _ = client.act("/v1/commands/order", body).await.data();
    let before = trace(&client, "c", 4).await;
    server.restart().await;
    assert_eq!(trace(&server.client(), "c", 4).await, before);
}

#[tokio::test]
async fn trace_has_the_newest_80_steps_in_order() {
    let (_server, client) = cafe().await;
    for n in 0..25 {
        let body = json!({"actorId": format!("a{n}"), "itemId": "tea", "correlationId": "busy"});
        let _ = client.act("/v1/commands/order", body).await.data();
    }
    let trace = trace(&client, "busy", 80).await;
    assert_eq!(trace["actorId"], "a24");
    let newest: Vec<&Value> = trace["steps"].as_array().unwrap().iter().rev().take(4).collect();
    assert_eq!(newest[3]["details"]["actorId"], "a24");
}
