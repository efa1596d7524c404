//! The error catalogue: for each code, a request that causes it, with its status and details.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::collections::BTreeSet;

use agentcafe_testkit::{Answer, Client, Method, Server, Value, fresh_key, json};

use crate::{launch, table_fixtures};

/// A detail that must be present; its value differs between runs.
const SOME: &str = "(something)";
/// Codes that no request can cause, and the test of each. `ERR_INTERNAL`: a rule panics inside a commit batch, which
/// fails its own command only; the suite of the store tests that the error has no cause. `ERR_DATA_LOSS`: the database is damaged.
const PROVEN_ELSEWHERE: [(&str, &str, &str); 2] = [
    ("ERR_INTERNAL", FAULTS_SOURCE, "fn err_internal_shows_no_cause"),
    ("ERR_DATA_LOSS", DAMAGE_SOURCE, "fn store_with_a_flipped_bit_in_an_event_says_which_one"),
];
const FAULTS_SOURCE: &str = include_str!("../../../store/tests/suite/faults.rs");
const DAMAGE_SOURCE: &str = include_str!("store_damage.rs");

/// An error: its code and status, the request that causes it, and the details that it must have.
struct Row {
    code: &'static str,
    status: u16,
    method: Method,
    path: String,
    body: Value,
    details: Value,
}

fn row(code: &'static str, status: u16, request: &str, body: Value, details: Value) -> Row {
    let (method, path) = request.split_once(' ').unwrap();
    Row { code, status, method: method.parse().unwrap(), path: path.to_owned(), body, details }
}

/// The state that makes requests fail: a paused room, a private one, an actor that may not speak, a done task.
struct Scene {
    task: String,
    session: Value,
}

async fn set(client: &Client) -> Scene {
    let grants = [
        json!({"roomId": "paused", "actorId": "Nova", "canModerate": true}),
        json!({"roomId": "main", "actorId": "Mute", "canSpeak": false}),
    ];
    for grant in grants {
        let _ = client.act("/v1/permissions", grant).await.data();
    }
    let pause = json!({"roomId": "paused", "operatorId": "Nova", "action": "pause_room"});
    let _ = client.act("/v1/operator/overrides", pause).await.data();
    let session = table_fixtures::open(client, "espresso", json!({})).await;
    let empty = json!({"actorId": "Nova", "roomId": "empty", "roomType": "private_table", "paymentProof": "coffee_paid"});
    let _ = client.act("/v1/rooms", empty).await.data();
    let task = client.act("/v1/tasks", json!({"actorId": "Nova", "title": "t", "state": "done"})).await;
    let said = json!({"actorId": "Echo", "text": "again"});
    let _ = client.act("/v1/commands/say", said).await.data();
    let _ =
        client.post("/v1/commands/order", "used", json!({"actorId": "Nova", "itemId": "tea"})).await.data();
    Scene { task: task.data()["task"]["taskId"].as_str().unwrap().to_owned(), session }
}

