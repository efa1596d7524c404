//! What every answer has in common: envelopes, ids, headers, and what is said of routes that are not there.

use agentcafe_testkit::{Method, json};

use crate::{cafe, log};

/// CONTRACT 2.3: `x-request-id` is taken over trimmed, else fresh; 2.2: it is on every response, errors and streams
/// included ([`agentcafe_testkit::Answer::error`] compares it with `error.requestId`).
#[tokio::test]
async fn the_request_id_is_echoed() {
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

/// CONTRACT 2.3 and RULINGS E8: the correlation id is the body's, else the header's, else fresh; it is in the answer,
/// its header, and every event.
#[tokio::test]
async fn the_correlation_id_comes_from_body_header_or_nowhere() {
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

/// RULINGS E8: 1 to 128 characters, no control characters; anything else is refused, wherever it stands.
#[tokio::test]
async fn a_bad_correlation_id_is_refused() {
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

/// CONTRACT 2.2: every JSON answer is UTF-8 JSON that nobody stores, whatever became of the request.
#[tokio::test]
async fn json_answers_say_what_they_are() {
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

/// CONTRACT 2.8 and 8: unknown routes and trailing slashes are unsupported actions; RULINGS R1: so are wrong methods,
/// never 405, and `Allow` says which methods there are.
#[tokio::test]
async fn what_is_not_there_is_an_unsupported_action() {
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

/// RULINGS R5 and B7: HEAD answers as GET does, without a body.
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

/// RULINGS R2 and "text": a path that is not percent-encoded UTF-8 is a validation error, not a fault of ours.
#[tokio::test]
async fn a_path_that_is_no_text_is_refused() {
    let (_server, client) = cafe().await;
    for id in ["%ff", "%c3%28", "%00", "%ed%a0%80"] {
        let _ = client.get(&format!("/v1/traces/{id}")).await.error(400, "ERR_VALIDATION");
        let answer = client.act(&format!("/v1/inbox/{id}/ack"), json!({"actorId": "Nova"})).await;
        let _ = answer.error(400, "ERR_VALIDATION");
    }
}

/// RULINGS R2: so is a path whose escapes are none.
#[tokio::test]
async fn a_path_with_broken_escapes_is_refused() {
    let (_server, client) = cafe().await;
    for id in ["%zz", "%", "%4", "a%2"] {
        let _ = client.get(&format!("/v1/traces/{id}")).await.error(400, "ERR_VALIDATION");
    }
}
