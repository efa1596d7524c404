//! Payment of private tables: the provider's request and response, and that nobody pays twice.

use std::net::TcpListener;
use std::sync::Arc;

use agentcafe_testkit::{Answer, Client, Launch, Method, Reaction, Receiver, Value, fresh_key, json};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::table_fixtures::text;
use crate::{launch, log, merged};

const PAY: &str = "/pay";
const SESSIONS: &str = "/v1/table-sessions";

/// A server whose payment provider is this receiver.
fn launch_with_provider(provider: &Receiver) -> Launch {
    launch()
        .env("PRIVATE_TABLE_PAYMENT_MODE", "webhook")
        .env("PRIVATE_TABLE_PAYMENT_WEBHOOK_URL", provider.url(PAY))
        .env("PRIVATE_TABLE_PAYMENT_WEBHOOK_TIMEOUT_MS", 30_000)
}

/// A provider with these next responses, and a server that uses it.
async fn provider_and_server(
    answers: impl IntoIterator<Item = Value>,
) -> (Receiver, agentcafe_testkit::Server, Client) {
    let provider = Receiver::start().await;
    provider.next(PAY, answers.into_iter().map(|answer| Reaction::json(200, &answer)));
    let server = launch_with_provider(&provider).start().await;
    let client = server.client();
    (provider, server, client)
}

/// A purchase of a plan by Nova for the room `den`, with these additional fields.
fn purchase(plan: &str, fields: Value) -> Value {
    merged(json!({"actorId": "Nova", "planId": plan, "roomId": "den"}), &fields)
}

async fn buy(client: &Client, key: &str, plan: &str) -> Answer {
    client.post(SESSIONS, key, purchase(plan, json!({}))).await
}

/// The payment ids of all requests to the provider.
fn charges(provider: &Receiver) -> Vec<String> {
    let received = provider.received(PAY);
    let ids = received.iter().map(|request| {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(
            text(&body["paymentId"]),
            request.header("idempotency-key"),
            "the same in the response and in the event"
        );
        text(&body["paymentId"]).to_owned()
    });
    ids.collect()
}

async fn end(client: &Client, session: &Value) {
    let path = format!("{SESSIONS}/{}", text(&session["sessionId"]));
    let body = json!({"actorId": "Nova", "status": "ended"});
    let ended = client.request(Method::PATCH, &path).key(&fresh_key()).json(&body).send().await;
    let _ = ended.data();
}

/// The provider's response becomes the session's payment. The payment proof is sent to the provider only.
#[tokio::test]
async fn payment_request_has_the_documented_fields() {
    let paid_response = json!({"paid": true, "provider": "till", "paymentRef": "till-1", "amountUsd": 5});
    let (provider, _server, client) = provider_and_server([paid_response, json!({"ok": true})]).await;
    let body = purchase(
        "espresso",
        json!({"ownerActorId": "Kai", "paymentProof": "card 4711", "paymentRef": "bill-7"}),
    );
    let request = client.request(Method::POST, SESSIONS).header("x-request-id", "req-1");
    let answer = request.key("k").json(&body).send().await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let received = provider.received(PAY);
    let charge: Value = serde_json::from_slice(&received[0].body).expect("JSON");
    let want = json!({
        "paymentId": received[0].header("idempotency-key"), "tenantId": "default", "roomId": "den",
        "ownerActorId": "Kai", "paymentProof": "card 4711", "paymentRef": "bill-7", "amountUsd": 3
    });
    assert_eq!(charge, want);
    assert_eq!(
        (received[0].header("content-type"), received[0].header("x-request-id")),
        ("application/json", "req-1")
    );
    assert_eq!(received[0].header("x-agentcafe-signature"), "", "there is no secret to sign with");
    let session = &answer.data()["session"];
    assert_eq!(
        (&session["paymentProvider"], &session["paymentRef"], &session["paymentAmountUsd"]),
        (&json!("till"), &json!("till-1"), &json!(5))
    );
    let events = log(&client).await;
    assert!(!answer.text.contains("4711") && !json!(events).to_string().contains("4711"));

    let room = json!({"actorId": "Nova", "roomId": "attic", "roomType": "private_table", "paymentRef": "b"});
    let made = client.act("/v1/rooms", room.clone()).await;
    let paid = json!({"verified": true, "provider": "webhook", "ref": "b", "amountUsd": 3.5});
    assert_eq!(made.data()["payment"], paid, "without a reason of the provider");
    assert_eq!(
        client.act("/v1/rooms", room).await.data()["payment"],
        json!(null),
        "the room is private already"
    );
    assert_eq!(charges(&provider).len(), 2);
}

