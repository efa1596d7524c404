//! Health, liveness, readiness, metrics, and the routes of the OpenAPI document.

use std::collections::BTreeSet;

use agentcafe_testkit::{Client, Method, Value, json};

use crate::{cafe, launch};

/// Parts of the health document that name their storage.
const STORES: [&str; 17] = [
    "eventStore",
    "subscriptions",
    "permissions",
    "operatorOverrides",
    "operatorAudit",
    "presence",
    "profiles",
    "tasks",
    "sharedObjects",
    "rooms",
    "tableSessions",
    "reactions",
    "roomContext",
    "inbox",
    "idempotency",
    "snapshots",
    "traces",
];

#[tokio::test]
async fn health_reports_storage_and_settings() {
    let server = launch().start().await;
    let client = Client::new(server.address());
    let _ = client
        .act("/v1/commands/say", json!({"actorId": "Nova", "text": "hey @Kai", "mentions": ["Kai"]}))
        .await
        .data();
    let health = client.health().await;
    assert_eq!(
        (&health["ok"], &health["service"], health.get("data")),
        (&json!(true), &json!("agentcafe-api"), None)
    );
    assert!(health["time"].as_str().unwrap().ends_with('Z'));
    let stores: BTreeSet<&str> = health["storage"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(stores, BTreeSet::from(STORES));
    assert!(
        health["storage"]
            .as_object()
            .unwrap()
            .values()
            .all(|kind| kind == agentcafe_testkit::store_under_test()),
        "{}",
        health["storage"]
    );
    let projector = &health["inboxProjector"];
    assert_eq!(projector["cursor"], 3);
    assert_eq!(projector["counters"]["enabled"], health["redis"]["enabled"]);
    assert!(projector["bootstrappedAt"].is_string() && projector["lastError"].is_null());
}

#[tokio::test]
async fn health_reports_the_inbox_projector() {
    let server = launch().start().await;
    let client = Client::new(server.address());
    let _ = client
        .act(
            "/v1/commands/say",
            json!({"actorId": "Nova", "text": "hey @Kai and @Bo", "mentions": ["Kai", "Bo"]}),
        )
        .await
        .data();
    let health = client.health().await;
    let projector = &health["inboxProjector"];
    for name in ["projectedEvents", "insertedItems", "rebuiltCounters"] {
        assert!(projector[name].is_u64(), "inboxProjector.{name}: {projector}");
    }
    assert_eq!(projector["insertedItems"], 2);
    assert!(projector["lastProjectedAt"].is_string(), "inboxProjector.lastProjectedAt: {projector}");
}

#[tokio::test]
async fn livez_and_readyz_are_200() {
    let (_server, client) = cafe().await;
    for path in ["/livez", "/readyz"] {
        let answer = client.get(path).await;
        assert_eq!((answer.status, &answer.json["ok"]), (200, &json!(true)), "{path}");
    }
}

#[tokio::test]
async fn metrics_count_requests_events_and_errors() {
    let server = launch().env("MOD_MAX_REPEATED_TEXT_PER_WINDOW", 1).start().await;
    let client = Client::new(server.address());
    let say = json!({"actorId": "Nova", "text": "hey @Kai", "mentions": ["Kai"]});
    let _ = client.act("/v1/commands/say", say.clone()).await.data();
    let _ = client.act("/v1/commands/say", say).await.error(429, "ERR_MODERATION_BLOCKED");
    let _ = client.act("/v1/inbox/ack", json!({"actorId": "Kai", "upToCursor": 9})).await.data();
    let _ = client.get("/v1/traces/some-id").await;
    let _ = client.get("/nowhere/at/all").await;
    let _stream = client.stream("/v1/events/stream").await;
    let answer = client.get("/metrics").await;
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text") || kind.starts_with("text/plain"), "{kind}");
    let value = |series: &str| -> f64 {
        let line = answer.text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("no {series} in:\n{}", answer.text))
    };
    let requests = |method: &str, route: &str, status: u16| {
        value(&format!(
            "agentcafe_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}"
        ))
    };
    assert_eq!(requests("POST", "/v1/commands/say", 202), 1.0);
    assert_eq!(requests("POST", "/v1/commands/say", 429), 1.0);
    assert_eq!(requests("GET", "/v1/traces/{correlationId}", 404), 1.0);
    assert_eq!(requests("GET", "unmatched", 404), 1.0);
    assert_eq!(value("agentcafe_log_head"), 3.0);
    assert_eq!(value("agentcafe_stream_clients"), 1.0);
    assert_eq!(value("agentcafe_moderation_blocks_total{reason=\"MOD_REPEAT_TEXT\"}"), 1.0);
    assert_eq!(value("agentcafe_inbox_enqueue_seconds_count"), 1.0);
    assert_eq!(value("agentcafe_inbox_ack_seconds_count"), 1.0);
    assert!(value("agentcafe_turn_commands_count") >= 2.0);
    assert!(value("agentcafe_turn_seconds_count") >= 2.0);
}