/// Errors of bodies and paths.
fn input_errors() -> Vec<Row> {
    let say = "POST /v1/commands/say";
    let unknown = "0190b5a0-0000-7000-8000-000000000000";
    let large = json!({"actorId": "Nova", "text": "x".repeat(1 << 20)});
    vec![
        row("ERR_VALIDATION", 400, say, json!("{"), json!({"cause": SOME})),
        row(
            "ERR_VALIDATION",
            400,
            say,
            json!({"actorId": "Nova", "text": "x", "correlationId": 7}),
            json!({"field": "correlationId"}),
        ),
        row(
            "ERR_VALIDATION",
            400,
            "GET /v1/timeline?fromTs=soon",
            json!(null),
            json!({"field": "fromTs", "value": "soon"}),
        ),
        row("ERR_VALIDATION", 400, "GET /v1/rooms/%ff", json!(null), json!({})),
        row("ERR_MISSING_FIELD", 400, say, json!({"text": "x"}), json!({"field": "actorId"})),
        row(
            "ERR_MISSING_FIELD",
            400,
            say,
            json!({"actorId": "Nova"}),
            json!({"field": "text", "correlationId": SOME}),
        ),
        row(
            "ERR_INVALID_ENUM",
            400,
            "POST /v1/presence/heartbeat",
            json!({"actorId": "Nova", "status": "gone"}),
            json!({"field": "status", "allowed": SOME}),
        ),
        row(
            "ERR_INVALID_DIRECTION",
            400,
            "POST /v1/commands/move",
            json!({"actorId": "Nova", "direction": "up"}),
            json!({"allowed": SOME}),
        ),
        row(
            "ERR_INVALID_URL",
            400,
            "POST /v1/subscriptions",
            json!({"targetUrl": "ftp://x"}),
            json!({"field": "targetUrl"}),
        ),
        row(
            "ERR_INVALID_URL",
            400,
            "POST /v1/profiles",
            json!({"actorId": "Nova", "displayName": "N", "avatarUrl": "x"}),
            json!({"field": "avatarUrl"}),
        ),
        row(
            "ERR_INVALID_COLOR",
            400,
            "POST /v1/profiles",
            json!({"actorId": "Nova", "displayName": "N", "theme": {"textColor": "red"}}),
            json!({"field": SOME}),
        ),
        row(
            "ERR_UNKNOWN_TABLE",
            400,
            "POST /v1/intents/execute",
            json!({"actorId": "Nova", "intent": "sit_at_table", "payload": {"tableId": "attic"}}),
            json!({"tableId": "attic"}),
        ),
        row(
            "ERR_OUT_OF_BOUNDS",
            400,
            "POST /v1/commands/move",
            json!({"actorId": "Nova", "direction": "N", "steps": 99}),
            json!({"field": "steps", "min": SOME, "max": SOME, "value": 99.0}),
        ),
        row("ERR_PAYLOAD_TOO_LARGE", 413, say, large, json!({"maxBytes": 1 << 20})),
        row(
            "ERR_IDEMPOTENCY_KEY_REQUIRED",
            400,
            say,
            json!({"actorId": "Nova", "text": "x"}),
            json!({"correlationId": SOME}),
        ),
        row(
            "ERR_IDEMPOTENCY_KEY_CONFLICT",
            409,
            "POST /v1/commands/order",
            json!({"actorId": "Nova", "itemId": "milk"}),
            json!({"scope": "main:Nova:/v1/commands/order", "idempotencyKey": "used", "correlationId": SOME}),
        ),
        row(
            "ERR_NOT_FOUND",
            404,
            &format!("GET /v1/tasks/{unknown}"),
            json!(null),
            json!({"taskId": unknown}),
        ),
        row("ERR_NOT_FOUND", 404, "DELETE /v1/profiles/Nobody", json!(null), json!({"actorId": "Nobody"})),
        row(
            "ERR_UNSUPPORTED_ACTION",
            404,
            "GET /nowhere?x=1",
            json!(null),
            json!({"method": "GET", "path": "/nowhere"}),
        ),
        row(
            "ERR_UNSUPPORTED_ACTION",
            404,
            "DELETE /v1/rooms",
            json!(null),
            json!({"method": "DELETE", "path": "/v1/rooms"}),
        ),
    ]
}

/// Errors of rights and state.
fn state_errors(scene: &Scene) -> Vec<Row> {
    let say = "POST /v1/commands/say";
    let session = &scene.session["sessionId"];
    let here = |room: &str, actor: &str| json!({"tenantId": "default", "roomId": room, "actorId": actor, "correlationId": SOME});
    let and = |mut details: Value, more: Value| {
        more.as_object().unwrap().iter().for_each(|(name, value)| details[name] = value.clone());
        details
    };
    vec![
        row(
            "ERR_PAYMENT_REQUIRED",
            402,
            "POST /v1/commands/enter",
            json!({"actorId": "Nova", "roomId": "empty"}),
            and(here("empty", "Nova"), json!({"action": "enter"})),
        ),
        row(
            "ERR_PAYMENT_REQUIRED",
            402,
            "POST /v1/rooms",
            json!({"actorId": "Nova", "roomId": "new", "roomType": "private_table"}),
            json!({"tenantId": "default", "roomId": "new", "ownerActorId": "Nova", "expectedProofHint": SOME, "mode": "stub", "amountUsd": 3.5}),
        ),
        row(
            "ERR_FORBIDDEN",
            403,
            say,
            json!({"actorId": "Mute", "text": "x"}),
            and(here("main", "Mute"), json!({"capability": "canSpeak", "action": "say"})),
        ),
        row(
            "ERR_FORBIDDEN",
            403,
            say,
            json!({"actorId": "Eve", "roomId": "den", "text": "x"}),
            and(here("den", "Eve"), json!({"action": "say", "sessionId": session})),
        ),
        row(
            "ERR_PLAN_FEATURE_DISABLED",
            403,
            "POST /v1/tasks",
            json!({"actorId": "Nova", "roomId": "den", "title": "t"}),
            and(
                here("den", "Nova"),
                json!({"action": "task_create", "sessionId": session, "planId": "espresso",
                "requiredFeature": "task_board", "enabledFeatures": ["basic_thread_chat"]}),
            ),
        ),
        row(
            "ERR_CURSOR_AHEAD",
            409,
            "GET /v1/events?cursor=1000000",
            json!(null),
            json!({"head": SOME, "logId": SOME}),
        ),
        row(
            "ERR_CONFLICT",
            409,
            &format!("POST /v1/tasks/{}/handoffs", scene.task),
            json!({"actorId": "Nova", "action": "accept"}),
            json!({"tenantId": "default", "taskId": scene.task, "state": "done", "correlationId": SOME}),
        ),
        row(
            "ERR_OPERATOR_OVERRIDE_BLOCKED",
            423,
            say,
            json!({"actorId": "Kai", "roomId": "paused", "text": "x"}),
            and(
                here("paused", "Kai"),
                json!({"action": "say", "reasonCode": "ROOM_PAUSED", "pausedBy": "Nova", "pausedAt": SOME}),
            ),
        ),
        row(
            "ERR_MODERATION_BLOCKED",
            429,
            say,
            json!({"actorId": "Echo", "text": "AGAIN "}),
            and(
                here("main", "Echo"),
                json!({"action": "say", "reasonCode": "MOD_REPEAT_TEXT", "source": "api", "windowMs": SOME,
                "maxRepeatedTextPerWindow": 1}),
            ),
        ),
    ]
}

