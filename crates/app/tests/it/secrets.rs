//! Secrets are never returned, logged or stored in the clear where they need not be. The tests send secrets in
//! requests that succeed and in requests that are refused, then search all responses, logs, metrics and stored data
//! for them.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::fs;
use std::path::Path;

use agentcafe_testkit::{
    Answer, Client, Launch, Method, Postgres, Reaction, Receiver, Server, Value, fresh_key, json,
    store_under_test,
};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tempfile::NamedTempFile;

use crate::export::export;
use crate::launch;
use crate::monitoring::documented;
use crate::openapi::example_path;
use crate::webhook_delivery::message_subscription;
use crate::webhook_dlq::dlq_entry;

/// A part of every secret of these tests, and of nothing else.
const MARK: &str = "pl4nted";
const TOKEN: &str = "token-pl4nted-1";
const PROOF: &str = "proof-pl4nted-2";
const OTHER_PROOF: &str = "proof-pl4nted-3";
const PROVIDER_SECRET: &str = "provider-pl4nted-4";
const GIVEN_SECRET: &str =
    "secret-pl4nted-5-that-is-long-and-leaves-something-behind-when-a-short-one-takes-its-place";
const ROTATED_SECRET: &str = "secret-pl4nted-6";
const DELETED_SECRET: &str = "secret-pl4nted-8";
/// The key in the payment provider's URL.
const PROVIDER_KEY: &str = "url-pl4nted-7";
/// What stands behind the path of every webhook's URL.
const TARGET_QUERY: &str = "?key=url-pl4nted-9&room=main#part-pl4nted";
/// As receivers get it.
const SENT_QUERY: &str = "?key=url-pl4nted-9&room=main";

/// Checks everything that a server returns and stores for secrets.
struct Search {
    needles: Vec<String>,
    correlation_ids: Vec<String>,
    seen: usize,
}

impl Search {
    fn new() -> Self {
        Self { needles: vec![MARK.to_owned()], correlation_ids: Vec::new(), seen: 0 }
    }

    /// Checks that `bytes` contain no secret.
    fn check(&mut self, source: &str, bytes: &[u8]) {
        self.seen += 1;
        let text = String::from_utf8_lossy(bytes);
        for needle in &self.needles {
            if let Some(at) = text.find(needle.as_str()) {
                let around =
                    text.floor_char_boundary(at.saturating_sub(300))..text.ceil_char_boundary(at + 100);
                panic!("{source} shows {needle}: {}", &text[around.start..around.end.min(text.len())]);
            }
        }
    }

    /// Checks that a response contains no secret, headers included; its trace is checked later.
    fn answer(&mut self, source: &str, answer: &Answer) {
        self.check(source, answer.text.as_bytes());
        self.check(&format!("the headers of {source}"), format!("{:?}", answer.headers).as_bytes());
        self.correlation_ids.extend(answer.header("x-correlation-id").map(str::to_owned));
    }

    /// Sends a mutation twice with the same key; neither response may contain a secret.
    async fn act(&mut self, client: &Client, path: &str, body: Value, status: u16) -> Answer {
        let key = fresh_key();
        let first = client.post(path, &key, body.clone()).await;
        assert_eq!(first.status, status, "{path} {body}: {}", first.text);
        self.answer(path, &first);
        self.answer(path, &client.post(path, &key, body).await);
        first
    }

    /// Sends a mutation that returns a secret, once only.
    async fn shown_once(&mut self, client: &Client, method: Method, path: &str, body: Value) -> Value {
        let key = fresh_key();
        let send =
            async |body: &Value| client.request(method.clone(), path).key(&key).json(body).send().await;
        let first = send(&body).await;
        let subscription = first.data()["subscription"].clone();
        self.check("a new target", subscription["targetUrl"].to_string().as_bytes());
        let secret = subscription["secret"].as_str().expect("a new secret is shown").to_owned();
        if !secret.contains(MARK) {
            self.needles.push(secret.trim_start_matches("whsec_").to_owned());
        }
        let again = send(&body).await;
        assert_eq!(again.header("x-idempotent-replay"), Some("true"), "{}", again.text);
        self.answer(path, &again);
        let mut other = body;
        other["secret"] = format!("{GIVEN_SECRET}-other").into();
        let conflict = send(&other).await;
        let _ = conflict.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT");
        self.answer(path, &conflict);
        subscription
    }
}

/// Refused payments, and what is done before each.
struct Refused<'a> {
    offers: Vec<Value>,
    prepare: &'a dyn Fn(usize),
}