/// The id is generated before the provider is called.
#[tokio::test]
async fn payment_of_an_unnamed_room_keeps_its_generated_id() {
    let (provider, _server, client) = provider_and_server([json!({"paid": true})]).await;
    let body = json!({"actorId": "Nova", "planId": "espresso"});
    let answer = client.post(SESSIONS, "k", body).await;
    let charge: Value = serde_json::from_slice(&provider.received(PAY)[0].body).expect("JSON");
    assert_eq!(answer.data()["room"]["roomId"], charge["roomId"]);
}

/// Redirects are not followed. After a failure the key stays free, and all attempts under it have the same
/// `paymentId`.
#[tokio::test]
async fn payment_needs_2xx_with_paid_or_ok_true() {
    let (provider, _server, client) = provider_and_server([]).await;
    let cases = [
        (Reaction::json(200, &json!({"paid": "true"})), 200, json!(null)),
        (Reaction::json(200, &json!({"paid": 1, "ok": true})), 200, json!(null)),
        (Reaction::json(200, &json!({"paid": false, "message": "no funds"})), 200, json!("no funds")),
        (Reaction::json(402, &json!({"paid": true, "error": "expired"})), 402, json!("expired")),
        (Reaction::json(500, &json!({"paid": true})), 500, json!(null)),
        (Reaction::json(200, &json!([true])), 200, json!(null)),
        (Reaction::status(200), 200, json!(null)),
        (Reaction::status(307).header("location", &provider.url("/elsewhere")), 307, json!(null)),
    ];
    let count = cases.len();
    for (reaction, status, message) in cases {
        provider.next(PAY, [reaction]);
        let refused = buy(&client, "k", "espresso").await;
        let mut details = refused.error(402, "ERR_PAYMENT_REQUIRED").clone();
        assert!(details["correlationId"].take().is_string());
        let want =
            json!({"mode": "webhook", "status": status, "providerMessage": message, "correlationId": null});
        assert_eq!(details, want);
    }
    assert!(provider.received("/elsewhere").is_empty());
    assert!(log(&client).await.is_empty(), "nothing was written");
    provider.next(PAY, [Reaction::json(200, &json!({"paid": true}))]);
    assert_eq!(buy(&client, "k", "espresso").await.status, 201);
    let ids = charges(&provider);
    assert_eq!((ids.len(), ids.iter().all(|id| *id == ids[0])), (count + 1, true), "{ids:?}");
}

#[tokio::test]
async fn payment_provider_that_is_silent_unreachable_or_unset_is_an_error() {
    let provider = Receiver::start().await;
    provider.always(PAY, Reaction::hang());
    let unused = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let silent = launch_with_provider(&provider).env("PRIVATE_TABLE_PAYMENT_WEBHOOK_TIMEOUT_MS", 250);
    let absent = launch_with_provider(&provider)
        .env("PRIVATE_TABLE_PAYMENT_WEBHOOK_URL", format!("http://{unused}/secret"));
    let unset = launch().env("PRIVATE_TABLE_PAYMENT_MODE", "webhook");
    for (launch, field) in [(silent, "cause"), (absent, "cause"), (unset, "reason")] {
        let server = launch.start().await;
        let refused = buy(&server.client(), "k", "espresso").await;
        let details = refused.error(402, "ERR_PAYMENT_REQUIRED");
        assert_eq!(details["mode"], "webhook");
        assert!(details[field].is_string() && !refused.text.contains("secret"), "{}", refused.text);
    }
}

