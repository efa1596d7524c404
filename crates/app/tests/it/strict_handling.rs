//! Names that an operation does not read: refused under `Prefer: handling=strict`, else named in `x-agentcafe-warnings`.

use agentcafe_testkit::{Answer, Client, Method, Server, Value, fresh_key, json};

use crate::realtime::{launch_realtime, wait_until_caught_up};
use crate::websocket_client::Socket;
use crate::{UNKNOWN_ID, cafe, log};

const SAY: &str = "/v1/commands/say";
const WARNINGS: &str = "x-agentcafe-warnings";
const APPLIED: &str = "preference-applied";

/// A started server, a client that asks for strict handling, and one that does not.
async fn both() -> (Server, Client, Client) {
    let (server, client) = cafe().await;
    let lenient = client.clone().lenient();
    (server, client, lenient)
}

/// Checks that a strict request is refused because of this name.
#[track_caller]
fn check_refused(answer: &Answer, field: &str, nearest: Option<&str>) {
    let details = answer.error(400, "ERR_VALIDATION");
    assert_eq!((&details["field"], &details["nearest"]), (&json!(field), &json!(nearest)), "{}", answer.text);
    assert_eq!((answer.header(APPLIED), answer.header(WARNINGS)), (Some("handling=strict"), None));
}

/// The key of a refused request is not used up, and nothing was appended.
#[tokio::test]
async fn strict_handling_refuses_unknown_members_before_anything_takes_effect() {
    let (_server, client, _) = both().await;
    let wrong = json!({"actorId": "Nova", "txt": "hi", "text": "hi", "thread_id": "t"});
    let refused = client.post(SAY, "say-1", wrong).await;
    check_refused(&refused, "thread_id", Some("threadId"));
    let message = refused.json["error"]["message"].as_str().unwrap();
    let start = "body member thread_id is unknown (nearest: threadId), body member txt is unknown (nearest: text). \
                 The body takes actorId, ";
    let end = "ttlMs. Correct the names or leave them out; without Prefer: handling=strict they are ignored";
    assert!(message.starts_with(start) && message.ends_with(end), "{message}");
    assert!(refused.json["error"]["details"]["allowed"].as_array().unwrap().contains(&json!("threadId")));
    let unknown = json!([{"field": "thread_id", "in": "body", "nearest": "threadId"},
        {"field": "txt", "in": "body", "nearest": "text"}]);
    assert_eq!(refused.json["error"]["details"]["unknown"], unknown);
    assert_eq!(log(&client).await, Vec::<Value>::new());
    let right = client.post(SAY, "say-1", json!({"actorId": "Nova", "text": "hi", "threadId": "t"})).await;
    assert_eq!((right.status, right.header("x-idempotent-replay")), (202, None));
    assert_eq!((right.header(APPLIED), right.header(WARNINGS)), (Some("handling=strict"), None));
}