/// The token in every place where it is accepted, right and wrong, in valid and invalid requests.
async fn use_the_token(search: &mut Search, anyone: &Client) {
    for path in [
        "/v1/events?apiKey=TOKEN",
        "/v1/events?apiKey=TOKEN&limit=x",
        "/v1/bootstrap?actorId=Nova&apiKey=TOKEN",
        "/v1/events/poll?cursor=0&timeoutMs=0&actorId=Nova&apiKey=TOKEN",
        "/v1/traces/nothing?apiKey=TOKEN",
        "/v1/events?apiKey=TOKEN&x=%ff",
        "/nowhere?apiKey=TOKEN",
        "/v1/events?apiKey=TOKEN-wrong",
        "/healthz?apiKey=TOKEN",
        "/v1/tasks/%ff?apiKey=TOKEN",
    ] {
        let path = path.replace("TOKEN", TOKEN);
        search.answer(&path, &anyone.get(&path).await);
        let mutation = path.replace("events", "commands/say");
        search.answer(
            &mutation,
            &anyone.post(&mutation, &fresh_key(), json!({"actorId": "Nova", "text": "x"})).await,
        );
        search.answer(&mutation, &anyone.post(&mutation, &fresh_key(), json!({"actorId": "Nova"})).await);
    }
    let wrong = format!("{TOKEN}-wrong");
    for (name, value) in [("x-api-key", wrong.clone()), ("authorization", format!("Bearer {wrong}"))] {
        let refused = anyone.clone().with_header(name, &value).get("/v1/events").await;
        assert_eq!(refused.error(401, "ERR_FORBIDDEN")["auth"]["header"], "x-api-key");
        search.answer("a wrong token", &refused);
    }
    drop(anyone.stream(&format!("/v1/streams/market-events?apiKey={TOKEN}")).await);
}

/// Pays for rooms and sessions: with right and wrong proofs, in each field that could be taken for the proof.
async fn pay(search: &mut Search, client: &Client, refused: &Refused<'_>) {
    let room = |number: usize| json!({"actorId": "Nova", "roomId": format!("den-{number}"), "roomType": "private_table"});
    let session =
        |number: usize| json!({"actorId": "Nova", "roomId": format!("table-{number}"), "planId": "espresso"});
    let with = |mut body: Value, fields: &Value| {
        fields.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        body
    };
    let paid = [
        json!({"paymentProof": PROOF}),
        json!({"paymentProof": PROOF, "paymentRef": PROOF}),
        json!({"paymentProof": PROOF, "paymentRef": format!("bill {PROOF} of mine")}),
        json!({"paymentProof": format!("  {PROOF} "), "paymentRef": format!(" {PROOF}")}),
    ];
    for (number, fields) in paid.iter().enumerate() {
        let made = search.act(client, "/v1/rooms", with(room(number), fields), 201).await;
        assert_eq!(made.data()["payment"]["verified"], true);
        let _ = search.act(client, "/v1/table-sessions", with(session(number), fields), 201).await;
    }
    for (number, fields) in refused.offers.iter().enumerate() {
        (refused.prepare)(number);
        for (path, body) in [("/v1/rooms", room(number + 90)), ("/v1/table-sessions", session(number + 90))] {
            let answer = search.act(client, path, with(body, fields), 402).await;
            let _ = answer.error(402, "ERR_PAYMENT_REQUIRED");
        }
    }
    for fields in [
        json!({"paymentProof": [PROOF]}),
        json!({"paymentProof": {"proof": PROOF}}),
        json!({"paymentProof": PROOF.repeat(200)}),
        json!({"paymentProof": PROOF, "paymentRef": {"ref": PROOF}}),
        json!({"paymentProof": PROOF, "paymentRef": PROOF.repeat(200)}),
        json!({"paymentProof": PROOF, "paymentAmountUsd": -1}),
    ] {
        let _ = search.act(client, "/v1/rooms", with(room(50), &fields), 400).await;
        let _ = search.act(client, "/v1/table-sessions", with(session(50), &fields), 400).await;
    }
    let little = json!({"paymentProof": PROOF, "paymentAmountUsd": 0.01});
    let _ = search.act(client, "/v1/rooms", with(room(50), &little), 402).await;
    let _ = search
        .act(client, "/v1/rooms", with(room(50), &json!({"paymentProof": PROOF, "metadata": 7})), 400)
        .await;
    for body in [format!("{{\"paymentProof\":\"{PROOF}"), format!("\"{PROOF}\""), format!("[\"{PROOF}\"]")] {
        let answer = client.request(Method::POST, "/v1/rooms").key(&fresh_key()).body(body).send().await;
        let _ = answer.error(400, "ERR_VALIDATION");
        search.answer("a malformed body", &answer);
    }
}