/// The amount is what the provider reports. After too small an amount the provider is not called again; an invalid
/// amount is no payment.
#[tokio::test]
async fn payment_below_the_price_is_refused() {
    let invalid = [json!("a lot"), json!(""), json!("NaN"), json!(-3), json!(true), json!([3])];
    let amounts =
        [json!(2.5)].into_iter().chain(invalid.clone()).chain([json!(" 3.00 "), json!(null), json!(0)]);
    let (provider, _server, client) =
        provider_and_server(amounts.map(|amount| json!({"paid": true, "amountUsd": amount}))).await;
    for _ in 0..2 {
        let refused = buy(&client, "k", "espresso").await;
        let details = refused.error(402, "ERR_PAYMENT_REQUIRED");
        assert_eq!(
            (&details["reason"], &details["value"], &details["min"]),
            (&json!("amount"), &json!(2.5), &json!(3.0))
        );
        assert_eq!(charges(&provider).len(), 1, "charged once");
    }
    for amount in &invalid {
        let refused = buy(&client, "l", "espresso").await;
        assert!(refused.error(402, "ERR_PAYMENT_REQUIRED")["cause"].is_string(), "{amount}");
    }
    let session = buy(&client, "l", "espresso").await.data()["session"].clone();
    assert_eq!(session["paymentAmountUsd"], 3);
    let ids = charges(&provider);
    assert!(ids[0] != ids[1] && ids[1..].iter().all(|id| *id == ids[1]), "{ids:?}");
    end(&client, &session).await;
    let session = buy(&client, "m", "espresso").await.data()["session"].clone();
    assert_eq!(session["paymentAmountUsd"], 3, "the price, if no amount is reported");
    end(&client, &session).await;
    assert_eq!(buy(&client, "n", "espresso").await.error(402, "ERR_PAYMENT_REQUIRED")["value"], 0.0);
}

#[tokio::test]
async fn payment_is_not_requested_for_a_refused_request() {
    let (provider, _server, client) = provider_and_server([]).await;
    let _ = client.act("/v1/rooms", json!({"actorId": "Nova", "roomId": "lobby"})).await.data();
    let grant = json!({"roomId": "paused", "actorId": "Op", "canModerate": true});
    let _ = client.act("/v1/permissions", grant).await.data();
    let pause = json!({"roomId": "paused", "operatorId": "Op", "action": "pause_room"});
    let _ = client.act("/v1/operator/overrides", pause).await.data();
    let cases = [
        (json!({"roomId": "lobby"}), 400, "ERR_VALIDATION"),
        (json!({"roomId": "paused"}), 423, "ERR_OPERATOR_OVERRIDE_BLOCKED"),
        (json!({"paymentAmountUsd": 2.99}), 402, "ERR_PAYMENT_REQUIRED"),
        (json!({"expiresAt": "2020-01-01T00:00:00Z"}), 400, "ERR_OUT_OF_BOUNDS"),
    ];
    for (fields, status, code) in cases {
        let _ = client.act(SESSIONS, purchase("espresso", fields)).await.error(status, code);
    }
    let private = json!({"actorId": "Nova", "roomId": "lobby", "roomType": "private_table"});
    for (name, value, status, code) in [
        ("paymentAmountUsd", json!(3.49), 402, "ERR_PAYMENT_REQUIRED"),
        ("actorId", json!("Kai"), 403, "ERR_FORBIDDEN"),
    ] {
        let mut body = private.clone();
        body[name] = value;
        let _ = client.act("/v1/rooms", body).await.error(status, code);
    }
    assert!(charges(&provider).is_empty());
}

/// If a secret is set. The signature is over the exact bytes of the body.
#[tokio::test]
async fn payment_request_is_signed_with_hmac_sha256() {
    let provider = Receiver::start().await;
    provider.next(PAY, [Reaction::json(200, &json!({"paid": true}))]);
    let server =
        launch_with_provider(&provider).env("PRIVATE_TABLE_PAYMENT_WEBHOOK_SECRET", "hush").start().await;
    assert_eq!(buy(&server.client(), "k", "espresso").await.status, 201);
    let received = provider.received(PAY).remove(0);
    let mac = Hmac::<Sha256>::new_from_slice(b"hush").expect("any length").chain_update(&received.body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(received.header("x-agentcafe-signature"), hex);
}

/// There is one session, and all copies get the same response.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payment_of_concurrent_copies_is_made_once() {
    let provider = Receiver::start().await;
    let let_go = Arc::new(Notify::new());
    provider.next(PAY, [Reaction::json(200, &json!({"paid": true, "paymentRef": "one"})).held(&let_go)]);
    let server = launch_with_provider(&provider).start().await;
    let client = server.client();
    let mut copies = JoinSet::new();
    for _ in 0..20 {
        let client = client.clone();
        copies.spawn(async move { buy(&client, "k", "espresso").await });
    }
    provider.wait(PAY, 1).await;
    let_go.notify_one();
    let answers = copies.join_all().await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (201, &answers[0].text));
    }
    let replays = answers.iter().filter(|answer| answer.header("x-idempotent-replay") == Some("true"));
    assert_eq!((replays.count(), charges(&provider).len(), log(&client).await.len()), (19, 1, 2));
}

