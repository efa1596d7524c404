//! Invalid and extreme input: for any value in any field of any route, the response is a success or an error of the
//! catalogue, never a 500, and the server keeps running. The routes, and the valid bodies to start from, come from
//! the OpenAPI document.

use std::sync::Arc;

use agentcafe_testkit::{Answer, Client, Method, Request, SHARED_TOKEN, Server, Value, fresh_key, json};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::values::odd_values;
use crate::monitoring::documented;
use crate::{UNKNOWN_ID, launch, log, promote};

mod values;

/// A started server, and a client with its shared token: API keys are made, after which others are refused. Unknown names are not
/// refused, so that what else is wrong comes up.
async fn cafe() -> (Server, Client) {
    let server = launch().with_shared_token().start().await;
    let client = server.client().lenient().with_token(SHARED_TOKEN);
    (server, client)
}

/// Concurrent requests.
const CONCURRENCY: usize = 24;

/// The codes of the error catalogue, without those of a fault of the server.
const CATALOGUE: [&str; 21] = [
    "ERR_VALIDATION",
    "ERR_MISSING_FIELD",
    "ERR_INVALID_ENUM",
    "ERR_INVALID_DIRECTION",
    "ERR_INVALID_URL",
    "ERR_INVALID_COLOR",
    "ERR_UNKNOWN_TABLE",
    "ERR_OUT_OF_BOUNDS",
    "ERR_IDEMPOTENCY_KEY_REQUIRED",
    "ERR_PAYMENT_REQUIRED",
    "ERR_FORBIDDEN",
    "ERR_PLAN_FEATURE_DISABLED",
    "ERR_NOT_FOUND",
    "ERR_UNSUPPORTED_ACTION",
    "ERR_IDEMPOTENCY_KEY_CONFLICT",
    "ERR_CONFLICT",
    "ERR_CURSOR_AHEAD",
    "ERR_PAYLOAD_TOO_LARGE",
    "ERR_OPERATOR_OVERRIDE_BLOCKED",
    "ERR_RATE_LIMITED",
    "ERR_MODERATION_BLOCKED",
];

/// Panics unless the response is a success or an error of the catalogue, in its envelope. `what` describes the
/// request.
fn assert_valid_response(what: &str, answer: &Answer) {
    let what: String = what.chars().take(400).collect();
    let shown: String = answer.text.chars().take(600).collect();
    assert!(answer.status < 500, "{what}: {} {shown}", answer.status);
    let error = &answer.json["error"];
    match answer.status {
        200..300 => assert!(answer.json["ok"] == true, "{what}: {shown}"),
        status => {
            let code = error["code"].as_str().unwrap_or_default();
            assert!(CATALOGUE.contains(&code), "{what}: {status} {shown}");
            assert!(answer.json["ok"] == false && error["details"].is_object(), "{what}: {shown}");
            assert_eq!(error["requestId"].as_str(), answer.header("x-request-id"), "{what}");
        }
    }
}

/// Sends all requests, some concurrently, and checks each response. Of a stream, only the start is read.
async fn send_all(requests: Vec<(String, Request)>) {
    let permits = Arc::new(Semaphore::new(CONCURRENCY));
    let mut under_way = JoinSet::new();
    for (what, request) in requests {
        let permit = Arc::clone(&permits).acquire_owned().await.expect("never closed");
        under_way.spawn(async move {
            if let Err(answer) = request.stream().await {
                assert_valid_response(&what, &answer);
            }
            drop(permit);
        });
    }
    while let Some(done) = under_way.join_next().await {
        if let Err(panicked) = done {
            std::panic::resume_unwind(panicked.into_panic());
        }
    }
}

/// Checks that the server is ready, has counted no 5xx, and that its data is readable, also after a restart.
async fn assert_healthy(mut server: agentcafe_testkit::Server, client: Client) {
    let metrics = client.metrics().await;
    let faults: Vec<&str> = metrics.lines().filter(|line| line.contains("status=\"5")).collect();
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(client.get("/readyz").await.status, 200);
    let kept = log(&client).await;
    assert!(!server.log().contains("panicked"), "{}", server.log());
    server.restart().await;
    // Expired presence may have appended events meanwhile.
    assert!(
        log(&server.client().with_token(SHARED_TOKEN)).await.starts_with(&kept),
        "the log differs after a restart"
    );
}