/// Webhooks with secrets of every kind (given, generated, changed, refused) and keys in their URLs, with and without deliveries.
async fn subscribe(search: &mut Search, client: &Client, receiver: &Receiver) {
    receiver.always(&format!("/broken{SENT_QUERY}"), Reaction::status(500));
    let hook = |path: &str| {
        let mut body = message_subscription(receiver.url(path) + TARGET_QUERY);
        body["maxRetries"] = json!(0);
        body
    };
    let with = |mut body: Value, secret: Value| {
        body["secret"] = secret;
        body
    };
    let path = "/v1/subscriptions";
    let one = |subscription: &Value| format!("{path}/{}", subscription["id"].as_str().unwrap());
    let given =
        search.shown_once(client, Method::POST, path, with(hook("/given"), json!(GIVEN_SECRET))).await;
    let generated = search.shown_once(client, Method::POST, path, hook("/broken")).await;
    let _ = search.shown_once(client, Method::PATCH, &one(&given), json!({"secret": ROTATED_SECRET})).await;
    let mut lost = message_subscription(format!("http://127.0.0.1:9/lost{TARGET_QUERY}"));
    lost["maxRetries"] = json!(0);
    let _ =
        search.shown_once(client, Method::POST, path, with(lost, json!("whsec_cGw0bnRlZC1hcy1rZXk="))).await;
    search.needles.push("cGw0bnRlZC1hcy1rZXk".to_owned());
    let gone =
        search.shown_once(client, Method::POST, path, with(hook("/gone"), json!(DELETED_SECRET))).await;
    let gone = client.request(Method::DELETE, &one(&gone)).key(&fresh_key()).send().await;
    search.answer("a deletion", &gone);
    for secret in [
        json!([GIVEN_SECRET]),
        json!({"secret": GIVEN_SECRET}),
        json!(format!("whsec_{GIVEN_SECRET}!")),
        json!(GIVEN_SECRET.repeat(1_000)),
    ] {
        let _ = search.act(client, path, with(hook("/given"), secret.clone()), 400).await;
        let body = json!({ "secret": secret });
        let answer = client.request(Method::PATCH, &one(&given)).key(&fresh_key()).json(&body).send().await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        search.answer("a refused change", &answer);
    }
    for target in ["ftp://x?key=url-pl4nted", "ftp://url-pl4nted@x", "http://nova:url-pl4nted@example.com"] {
        let _ = search.act(client, path, json!({"targetUrl": target, "secret": GIVEN_SECRET}), 400).await;
    }
    let unchanged =
        client.request(Method::PATCH, &one(&generated)).key(&fresh_key()).json(&json!({"secret": null}));
    search.answer("a change to no secret", &unchanged.send().await);
    let said = client.act("/v1/commands/say", json!({"actorId": "Nova", "text": "hey @Kai"})).await;
    search.answer("a say", &said);
    let delivered = receiver.wait(&format!("/given{SENT_QUERY}"), 1).await;
    assert!(!delivered[0].header("webhook-signature").is_empty());
    for entry in dlq_entry(client, 2).await {
        let replay = format!("{path}/dlq/{}/replay", entry["id"].as_str().unwrap());
        let _ = search.act(client, &replay, json!({}), 202).await;
    }
}

/// Creates other data, so that reads are not empty.
async fn create_other_data(search: &mut Search, client: &Client) -> Vec<(&'static str, String)> {
    let mut ids = vec![("{actorId}", "Nova".to_owned()), ("{roomId}", "den-0".to_owned())];
    let makes = [
        ("/v1/tasks", json!({"actorId": "Nova", "title": "t"}), "/data/task/taskId", "{taskId}"),
        ("/v1/objects", json!({"actorId": "Nova", "title": "t"}), "/data/object/objectId", "{objectId}"),
        ("/v1/profiles", json!({"actorId": "Nova", "displayName": "Nova"}), "", ""),
        ("/v1/snapshots/room", json!({"state": {"a": 1}}), "", ""),
        ("/v1/permissions", json!({"roomId": "main", "actorId": "Nova", "canModerate": true}), "", ""),
        ("/v1/rooms/context/pin", json!({"actorId": "Nova", "content": "be kind"}), "", ""),
    ];
    for (path, body, pointer, parameter) in makes {
        let answer = client.act(path, body).await;
        search.answer(path, &answer);
        let _ = answer.data();
        if let Some(id) = answer.json.pointer(pointer).and_then(Value::as_str) {
            ids.push((parameter, id.to_owned()));
        }
    }
    let sessions = client.get("/v1/table-sessions?viewerActorId=Nova").await;
    ids.push(("{sessionId}", sessions.data()["sessions"][0]["sessionId"].as_str().unwrap().to_owned()));
    let hooks = client.get("/v1/subscriptions").await;
    ids.push(("{subscriptionId}", hooks.data()["subscriptions"][0]["id"].as_str().unwrap().to_owned()));
    ids
}