/// Of every kind of request.
#[tokio::test]
async fn unknown_names_are_refused_or_named_in_a_warning() {
    let (_server, strict, lenient) = both().await;
    let created = strict.act("/v1/tasks", json!({"actorId": "Nova", "title": "t"})).await;
    let task = format!("/v1/tasks/{}", created.data()["task"]["taskId"].as_str().unwrap());
    let say = json!({"actorId": "Nova", "text": "hi"});
    for (method, path, body, field, nearest, warning) in [
        (
            "GET",
            "/v1/tasks?room_id=main",
            None,
            "room_id",
            Some("roomId"),
            "query parameter room_id is unknown (nearest: roomId)",
        ),
        (
            "GET",
            "/v1/tasks?ROOMID=a&ROOMID=b",
            None,
            "ROOMID",
            Some("roomId"),
            "query parameter ROOMID is unknown (nearest: roomId)",
        ),
        ("GET", "/v1/rooms?colour=red", None, "colour", None, "query parameter colour is unknown"),
        (
            "GET",
            "/v1/events?limits=1",
            None,
            "limits",
            Some("limit"),
            "query parameter limits is unknown (nearest: limit)",
        ),
        (
            "GET",
            "/v1/events/poll?timeout=0&timeoutMs=0",
            None,
            "timeout",
            Some("timeoutMs"),
            "query parameter timeout is unknown (nearest: timeoutMs)",
        ),
        (
            "GET",
            "/v1/replay?roomid=main",
            None,
            "roomid",
            Some("roomId"),
            "query parameter roomid is unknown (nearest: roomId)",
        ),
        ("GET", &format!("{task}?x%0d%0ay=1"), None, "x\r\ny", None, "query parameter x%0D%0Ay is unknown"),
        (
            "POST",
            SAY,
            Some(json!({"actorId": "Nova", "text": "hi", "room": "x"})),
            "room",
            Some("roomId"),
            "body member room is unknown (nearest: roomId)",
        ),
        (
            "POST",
            &format!("{SAY}?text=hi"),
            Some(say),
            "text",
            Some("text"),
            "query parameter text is unknown (nearest: text in the body)",
        ),
        (
            "POST",
            "/v1/profiles",
            Some(json!({"actorId": "Nova", "displayName": "N", "theme": {"bubble_color": "#000000"}})),
            "theme.bubble_color",
            Some("theme.bubbleColor"),
            "body member theme.bubble_color is unknown (nearest: theme.bubbleColor)",
        ),
        (
            "POST",
            "/v1/intents/execute",
            Some(json!({"actorId": "Nova", "intent": "navigate_to", "payload": {"x": 3, "y": 4, "z": 5}})),
            "payload.z",
            None,
            "body member payload.z is unknown",
        ),
        (
            "POST",
            "/v1/reactions/subscriptions",
            Some(json!({"targetActorId": "Nova", "actionType": "say", "enabled": false,
          "actionPayload": {"text": "hi", "ttl_ms": 3000}})),
            "actionPayload.ttl_ms",
            Some("actionPayload.ttlMs"),
            "body member actionPayload.ttl_ms is unknown (nearest: actionPayload.ttlMs)",
        ),
        (
            "PATCH",
            &task,
            Some(json!({"actorId": "Nova", "State": "active", "progress": 1})),
            "State",
            Some("state"),
            "body member State is unknown (nearest: state)",
        ),
        (
            "DELETE",
            "/v1/profiles/Nova?tenant=default",
            None,
            "tenant",
            Some("tenantId"),
            "query parameter tenant is unknown (nearest: tenantId)",
        ),
    ] {
        let send = async |client: &Client| {
            let request =
                client.request(Method::from_bytes(method.as_bytes()).unwrap(), path).key(&fresh_key());
            match &body {
                Some(body) => request.json(body).send().await,
                None => request.send().await,
            }
        };
        check_refused(&send(&strict).await, field, nearest);
        let answer = send(&lenient).await;
        assert_eq!(answer.header(WARNINGS), Some(warning), "{method} {path}: {}", answer.text);
        assert_eq!(answer.header(APPLIED), None);
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text);
    }
}

/// Objects that are kept as they are have no unknown members; null, an empty parameter and the token's parameter are nothing new.
#[tokio::test]
async fn strict_handling_accepts_free_objects_and_credentials() {
    let (_server, client, _) = both().await;
    for (path, body) in [
        ("/v1/commands/enter", json!({"actorId": "Nova", "payload": {"any": {"thing": 1}}})),
        ("/v1/objects", json!({"actorId": "Nova", "data": {"x": 1}, "metadata": {"y": 1}, "content": null})),
        ("/v1/snapshots/room", json!({"state": {"any": 1}})),
        ("/v1/presence/heartbeat?tenantId=default&roomId=main&actorId=Nova&apiKey=k", json!({})),
    ] {
        let answer = client.act(path, body).await;
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.text);
        assert_eq!(answer.header(APPLIED), Some("handling=strict"));
    }
    assert_eq!(client.get("/v1/tasks?roomId=&limit=&apiKey=k&ticket=t").await.status, 200);
}

