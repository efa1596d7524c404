//! Idempotency keys: one key has one effect, and every copy of a request gets the first response.

use agentcafe_testkit::{Method, Value, json};

use crate::raw_connection::RawConnection;
use crate::{cafe, log};

/// The body is the same byte for byte.
#[tokio::test]
async fn replay_has_the_status_body_and_correlation_id_of_the_first_response() {
    let (_server, client) = cafe().await;
    let body = json!({"actorId": "Nova", "text": "hey @Kai", "correlationId": "c1"});
    let first = client.post("/v1/commands/say", "k1", body.clone()).await;
    assert_eq!(first.header("x-idempotent-replay"), None);
    let events = log(&client).await;
    for _ in 0..3 {
        let again = client.post("/v1/commands/say", "k1", body.clone()).await;
        assert_eq!((again.status, &again.text), (202, &first.text));
        assert_eq!(again.header("x-idempotent-replay"), Some("true"));
        assert_eq!(again.header("x-correlation-id"), Some("c1"));
    }
    assert_eq!(log(&client).await, events, "nothing was appended");
}

/// Its own correlation id is in `x-replay-correlation-id`, and finds its trace.
#[tokio::test]
async fn replay_has_its_own_trace() {
    let (_server, client) = cafe().await;
    let body = json!({"actorId": "Nova", "itemId": "latte"});
    let first = client.post("/v1/commands/order", "k", body.clone()).await;
    let again = client.request(Method::POST, "/v1/commands/order").key("k").json(&body);
    let again = again.header("x-correlation-id", "second-try").send().await;
    assert_eq!(again.header("x-correlation-id"), first.header("x-correlation-id"));
    assert_eq!(again.header("x-replay-correlation-id"), Some("second-try"));
    assert_eq!(client.get("/v1/traces/second-try").await.data()["trace"]["status"], "success");
}

#[tokio::test]
async fn replay_ignores_json_whitespace_and_member_order() {
    let (_server, client) = cafe().await;
    let client = client.lenient();
    let spellings = [
        r#"{"actorId":"Nova","direction":"N","steps":2,"metadata":{"b":[1,2.5],"a":"ü"}}"#,
        r#"{ "metadata": { "a": "\u00fc", "b": [1, 2.5] }, "steps": 2, "direction": "N", "actorId": "Nova" }"#,
    ];
    let mut answers = Vec::new();
    for body in spellings {
        answers.push(client.request(Method::POST, "/v1/commands/move").key("k").body(body).send().await);
    }
    assert_eq!((answers[0].status, &answers[0].text), (answers[1].status, &answers[1].text));
    assert_eq!(answers[1].header("x-idempotent-replay"), Some("true"));
}

/// The error names the scope and the key. `correlationId` in the body is part of the payload. The first response is
/// kept.
#[tokio::test]
async fn key_with_another_payload_is_a_conflict() {
    let (_server, client) = cafe().await;
    let client = client.lenient();
    let body = json!({"actorId": "Nova", "text": "hi"});
    let first = client.post("/v1/commands/say", "k1", body.clone()).await;
    let others = [
        json!({"actorId": "Nova", "text": "hello"}),
        json!({"actorId": "Nova", "text": "hi", "correlationId": "c"}),
        json!({"actorId": "Nova", "text": "hi", "unknown": 1}),
        json!({"actorId": "Nova", "text": ""}),
    ];
    for other in others {
        let answer = client.post("/v1/commands/say", "k1", other).await;
        let details = answer.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT");
        assert_eq!(details["scope"], "main:Nova:/v1/commands/say");
        assert_eq!(details["idempotencyKey"], "k1");
        assert_eq!(details["correlationId"].as_str(), answer.header("x-correlation-id"));
        assert!(details["correlationId"].is_string());
    }
    assert_eq!(client.post("/v1/commands/say", "k1", body).await.text, first.text);
}

