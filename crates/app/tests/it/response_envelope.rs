//! What all responses have in common: the envelope, ids, headers, and errors of unknown routes.

use agentcafe_testkit::{Method, json};

use crate::{cafe, log};

/// `x-request-id` is trimmed and echoed, else generated. It is on every response, errors and streams included
/// ([`agentcafe_testkit::Answer::error`] compares it with `error.requestId`).
#[tokio::test]
async fn request_id_is_echoed_or_generated() {
    let (_server, client) = cafe().await;
    for (path, status) in
        [("/healthz", 200), ("/v1/events", 200), ("/v1/events?cursor=x", 400), ("/nowhere", 404)]
    {
        let given = client.request(Method::GET, path).header("x-request-id", "  request 7 ").send().await;
        assert_eq!((given.status, given.header("x-request-id")), (status, Some("request 7")), "{path}");
        let blank = client.request(Method::GET, path).header("x-request-id", "  ").send().await;
        let fresh =
            [blank, client.get(path).await].map(|answer| answer.header("x-request-id").unwrap().to_owned());
        assert!(fresh.iter().all(|id| id.len() == 36) && fresh[0] != fresh[1], "{path}: {fresh:?}");
    }
    let refused = client.request(Method::GET, "/nowhere").header("x-request-id", "r1").send().await;
    assert_eq!(refused.json["error"]["requestId"], "r1");
    let stream = client.request(Method::GET, "/v1/events/stream").header("x-request-id", "r2").stream().await;
    assert_eq!(stream.unwrap().headers()["x-request-id"], "r2");
}

/// It is in the response, in its header, and on every event.
#[tokio::test]
async fn correlation_id_is_from_the_body_then_the_header_else_generated() {
    let (_server, client) = cafe().await;
    let cases = [
        (json!("from-body"), Some("from-header"), Some("from-body")),
        (json!(null), Some("from-header"), Some("from-header")),
        (json!(""), Some("from-header"), Some("from-header")),
        (json!("not a uuid, and that is fine"), None, Some("not a uuid, and that is fine")),
        (json!(null), None, None),
    ];
    for (in_body, in_header, want) in cases {
        let body = json!({"actorId": "Nova", "text": "hi @Kai", "correlationId": in_body});
        let request =
            client.request(Method::POST, "/v1/commands/say").key(&agentcafe_testkit::fresh_key()).json(&body);
        let request =
            in_header.into_iter().fold(request, |request, id| request.header("x-correlation-id", id));
        let answer = request.send().await;
        let got = answer.data()["correlationId"].as_str().unwrap().to_owned();
        assert_eq!(answer.header("x-correlation-id"), Some(got.as_str()));
        match want {
            Some(want) => assert_eq!(got, want),
            None => assert_eq!(got.len(), 36, "a fresh UUID: {got}"),
        }
        let emitted = answer.data()["emittedEvents"].as_array().unwrap().len();
        let events = log(&client).await;
        let newest = &events[events.len() - emitted..];
        assert!(newest.iter().all(|event| event["correlationId"] == got.as_str()), "{newest:?}");
    }
}

/// An id has 1 to 128 characters without control characters, in the body, the header and the query alike.
#[tokio::test]
async fn correlation_id_that_is_invalid_is_refused() {
    let (_server, client) = cafe().await;
    for bad in [json!(7), json!([]), json!("a\u{1}b"), json!("x".repeat(129))] {
        let answer = client
            .act("/v1/commands/say", json!({"actorId": "Nova", "text": "hi", "correlationId": bad}))
            .await;
        assert_eq!(answer.error(400, "ERR_VALIDATION")["field"], "correlationId", "{bad}");
    }
    let request = client
        .request(Method::POST, "/v1/commands/say")
        .key("k")
        .json(&json!({"actorId": "Nova", "text": "hi"}));
    let answer = request.header("x-correlation-id", &"x".repeat(129)).send().await;
    assert_eq!(answer.error(400, "ERR_VALIDATION")["field"], "x-correlation-id");
    assert!(log(&client).await.is_empty());
}

/// Successes and errors alike.
#[tokio::test]
async fn json_responses_are_utf8_and_not_cached() {
    let (_server, client) = cafe().await;
    let answers = [
        client.get("/healthz").await,
        client.get("/livez").await,
        client.get("/readyz").await,
        client.get("/openapi.json").await,
        client.get("/v1/events").await,
        client.get("/v1/bootstrap").await,
        client.get("/v1/events?limit=x").await,
        client.get("/nowhere").await,
        client.act("/v1/commands/enter", json!({"actorId": "Nova"})).await,
        client.act("/v1/commands/enter", json!({})).await,
    ];
    for answer in answers {
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"), "{}", answer.text);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{}", answer.text);
        assert!(answer.json["ok"].is_boolean() || answer.json["openapi"].is_string(), "{}", answer.text);
    }
}

/// A wrong method is 404, never 405, and `Allow` lists the methods. A trailing slash makes another, unknown route.
#[tokio::test]
async fn unknown_routes_and_methods_are_unsupported_actions() {
    let (_server, client) = cafe().await;
    let cases = [
        (Method::GET, "/", None),
        (Method::GET, "/v1", None),
        (Method::GET, "/v1/nowhere", None),
        (Method::GET, "/v1/events/", None),
        (Method::POST, "/v1/commands/dance", None),
        (Method::POST, "/v1/commands/say/", None),
        (Method::POST, "/v1/inbox/a/b/ack", None),
        (Method::POST, "/v1/inbox/a/b", None),
        (Method::POST, "/v1/events", Some("GET")),
        (Method::DELETE, "/v1/events", Some("GET")),
        (Method::GET, "/v1/commands/say", Some("POST")),
        (Method::PUT, "/v1/commands/say", Some("POST")),
        (Method::PATCH, "/v1/presence/heartbeat", Some("POST")),
        (Method::OPTIONS, "/v1/presence", Some("GET")),
        (Method::POST, "/healthz", Some("GET")),
    ];
    for (method, path, allow) in cases {
        let answer = client.request(method.clone(), path).send().await;
        let details = answer.error(404, "ERR_UNSUPPORTED_ACTION");
        assert_eq!((&details["method"], &details["path"]), (&json!(method.as_str()), &json!(path)));
        let allowed = answer.header("allow").unwrap_or_default();
        assert_eq!(
            allowed.split(',').any(|name| Some(name.trim()) == allow),
            allow.is_some(),
            "{method} {path}: {allowed}"
        );
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let (_server, client) = cafe().await;
    for (path, status) in
        [("/healthz", 200), ("/v1/events", 200), ("/v1/traces/none", 404), ("/v1/events?limit=x", 400)]
    {
        let answer = client.request(Method::HEAD, path).send().await;
        assert_eq!((answer.status, answer.text.as_str()), (status, ""), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"), "{path}");
    }
}

#[tokio::test]
async fn path_that_is_not_utf8_is_a_validation_error() {
    let (_server, client) = cafe().await;
    for id in ["%ff", "%c3%28", "%00", "%ed%a0%80"] {
        let _ = client.get(&format!("/v1/traces/{id}")).await.error(400, "ERR_VALIDATION");
        let answer = client.act(&format!("/v1/inbox/{id}/ack"), json!({"actorId": "Nova"})).await;
        let _ = answer.error(400, "ERR_VALIDATION");
    }
}

#[tokio::test]
async fn path_with_malformed_percent_encoding_is_a_validation_error() {
    let (_server, client) = cafe().await;
    for id in ["%zz", "%", "%4", "a%2"] {
        let _ = client.get(&format!("/v1/traces/{id}")).await.error(400, "ERR_VALIDATION");
    }
}