/// Calls every read of the OpenAPI document, every trace, every stream, and the metrics.
async fn read_everything(search: &mut Search, client: &Client, ids: &[(&str, String)]) {
    let mut streams = 0;
    for (method, path, operation) in documented(client).await {
        if method != "get" {
            continue;
        }
        let mut filled = path.clone();
        ids.iter().for_each(|(parameter, id)| filled = filled.replace(parameter, id));
        let example = example_path(&filled, &operation, &Vec::new());
        if operation["responses"]["200"]["content"].get("text/event-stream").is_some() {
            let mut stream = client.stream(&filled).await;
            let head = stream.next().await.data["head"].as_u64().expect("`ready` has the head of the log");
            let mut last = 0;
            while last < head {
                let frame = stream.next().await;
                search.check(&path, format!("{frame:?}").as_bytes());
                streams += usize::from(frame.id.is_some());
                last = frame.id.unwrap_or(last);
            }
            continue;
        }
        let large =
            if path.starts_with("/v1/") { format!("{filled}?limit=1000&roomLimit=100") } else { filled };
        for path in [large, example] {
            search.answer(&path, &client.get(&path).await);
        }
    }
    assert!(streams > 20, "{streams} events were streamed");
    let mut found = 0;
    for correlation_id in std::mem::take(&mut search.correlation_ids) {
        let trace = client.get(&format!("/v1/traces/{correlation_id}")).await;
        search.check("a trace", trace.text.as_bytes());
        found += usize::from(trace.status == 200);
    }
    assert!(found > 40, "{found} traces");
}

fn table_names(connection: &Connection) -> Vec<String> {
    let mut names = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
    names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The content of a table, as bytes.
fn rows(connection: &Connection, table: &str) -> Vec<u8> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut bytes = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        for column in 0..columns {
            match row.get_ref(column).unwrap() {
                ValueRef::Text(text) | ValueRef::Blob(text) => bytes.extend_from_slice(text),
                ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Null => {}
            }
            bytes.push(b'\n');
        }
    }
    bytes
}

/// Every table of the embedded database, and its content.
fn embedded_tables(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let connection = Connection::open(directory.join("agentcafe.db")).unwrap();
    let held = |name: String| (name.clone(), rows(&connection, &name));
    table_names(&connection).into_iter().map(held).collect()
}

/// The same of the database in PostgreSQL.
fn postgres_tables(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let url = Postgres::shared().database_for(directory);
    let columns = Postgres::query(
        &url,
        "SELECT table_name, string_agg(CASE data_type WHEN 'bytea' THEN format('encode(%I, ''escape'')', column_name)
                                       ELSE format('%I::text', column_name) END, ', ')
         FROM information_schema.columns WHERE table_schema = 'public' GROUP BY table_name",
    );
    let held = |line: &str| {
        let (name, columns) = line.split_once('|').unwrap();
        (name.to_owned(), Postgres::query(&url, &format!("SELECT {columns} FROM {name}")).into_bytes())
    };
    columns.lines().map(held).collect()
}

/// Checks the data of a stopped server: no table and no file has a secret.
fn check_store(search: &mut Search, directory: &Path) {
    let (tables, keys) = match store_under_test() {
        "sqlite" => (embedded_tables(directory), "idempotency_replies"),
        _ => (postgres_tables(directory), "idempotency_keys"),
    };
    for (name, kept) in &tables {
        search.check(name, kept);
    }
    let (_, kept) = tables.iter().find(|(name, _)| name == keys).expect("the table is there");
    let kept = String::from_utf8_lossy(kept);
    assert!(kept.contains("conversation_message_posted"), "replies are searched as they are read");
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        search.check(&path.display().to_string(), &fs::read(&path).unwrap());
    }
}