/// It is trimmed and has at most 255 bytes.
#[tokio::test]
async fn key_is_required_after_the_ids_and_before_the_payload() {
    let (_server, client) = cafe().await;
    let paths = [
        ("/v1/commands/enter", json!({"actorId": "Nova"})),
        ("/v1/commands/say", json!({"actorId": "Nova", "text": ""})),
        ("/v1/intents/execute", json!({"actorId": "Nova", "intent": "dance"})),
        ("/v1/presence/heartbeat", json!({"actorId": "Nova"})),
        ("/v1/inbox/ack", json!({"actorId": "Nova", "upToCursor": 1})),
    ];
    for (path, body) in paths {
        let without = client.request(Method::POST, path).json(&body).send().await;
        let details = without.error(400, "ERR_IDEMPOTENCY_KEY_REQUIRED");
        assert_eq!(details["correlationId"].as_str(), without.header("x-correlation-id"), "{path}");
        let blank = client.request(Method::POST, path).key("  ").json(&body).send().await;
        let _ = blank.error(400, "ERR_IDEMPOTENCY_KEY_REQUIRED");
    }
    let anonymous =
        client.request(Method::POST, "/v1/commands/say").json(&json!({"text": "hi"})).send().await;
    assert_eq!(anonymous.error(400, "ERR_MISSING_FIELD")["field"], "actorId");
    assert_eq!(anonymous.header("x-correlation-id"), None, "no trace was started");
    let body = json!({"actorId": "Nova", "itemId": "tea"});
    let _ =
        client.post("/v1/commands/order", &"k".repeat(256), body.clone()).await.error(400, "ERR_VALIDATION");
    let longest = "k".repeat(255);
    assert_eq!(client.post("/v1/commands/order", &longest, body.clone()).await.status, 202);
    let again = client.post("/v1/commands/order", &format!(" {longest} "), body).await;
    assert_eq!(again.header("x-idempotent-replay"), Some("true"));
}

#[tokio::test]
async fn key_of_a_failed_request_can_be_used_again() {
    let (_server, client) = cafe().await;
    let too_long = json!({"actorId": "Nova", "text": "x".repeat(121)});
    for _ in 0..2 {
        let answer = client.post("/v1/commands/say", "k", too_long.clone()).await;
        let _ = answer.error(400, "ERR_OUT_OF_BOUNDS");
    }
    let answer = client.post("/v1/commands/say", "k", json!({"actorId": "Nova", "text": "short"})).await;
    assert_eq!((answer.status, answer.header("x-idempotent-replay")), (202, None));
}

/// Ids that contain `:` do not make two scopes equal.
#[tokio::test]
async fn key_is_scoped_by_tenant_room_actor_path_and_intent() {
    let (_server, client) = cafe().await;
    let say = "/v1/commands/say";
    let requests = [
        (say, json!({"actorId": "Nova", "text": "hi"})),
        ("/v1/conversations/messages", json!({"actorId": "Nova", "text": "hi"})),
        (say, json!({"actorId": "Kai", "text": "hi"})),
        (say, json!({"actorId": "Nova", "text": "hi", "roomId": "attic"})),
        (say, json!({"actorId": "Nova", "text": "hi", "tenantId": "acme"})),
        (say, json!({"actorId": "b", "text": "hi", "roomId": "attic:a"})),
        (say, json!({"actorId": "a:b", "text": "hi", "roomId": "attic"})),
        ("/v1/presence/heartbeat", json!({"actorId": "Nova"})),
        ("/v1/intents/execute", json!({"actorId": "Nova", "intent": "navigate_to", "x": 1, "y": 1})),
        ("/v1/intents/execute", json!({"actorId": "Nova", "intent": "sit_at_table", "tableId": "table_1"})),
        ("/v1/inbox/ack", json!({"actorId": "Nova", "upToCursor": 1})),
        ("/v1/inbox/ack", json!({"actorId": "Nova", "upToCursor": 1, "roomId": "main"})),
    ];
    for (path, body) in &requests {
        let answer = client.post(path, "same", body.clone()).await;
        assert_eq!(answer.header("x-idempotent-replay"), None, "{path} {body}");
        let _ = answer.data();
    }
    for (path, body) in &requests {
        let answer = client.post(path, "same", body.clone()).await;
        assert_eq!(answer.header("x-idempotent-replay"), Some("true"), "{path} {body}");
    }
}