/// The server is killed while the provider answers; the same request, sent again, is the same payment.
#[tokio::test]
async fn payment_after_a_kill_has_the_same_payment_id() {
    let provider = Receiver::start().await;
    provider.next(PAY, [Reaction::hang(), Reaction::json(200, &json!({"paid": true}))]);
    let mut server = launch_with_provider(&provider).start().await;
    let request = server.client().request(Method::POST, SESSIONS).key("k");
    let request = request.json(&purchase("espresso", json!({})));
    let lost = tokio::spawn(request.try_send());
    provider.wait(PAY, 1).await;
    server.kill();
    assert!(lost.await.expect("a task").is_err(), "no answer");
    server.restart().await;
    let client = server.client();
    assert!(log(&client).await.is_empty(), "nothing has happened yet");
    let answer = buy(&client, "k", "espresso").await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(buy(&client, "k", "espresso").await.text, answer.text);
    let ids = charges(&provider);
    assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));
    assert_eq!(log(&client).await.len(), 2, "one room, one session");
}

/// The room was taken meanwhile. The payment is recorded, survives a restart, and opens the table later at the same
/// price, but not at a higher one.
#[tokio::test]
async fn payment_is_kept_if_the_table_cannot_be_opened() {
    let provider = Receiver::start().await;
    let let_go = Arc::new(Notify::new());
    let held = Reaction::json(200, &json!({"paid": true, "paymentRef": "mine"})).held(&let_go);
    provider.next(PAY, [held, Reaction::json(200, &json!({"paid": true, "paymentRef": "other"}))]);
    let mut server = launch_with_provider(&provider).start().await;
    let slow = server.client();
    let slow = tokio::spawn(async move { buy(&slow, "slow", "espresso").await });
    provider.wait(PAY, 1).await;
    let quick = buy(&server.client(), "quick", "espresso").await.data()["session"].clone();
    let_go.notify_one();
    let refused = slow.await.expect("a task");
    assert_eq!(refused.error(400, "ERR_VALIDATION")["sessionId"], quick["sessionId"]);
    server.kill();
    server.restart().await;
    let client = server.client();
    assert_eq!(buy(&client, "slow", "espresso").await.status, 400, "the table is still taken");
    end(&client, &quick).await;
    let dearer = buy(&client, "slow", "americano").await;
    let details = dearer.error(402, "ERR_PAYMENT_REQUIRED");
    assert_eq!((&details["value"], &details["min"]), (&json!(3.0), &json!(10.0)));
    let opened = buy(&client, "slow", "espresso").await;
    assert_eq!(opened.data()["session"]["paymentRef"], "mine");
    assert_eq!(charges(&provider).len(), 2, "no payment was charged twice");
}

#[tokio::test]
async fn payment_completes_after_the_client_disconnects() {
    let provider = Receiver::start().await;
    let let_go = Arc::new(Notify::new());
    provider.next(PAY, [Reaction::json(200, &json!({"paid": true})).held(&let_go)]);
    let server = launch_with_provider(&provider).start().await;
    let gone = server.client();
    let gone = tokio::spawn(async move { buy(&gone, "k", "espresso").await });
    provider.wait(PAY, 1).await;
    gone.abort();
    let_go.notify_one();
    let client = server.client();
    let again = buy(&client, "k", "espresso").await;
    assert_eq!((again.status, charges(&provider).len()), (201, 1), "{}", again.text);
    assert_eq!(log(&client).await.len(), 2);
}

/// A `paymentRef` of the client is kept.
#[tokio::test]
async fn payment_mode_off_needs_no_proof() {
    let provider = Receiver::start().await;
    let server = launch_with_provider(&provider).env("PRIVATE_TABLE_PAYMENT_MODE", "off").start().await;
    let client = server.client();
    let session = buy(&client, "k", "espresso").await.data()["session"].clone();
    assert_eq!(
        (&session["paymentProvider"], &session["paymentRef"], &session["paymentAmountUsd"]),
        (&json!("off"), &json!(null), &json!(3))
    );
    let room = json!({"actorId": "Nova", "roomId": "attic", "roomType": "private_table", "paymentRef": "b"});
    let paid = json!({"verified": true, "provider": "off", "ref": "b", "amountUsd": 3.5});
    assert_eq!(client.act("/v1/rooms", room).await.data()["payment"], paid);
    assert!(charges(&provider).is_empty());
}