/// JSON pointers to every value in a body.
fn pointers_into(value: &Value, at: &str, pointers: &mut Vec<String>) {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            let pointer = format!("{at}/{}", escaped(name));
            pointers_into(member, &pointer, pointers);
            pointers.push(pointer);
        }),
        Value::Array(members) => members.iter().enumerate().for_each(|(index, member)| {
            let pointer = format!("{at}/{index}");
            pointers_into(member, &pointer, pointers);
            pointers.push(pointer);
        }),
        _ => {}
    }
}

/// A mutation of the OpenAPI document: its path, a valid body, and every field of the body with an example.
#[derive(Clone, Debug)]
struct Mutation {
    method: Method,
    path: String,
    target: String,
    valid_body: Value,
    fields: Vec<(String, Value)>,
    needs_fields: bool,
}

/// Creates the records of some paths, and returns their ids; other paths have unknown ids.
async fn fixture_ids(client: &Client) -> Vec<(String, String)> {
    let mut ids = Vec::new();
    for (path, thing, id) in [("/v1/tasks", "task", "taskId"), ("/v1/objects", "object", "objectId")] {
        let made = client.act(path, json!({"actorId": "Nova", "title": "t"})).await;
        ids.push((format!("{{{id}}}"), made.data()[thing][id].as_str().unwrap_or_default().to_owned()));
    }
    ids
}

impl Mutation {
    fn request(&self, client: &Client) -> Request {
        client.request(self.method.clone(), &self.target).key(&fresh_key())
    }
}

/// Mutations of the OpenAPI document with a body.
async fn mutations(client: &Client) -> Vec<Mutation> {
    let operations =
        documented(client).await.into_iter().filter(|(.., operation)| operation["requestBody"].is_object());
    let fixture_ids = fixture_ids(client).await;
    let named = |part: &str| match fixture_ids.iter().find(|(name, _)| name == part) {
        Some((_, id)) => id.clone(),
        None if part.starts_with('{') => UNKNOWN_ID.to_owned(),
        None => part.to_owned(),
    };
    let mutation = |(method, path, operation): (String, String, Value)| {
        let content = &operation["requestBody"]["content"]["application/json"];
        let schema = &content["schema"];
        let mut valid_body = content["examples"]["request"]["value"].clone();
        // Webhooks and reactions are created disabled: their effects are not tested here.
        if schema["properties"].get("enabled").is_some() {
            valid_body["enabled"] = json!(false);
        }
        let properties = schema["properties"].as_object().into_iter().flatten();
        let fields = properties.map(|(name, field)| (name.clone(), field["examples"][0].clone())).collect();
        let needs_fields = schema["required"].as_array().is_some_and(|required| !required.is_empty());
        let method = method.to_uppercase().parse().expect("a method");
        let target = path.split('/').map(named).collect::<Vec<_>>().join("/");
        Mutation { method, path, target, valid_body, fields, needs_fields }
    };
    operations.map(mutation).collect()
}

/// Requests with a valid body in which one field, and each value in it, is replaced by each odd value, or missing.
fn odd_bodies(client: &Client, mutation: &Mutation, name: &str, example: &Value) -> Vec<(String, Request)> {
    let mut valid = mutation.valid_body.clone();
    if valid.get(name).is_none() {
        valid[name] = example.clone();
    }
    let mut pointers = vec![format!("/{name}")];
    pointers_into(&valid[name], &pointers[0].clone(), &mut pointers);
    let mut requests = Vec::new();
    for pointer in pointers {
        for value in odd_values() {
            let mut body = valid.clone();
            *body.pointer_mut(&pointer).expect("a pointer into the body") = value.clone();
            let what = format!("{} {pointer} = {value}", mutation.path);
            requests.push((what, mutation.request(client).json(&body)));
        }
        let mut body = valid.clone();
        if let Some((parent, name)) = pointer.rsplit_once('/')
            && let Some(Value::Object(members)) = body.pointer_mut(parent)
        {
            members.remove(name);
        }
        requests.push((format!("{} without {pointer}", mutation.path), mutation.request(client).json(&body)));
    }
    requests
}

