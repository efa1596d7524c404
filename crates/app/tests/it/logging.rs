//! The log of the process: its format, and the spans of requests and commit batches.

use agentcafe_testkit::{Method, Value, json};

use crate::launch;

/// The log of a server that answered one `say`, line by line.
async fn log_of_a_say(settings: &[(&str, &str)]) -> Vec<String> {
    let launch = settings.iter().fold(launch(), |launch, (name, value)| launch.env(name, value));
    let mut server = launch.start().await;
    let say = server.client().request(Method::POST, "/v1/commands/say").key("k");
    let say = say.header("x-request-id", "request-1").header("x-correlation-id", "correlation-1");
    let answer = say.json(&json!({"tenantId": "acme", "actorId": "Nova", "text": "hi"})).send().await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert!(server.stop().await.success(), "{}", server.log());
    server.log().lines().map(str::to_owned).collect()
}

/// Each line is a JSON object; a request and the batch that commits it have spans with what one searches them by.
#[tokio::test]
async fn log_in_json_has_a_span_for_each_request_and_commit_batch() {
    let log = log_of_a_say(&[("LOG_FORMAT", "json"), ("AGENTCAFE_LOG", "debug")]).await;
    let parse = |line: &String| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{line}"));
    let lines: Vec<Value> = log.iter().map(parse).collect();
    for line in &lines {
        assert!(["timestamp", "level", "message"].iter().all(|name| line[name].is_string()), "{line}");
    }
    let answered = lines.iter().find(|line| line["span"]["request_id"] == "request-1").expect("it is logged");
    let span = &answered["span"];
    assert!(span["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{answered}");
    for (field, want) in [
        ("correlation_id", json!("correlation-1")),
        ("tenant", json!("acme")),
        ("actor", json!("Nova")),
        ("room", Value::Null),
        ("method", json!("POST")),
        ("route", json!("/v1/commands/say")),
        ("status", json!(202)),
    ] {
        assert_eq!(span[field], want, "{field} of {answered}");
    }
    let has_events = |line: &&Value| line["events"].as_u64().is_some_and(|events| events > 0);
    let batch = lines.iter().find(has_events).expect("the batch is logged");
    assert_eq!((&batch["span"]["name"], &batch["message"]), (&json!("commit_batch"), &json!("committed")));
    // Commands of the server itself may share the batch.
    let has_commands = batch["span"]["commands"].as_u64().is_some_and(|commands| commands > 0);
    assert!(has_commands && batch["head"].is_u64(), "{batch}");
}

/// Text is the default; at its default level, the log has no line for a request that succeeded.
#[tokio::test]
async fn log_in_text_has_lines_for_requests_only_at_debug() {
    let at_info = log_of_a_say(&[]).await.join("\n");
    assert!(at_info.contains(" INFO ") && !at_info.contains("request-1"), "{at_info}");
    let at_debug = log_of_a_say(&[("AGENTCAFE_LOG", "info,agentcafe_http=debug")]).await;
    let of_request = |line: &&String| line.contains("request-1") && line.contains("status=202");
    assert!(at_debug.iter().any(|line| of_request(&line)), "{at_debug:?}");
}