/// Checks that the response is this error, with at least these details.
fn assert_error(row: &Row, answer: &Answer) {
    let details = answer.error(row.status, row.code);
    for (name, want) in row.details.as_object().unwrap() {
        let given = &details[name];
        assert!(!given.is_null(), "{} {}: no {name}: {details}", row.method, row.path);
        assert!(want == SOME || want == given, "{} {}: {name}: {details}", row.method, row.path);
    }
}

async fn send(client: &Client, row: &Row) -> Answer {
    let request = client.request(row.method.clone(), &row.path);
    let request = match row.code {
        "ERR_IDEMPOTENCY_KEY_REQUIRED" => request,
        "ERR_IDEMPOTENCY_KEY_CONFLICT" => request.key("used"),
        _ => request.key(&fresh_key()),
    };
    let request = match &row.body {
        Value::Null => request,
        Value::String(raw) => request.body(raw.clone()),
        body => request.json(body),
    };
    request.send().await
}

/// Errors of the middleware, which are the same for every route.
async fn middleware_errors() -> Vec<(Row, Answer)> {
    let server: Server = launch()
        .env("API_AUTH_TOKEN", "token")
        .env("API_RATE_LIMIT_PER_MIN", 1)
        .env("API_STREAM_MAX_CLIENTS", 0)
        .start()
        .await;
    let (anyone, client) = (server.client(), server.client().with_header("x-api-key", "token"));
    let events = "GET /v1/events";
    let forbidden = json!({"auth": {"header": "x-api-key", "query": "apiKey"}});
    let limited = json!({"limit": 1, "resetEpochSeconds": SOME, "retryAfterMs": SOME});
    let cases = [
        (&anyone, row("ERR_FORBIDDEN", 401, events, json!(null), forbidden)),
        (&client, row("ERR_RATE_LIMITED", 429, events, json!(null), limited)),
        (&client, row("ERR_UNAVAILABLE", 503, "GET /v1/streams/market-events", json!(null), json!({}))),
    ];
    assert_eq!(client.get("/v1/events").await.status, 200, "this one is within the limit");
    let mut answers = Vec::new();
    for (client, row) in cases {
        let answer = send(client, &row).await;
        if [429, 503].contains(&row.status) {
            assert!(answer.header("retry-after").is_some(), "{}: {:?}", row.code, answer.headers);
        }
        answers.push((row, answer));
    }
    answers
}

/// Each code in the enum of the OpenAPI document is returned by a request here, with the status and details that
/// clients rely on.
#[tokio::test]
async fn error_codes_of_the_openapi_document_can_all_be_caused() {
    let server = launch().env("MOD_MAX_REPEATED_TEXT_PER_WINDOW", 1).start().await;
    let client = server.client();
    let scene = set(&client).await;
    let mut answers = middleware_errors().await;
    for row in input_errors().into_iter().chain(state_errors(&scene)) {
        let answer = send(&client, &row).await;
        answers.push((row, answer));
    }
    answers.iter().for_each(|(row, answer)| assert_error(row, answer));
    let document = client.get("/openapi.json").await.json;
    let codes = &document["components"]["schemas"]["ApiError"]["properties"]["code"]["enum"];
    let documented: BTreeSet<&str> = codes.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let proven: BTreeSet<&str> = answers.iter().map(|(row, _)| row.code).collect();
    let elsewhere: BTreeSet<&str> = PROVEN_ELSEWHERE.iter().map(|(code, ..)| *code).collect();
    let all: BTreeSet<&str> = proven.union(&elsewhere).copied().collect();
    assert_eq!(documented, all, "a code has no row here, or is unknown");
    assert!(
        PROVEN_ELSEWHERE.iter().all(|(_, source, test)| source.contains(test)),
        "the named test does not exist"
    );
}