/// Every field of every mutation, and every nested value, is replaced by each of the values in turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_fields_with_any_value_cause_no_500() {
    let (server, client) = cafe().await;
    promote(&client, "Nova", "main").await;
    let mut requests = Vec::new();
    for mutation in mutations(&client).await {
        let path = &mutation.path;
        let answer = mutation.request(&client).json(&mutation.valid_body).send().await;
        assert!(matches!(answer.status, 200..=202 | 404), "{path}: the body is not valid: {}", answer.text);
        for (name, example) in &mutation.fields {
            assert!(!example.is_null(), "{path}: {name} has no example");
            requests.extend(odd_bodies(&client, &mutation, name, example));
        }
    }
    assert!(requests.len() > 10_000, "only {} requests", requests.len());
    send_all(requests).await;
    assert_healthy(server, client).await;
}

/// Requests with odd values of one parameter in the query or the path; none for headers.
fn odd_requests(client: &Client, method: &str, path: &str, parameter: &Value) -> Vec<(String, Request)> {
    let name = parameter["name"].as_str().unwrap_or_default();
    let odd = odd_values().into_iter().map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
    let mut values: Vec<String> = odd.filter(|text| text.len() < 10_000).map(|text| encoded(&text)).collect();
    values.extend(RAW.map(str::to_owned));
    // A poll without events would wait; errors of its timeout are returned at once.
    let timeout = if path.ends_with("/poll") && name != "timeoutMs" { "timeoutMs=0&" } else { "" };
    let fill = |value: &str| match parameter["in"].as_str() {
        Some("query") => Some(format!("{path}?{timeout}{name}={value}")),
        Some("path") => Some(path.replace(&format!("{{{name}}}"), value)),
        _ => None,
    };
    let request = |target: String| {
        let request = client.request(method.parse().expect("a method"), &target).key(&fresh_key());
        let request = if method == "GET" { request } else { request.json(&json!({"actorId": "Nova"})) };
        (format!("{method} {target}"), request)
    };
    values.iter().filter_map(|value| fill(value)).map(request).collect()
}

/// Malformed and unusual percent-encodings.
const RAW: [&str; 9] = ["%ff", "%00", "%zz", "%", "%c3%28", "+", "a=b=c", "a&cursor=x", "%ed%a0%80"];

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Every parameter of every read is replaced by each of the values in turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn query_and_path_parameters_with_any_value_cause_no_500() {
    let (server, client) = cafe().await;
    let _ = client.act("/v1/commands/say", json!({"actorId": "Nova", "text": "hey @Kai"})).await.data();
    let mut requests = Vec::new();
    for (method, path, operation) in documented(&client).await {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            requests.extend(odd_requests(&client, &method.to_uppercase(), &path, parameter));
        }
    }
    assert!(requests.len() > 2_000, "only {} requests", requests.len());
    send_all(requests).await;
    assert_healthy(server, client).await;
}