/// Also without effect, and refused for another reason.
#[tokio::test]
async fn warnings_come_with_errors_and_with_replays() {
    let (_server, _, client) = both().await;
    let body = json!({"actorId": "Nova", "text": "hi", "txt": 1});
    let warning = Some("body member txt is unknown (nearest: text)");
    for replayed in [None, Some("true")] {
        let answer = client.post(SAY, "k", body.clone()).await;
        let headers = (answer.header(WARNINGS), answer.header("x-idempotent-replay"));
        assert_eq!((answer.status, headers), (202, (warning, replayed)));
    }
    let refused = client.act(SAY, json!({"actorId": "Nova", "txt": 1})).await;
    let _ = refused.error(400, "ERR_MISSING_FIELD");
    assert_eq!(refused.header(WARNINGS), warning);
    let missing = client.get(&format!("/v1/tasks/{UNKNOWN_ID}?viewer=Nova")).await;
    let _ = missing.error(404, "ERR_NOT_FOUND");
    assert!(missing.header(WARNINGS).unwrap().starts_with("query parameter viewer is unknown"));
}

/// Whatever a client sends, no header comes of it.
#[tokio::test]
async fn warnings_are_bounded_and_ascii() {
    let (_server, _, client) = both().await;
    let mut body = json!({"actorId": "Nova", "text": "hi", "!\r\nset-cookie: b=c, d\u{202e}": 1});
    for number in 0..1_000 {
        body[format!("{number}{}", "\u{1f600}".repeat(100))] = json!(number);
    }
    let answer = client.act(SAY, body).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (202, None), "{}", answer.text);
    let warnings = answer.header(WARNINGS).unwrap();
    assert!(warnings.ends_with(", 993 more are unknown") && warnings.len() < 1_500, "{warnings}");
}

/// As RFC 7240 has it: in any case, quoted, among others, on several lines; the first one counts.
#[tokio::test]
async fn prefer_header_is_read_among_other_preferences() {
    let (_server, _, client) = both().await;
    for (preference, status) in [
        ("handling=strict", 400),
        ("respond-async, HANDLING=\"Strict\"; x=y, wait=5", 400),
        ("handling=lenient, handling=strict", 200),
        ("note=\"a, handling=strict\"", 200),
        ("handling", 200),
    ] {
        let answer = client.request(Method::GET, "/v1/tasks?foo=1").header("prefer", preference).send().await;
        assert_eq!(answer.status, status, "{preference}");
    }
}

/// The event stream and the WebSocket of the API and of realtime.
#[tokio::test]
async fn streams_refuse_unknown_parameters_or_name_them() {
    let (server, strict, lenient) = both().await;
    let realtime = launch_realtime(&server).start().await;
    wait_until_caught_up(&realtime, &strict).await;
    let at_realtime = |client: &Client| client.clone().at(realtime.address());
    for (client, lenient, path) in [
        (strict.clone(), lenient.clone(), "/v1/streams/market-events"),
        (at_realtime(&strict), at_realtime(&lenient), "/v1/stream"),
    ] {
        let path = format!("{path}?room_id=main");
        let refused = client.request(Method::GET, &path).stream().await.err().unwrap();
        check_refused(&refused, "room_id", Some("roomId"));
        let stream = lenient.request(Method::GET, &path).stream().await.unwrap();
        let warning = stream.headers().get(WARNINGS).and_then(|value| value.to_str().ok());
        assert_eq!(warning, Some("query parameter room_id is unknown (nearest: roomId)"));
    }
    for address in [server.address(), realtime.address()] {
        let open =
            async |preference| Socket::open(address, "/v1/ws?romId=main", &[("prefer", preference)]).await;
        assert_eq!(open("handling=strict").await.err(), Some(Some(400)));
        let _ = open("handling=lenient").await.expect("it opens");
    }
}