/// Each reason has a series before its first block.
#[tokio::test]
async fn metrics_have_override_blocks_by_reason() {
    let (_server, client) = cafe().await;
    let page = client.metrics().await;
    for reason in ["ROOM_PAUSED", "ACTOR_MUTED"] {
        let series = format!("agentcafe_override_blocks_total{{reason=\"{reason}\"}} 0");
        assert!(page.contains(&series), "no {series}");
    }
}

/// Method and path of every operation of the OpenAPI document, with its parameters in place of references to them.
pub(crate) async fn documented(client: &Client) -> Vec<(String, String, Value)> {
    let document = client.get("/openapi.json").await.json;
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let mut operation = operation.clone();
            for parameter in operation["parameters"].as_array_mut().into_iter().flatten() {
                let pointer = parameter["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
                if let Some(referenced) = pointer.and_then(|pointer| document.pointer(pointer)).cloned() {
                    *parameter = referenced;
                }
            }
            operations.push((method.clone(), path.clone(), operation));
        }
    }
    operations
}

/// Every route that the document lists exists; docs/proofs.md has a row for each of them.
#[tokio::test]
async fn openapi_lists_only_routes_that_exist() {
    let (_server, client) = cafe().await;
    for (method, path, _) in documented(&client).await {
        let path = path.replace(['{', '}'], "");
        let method: Method = method.to_uppercase().parse().unwrap();
        let head = if method == Method::GET { Method::HEAD } else { method };
        if path.ends_with("/poll") {
            continue; // It would wait; long_poll.rs tests it.
        }
        let answer = client.request(head.clone(), &path).send().await;
        assert!(answer.header("allow").is_none() && answer.status < 500, "{head} {path}: {}", answer.status);
        assert_ne!(answer.json["error"]["code"], "ERR_UNSUPPORTED_ACTION", "{head} {path}");
    }
}

/// It is an OpenAPI 3.1 document.
#[tokio::test]
async fn openapi_references_resolve_and_operations_are_complete() {
    let (_server, client) = cafe().await;
    let document = client.get("/openapi.json").await.json;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} does not resolve");
    }
    let mut ids = BTreeSet::new();
    for (method, path, operation) in documented(&client).await {
        let what = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{what}");
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
            "{what}: its operation id is not unique"
        );
        assert!(
            operation["responses"]
                .as_object()
                .is_some_and(|responses| responses.keys().any(|status| status.starts_with('2'))),
            "{what}"
        );
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let named = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            assert!(named(name), "{what}: {name} is not described");
        }
        assert_eq!(named("Idempotency-Key"), method != "get", "{what}");
        let has_body = matches!(method.as_str(), "post" | "patch");
        assert_eq!(operation["requestBody"].is_object(), has_body, "{what}");
    }
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect_references(member, found));
        }
        Value::Array(members) => members.iter().for_each(|member| collect_references(member, found)),
        _ => {}
    }
}