/// Bodies that are too large, nested too deeply, not UTF-8, not JSON, not an object, or truncated, for every
/// mutation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_malformed_cause_no_500() {
    let (server, client) = cafe().await;
    for mutation in mutations(&client).await {
        let valid = mutation.valid_body.to_string().into_bytes();
        // A change without an actor names an unknown record.
        let nothing = match (&mutation.method, mutation.path.as_str()) {
            (&Method::PATCH, "/v1/reactions/subscriptions/{subscriptionId}") => (404, "ERR_NOT_FOUND"),
            _ => (400, "ERR_MISSING_FIELD"),
        };
        let bodies: [(Vec<u8>, u16, &str); 10] = [
            (vec![b' '; (1 << 20) + 1], 413, "ERR_PAYLOAD_TOO_LARGE"),
            ([valid.as_slice(), &vec![b' '; 1 << 20]].concat(), 413, "ERR_PAYLOAD_TOO_LARGE"),
            ([b"[".repeat(100_000), b"]".repeat(100_000)].concat(), 400, "ERR_VALIDATION"),
            ([b"{\"a\":".repeat(65), b"1".to_vec(), b"}".repeat(65)].concat(), 400, "ERR_VALIDATION"),
            (b"{\"actorId\":\"\xc3\x28\"}".to_vec(), 400, "ERR_VALIDATION"),
            (b"actorId=Nova".to_vec(), 400, "ERR_VALIDATION"),
            (b"[]".to_vec(), 400, "ERR_VALIDATION"),
            (b"null".to_vec(), 400, "ERR_VALIDATION"),
            (valid[..valid.len() / 2].to_vec(), 400, "ERR_VALIDATION"),
            (b"{}".to_vec(), nothing.0, nothing.1),
        ];
        // The 404 of an unknown record comes before errors of the body, which may be empty.
        let by_id = mutation.path.starts_with("/v1/subscriptions/");
        for (body, status, code) in bodies {
            if code == "ERR_MISSING_FIELD" && !mutation.needs_fields {
                continue;
            }
            let is_empty = by_id && code == "ERR_MISSING_FIELD";
            let (status, code) = if is_empty { (404, "ERR_NOT_FOUND") } else { (status, code) };
            let _ = mutation.request(&client).body(body).send().await.error(status, code);
        }
    }
    assert_healthy(server, client).await;
}

/// Any bytes that HTTP allows in a header.
#[tokio::test]
async fn id_headers_with_any_bytes_cause_no_500() {
    let (server, client) = cafe().await;
    let message_texts =
        ["", "ü", "😀", "a b", "\"'", "{}", "null", "-1", &"x".repeat(300), &"x".repeat(8_000)];
    for name in [
        "idempotency-key",
        "x-request-id",
        "x-correlation-id",
        "x-forwarded-for",
        "last-event-id",
        "content-type",
        "accept",
        "authorization",
    ] {
        for text in message_texts {
            let what = format!("{name}: {text}");
            let order = client
                .request(Method::POST, "/v1/commands/order")
                .key(&fresh_key())
                .json(&json!({"actorId": "Nova", "itemId": "tea"}))
                .header(name, text);
            assert_valid_response(&what, &order.send().await);
            if let Err(answer) =
                client.request(Method::GET, "/v1/events/stream").header(name, text).stream().await
            {
                assert_valid_response(&what, &answer);
            }
        }
    }
    assert_healthy(server, client).await;
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(odd_values()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(".{0,6}", inner, 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Random values in several fields at once, and random bytes as a body; a failing case is shrunk.
#[test]
fn random_bodies_cause_no_500() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (server, client) = runtime.block_on(cafe());
    runtime.block_on(promote(&client, "Nova", "main"));
    let mutations = runtime.block_on(mutations(&client));
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let changes = vec((any::<prop::sample::Index>(), any_json()), 1..5);
    let strategy =
        (prop::sample::select(mutations), changes, prop::option::weighted(0.2, vec(any::<u8>(), 0..60)));
    let outcome = TestRunner::new(config).run(&strategy, |(mutation, changes, bytes)| {
        let mut body = mutation.valid_body.clone();
        for (field, value) in changes {
            let (name, _) = field.get(&mutation.fields);
            body[name] = value;
        }
        let request = mutation.request(&client);
        let request = match bytes {
            Some(bytes) => request.body(bytes),
            None => request.json(&body),
        };
        let answer = runtime.block_on(request.send());
        assert_valid_response(&format!("{} {body}", mutation.path), &answer);
        Ok(())
    });
    outcome.unwrap_or_else(|failed| panic!("{failed}"));
    runtime.block_on(assert_healthy(server, client));
}