#[tokio::test]
async fn key_conflict_names_the_scope_of_each_route() {
    let (_server, client) = cafe().await;
    let client = client.lenient();
    let say = json!({"actorId": "Kai", "text": "hi @Nova", "mentions": ["Nova"], "roomId": "r"});
    let _ = client.act("/v1/commands/say", say).await.data();
    let inbox = client.get("/v1/inbox?actorId=Nova").await;
    let id = inbox.data()["items"][0]["inboxId"].as_str().unwrap();
    let cases = [
        ("/v1/conversations/messages", json!({"text": "hi"}), "r:Nova:/v1/conversations/messages".to_owned()),
        (
            "/v1/intents/execute",
            json!({"intent": "navigate_to", "x": 1, "y": 1}),
            "r:Nova:/v1/intents/execute:navigate_to".to_owned(),
        ),
        ("/v1/presence/heartbeat", json!({}), "t:r:Nova:presence:heartbeat".to_owned()),
        ("/v1/inbox/ack", json!({"upToCursor": 1}), "t:Nova:inbox:ack:r".to_owned()),
    ];
    for (path, mut body, scope) in cases {
        for (name, value) in [("tenantId", "t"), ("roomId", "r"), ("actorId", "Nova")] {
            body[name] = json!(value);
        }
        let _ = client.post(path, "k", body.clone()).await.data();
        body["more"] = json!(true);
        let answer = client.post(path, "k", body).await;
        assert_eq!(answer.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT")["scope"], scope);
    }
    let ack = format!("/v1/inbox/{id}/ack");
    let _ = client.post(&ack, "k", json!({"actorId": "Nova"})).await.data();
    let answer = client.post(&ack, "k", json!({"actorId": "Nova", "ackedBy": "Kai"})).await;
    let scope = format!("default:Nova:inbox:{id}:ack");
    assert_eq!(answer.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT")["scope"], scope);
}

/// A header with two values is refused, because which one counts would depend on the reader: keys, tokens, ids, cursors. The same
/// value twice counts as one. A quoted key, the form of the IETF draft, is the bare one.
#[tokio::test]
async fn idempotency_key_has_one_value_and_may_be_quoted() {
    let (server, client) = cafe().await;
    let say = async |headers: &str| {
        let body = json!({"actorId": "Nova", "text": "hi"}).to_string();
        let mut connection = RawConnection::open(server.address()).await;
        let head = format!(
            "POST /v1/commands/say HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n{headers}\r\n\r\n{body}",
            body.len()
        );
        connection.send(head.as_bytes()).await;
        let (status, answer) = connection.answer().await;
        (status, serde_json::from_str::<Value>(&answer).expect("JSON"))
    };
    for name in
        ["Idempotency-Key", "x-api-key", "Authorization", "x-correlation-id", "x-request-id", "Last-Event-ID"]
    {
        let (status, answer) = say(&format!("idempotency-key: a\r\n{name}: a\r\n{name}: b")).await;
        assert!(status.starts_with("HTTP/1.1 400"), "{name}: {status}");
        assert_eq!(answer["error"]["details"]["field"], name.to_lowercase());
    }
    assert_eq!(log(&client).await, Vec::<Value>::new());
    let (_, first) = say("idempotency-key: b\r\nIdempotency-Key: b").await;
    for (headers, is_replay) in
        [("idempotency-key: b", true), ("idempotency-key: \"b\"", true), ("idempotency-key: \"c\"", false)]
    {
        let (status, answer) = say(headers).await;
        assert!(status.starts_with("HTTP/1.1 202"), "{headers}: {status}");
        let is_same = answer["data"]["sequence"] == first["data"]["sequence"];
        assert_eq!(is_same, is_replay, "{headers}: {answer}");
    }
    assert_eq!(say("idempotency-key: \"\"").await.1["error"]["code"], "ERR_IDEMPOTENCY_KEY_REQUIRED");
}