/// Does everything that may show a secret, and checks that none is shown.
async fn assert_no_secrets(launch: Launch, refused: &Refused<'_>) -> Search {
    let receiver = Receiver::start().await;
    let keys = NamedTempFile::new().unwrap();
    fs::write(keys.path(), "5e".repeat(32)).unwrap();
    let launch = launch
        .env("AGENTCAFE_SECRET_KEY_FILE", keys.path().display())
        .env("API_AUTH_TOKEN", TOKEN)
        .env("WEBHOOK_ALLOW_PRIVATE_TARGETS", "true")
        .env("AGENTCAFE_LOG", "trace")
        .env("API_STREAM_HEARTBEAT_MS", 60_000);
    let mut server: Server = launch.start().await;
    let mut search = Search::new();
    let client = server.client().with_header("x-api-key", TOKEN);
    use_the_token(&mut search, &server.client()).await;
    pay(&mut search, &client, refused).await;
    subscribe(&mut search, &client, &receiver).await;
    let ids = create_other_data(&mut search, &client).await;
    server.kill();
    let before = server.log();
    server.restart().await;
    let client = server.client().with_header("x-api-key", TOKEN);
    read_everything(&mut search, &client, &ids).await;
    search.check("an export", export(server.data_dir(), &[]).as_bytes());
    search.check("an export of a part", export(server.data_dir(), &["--tenant", "default"]).as_bytes());
    assert!(server.stop().await.success());
    assert!(before.contains("TRACE") && before.contains("not answered"), "the log is too short: {before}");
    assert!(!before.contains("/lost"), "a target's URL, which may hold a key, is logged: {before}");
    search.check("the log before", before.as_bytes());
    search.check("the log after", server.log().as_bytes());
    check_store(&mut search, server.data_dir());
    search
}

/// Not in reads, events, log lines, traces, metrics, idempotency records or exports.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_with_the_stub_provider_appear_nowhere() {
    let offers = vec![
        json!({}),
        json!({"paymentProof": OTHER_PROOF}),
        json!({"paymentRef": PROOF}),
        json!({"paymentProof": OTHER_PROOF, "paymentRef": PROOF}),
    ];
    let launch = launch().env("PRIVATE_TABLE_PAYMENT_STUB_PROOF", PROOF);
    let search = assert_no_secrets(launch, &Refused { offers, prepare: &|_| () }).await;
    assert!(search.seen > 300, "{} texts were searched", search.seen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_with_a_webhook_provider_that_echoes_them_appear_nowhere() {
    let provider = Receiver::start().await;
    let echo = format!("{PROOF}, signed with {PROVIDER_SECRET}");
    let paid = json!({"paid": true, "provider": echo, "paymentRef": PROOF, "message": echo});
    let path = format!("/pay?key={PROVIDER_KEY}");
    provider.always(&path, Reaction::json(200, &paid));
    let mut little = paid.clone();
    little["amountUsd"] = json!(0.01);
    let declines = [
        Reaction::json(402, &json!({"paid": false, "message": echo})),
        Reaction::json(500, &json!({"error": echo})),
        Reaction::json(200, &json!({"paid": "true", "message": PROOF})),
        Reaction::json(200, &little),
        Reaction::status(200),
        Reaction::hang(),
    ];
    let offer = json!({"paymentProof": PROOF, "paymentRef": PROOF});
    let offers = vec![offer; declines.len()];
    let prepare = |number: usize| provider.always(&path, declines[number].clone());
    let launch = launch()
        .env("PRIVATE_TABLE_PAYMENT_MODE", "webhook")
        .env("PRIVATE_TABLE_PAYMENT_WEBHOOK_URL", provider.url(&path))
        .env("PRIVATE_TABLE_PAYMENT_WEBHOOK_SECRET", PROVIDER_SECRET)
        .env("PRIVATE_TABLE_PAYMENT_WEBHOOK_TIMEOUT_MS", 250);
    let search = assert_no_secrets(launch, &Refused { offers, prepare: &prepare }).await;
    assert!(search.seen > 300, "{} texts were searched", search.seen);
    let requests = provider.received(&path);
    assert!(requests.iter().all(|request| !request.header("x-agentcafe-signature").is_empty()));
    assert!(
        requests.iter().any(|request| request.body.windows(PROOF.len()).any(|part| part == PROOF.as_bytes()))
    );
}
