//! One idempotency key has one effect, for copies that arrive at once and around a restart.

use agentcafe_testkit::{Answer, Client, Method, Value, json};
use tokio::task::JoinSet;

use crate::background_load::{TrackedSay, all_events, assert_logged};
use crate::launch;

const COPIES: usize = 50;

/// Sends copies of one request at once, each on its own connection. Returns the responses that arrive.
fn send_copies(client: &Client, path: &str, key: &str, body: &Value) -> JoinSet<Option<Answer>> {
    let mut copies = JoinSet::new();
    for _ in 0..COPIES {
        let request = client.request(Method::POST, path).key(key).json(body);
        copies.spawn(async move { request.try_send().await.ok() });
    }
    copies
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("x-idempotent-replay") == Some("true")
}

/// On every kind of mutation, with 50 equal responses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_of_fifty_concurrent_copies_has_one_effect() {
    let server = launch().start().await;
    let client = server.client();
    let cases = [
        ("/v1/commands/enter", json!({ "actorId": "Nova" })),
        (
            "/v1/commands/say",
            json!({ "actorId": "Nova", "text": "hey @Kai and @Mira", "mentions": ["Kai", "Mira"] }),
        ),
        (
            "/v1/conversations/messages",
            json!({ "actorId": "Nova", "text": "again @Kai", "mentions": ["Kai"] }),
        ),
        ("/v1/commands/order", json!({ "actorId": "Nova", "itemId": "espresso" })),
        ("/v1/commands/move", json!({ "actorId": "Nova", "direction": "E", "steps": 2 })),
        (
            "/v1/intents/execute",
            json!({ "actorId": "Nova", "intent": "navigate_to", "payload": { "x": 5, "y": 5 } }),
        ),
        ("/v1/presence/heartbeat", json!({ "actorId": "Nova", "status": "thinking" })),
        ("/v1/inbox/ack", json!({ "actorId": "Kai", "upToCursor": 100 })),
        ("/v1/commands/leave", json!({ "actorId": "Nova" })),
    ];
    for (path, body) in cases {
        let before = all_events(&client).await.len();
        let answers = send_copies(&client, path, &format!("copies of {path}"), &body).join_all().await;
        let answers: Vec<Answer> = answers.into_iter().map(|answer| answer.expect("an answer")).collect();
        let first = answers.iter().find(|answer| !is_replay(answer)).expect("one copy was first");
        assert!(first.status == 200 || first.status == 202, "{path}: {} {}", first.status, first.text);
        assert_eq!(
            answers.iter().filter(|answer| !is_replay(answer)).count(),
            1,
            "{path}: several were first"
        );
        for answer in &answers {
            assert_eq!((answer.status, &answer.text), (first.status, &first.text), "{path}");
            assert_eq!(answer.header("x-correlation-id"), first.header("x-correlation-id"), "{path}");
        }
        let after = all_events(&client).await;
        let of_first = |event: &&Value| event["correlationId"].as_str() == first.header("x-correlation-id");
        assert_eq!(
            after.len() - before,
            after.iter().filter(of_first).count(),
            "{path}: another copy wrote events"
        );
    }
}

/// Copies that are cut off by a kill, and copies after the restart: all responses are equal, and the effect happened
/// once. The kill comes before the first response, after it, and later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_of_copies_around_a_kill_has_one_effect() {
    let mut server = launch().start().await;
    let mut all = Vec::new();
    for (round, answered_before) in [0, 1, 7, 20, 0, 1].into_iter().enumerate() {
        let (client, mut said) = (server.client(), TrackedSay::new(round, &format!("kill-{round}")));
        let mut copies = JoinSet::new();
        for mut copy in vec![said.clone(); COPIES] {
            let client = client.clone();
            copies.spawn(async move { copy.say(&client).await });
        }
        let mut answers = Vec::new();
        while answers.len() < answered_before {
            answers.push(copies.join_next().await.expect("some copies got no response").expect("no panic"));
        }
        server.kill();
        answers.extend(copies.join_all().await);
        server.restart().await;
        let client = server.client();
        let mut after = JoinSet::new();
        for mut copy in vec![said.clone(); COPIES] {
            let client = client.clone();
            after.spawn(async move { copy.say(&client).await });
        }
        answers.extend(after.join_all().await);
        let answers: Vec<Answer> =
            answers.into_iter().flatten().filter(|answer| answer.status != 503).collect();
        assert!(answers.len() >= COPIES, "copies after the restart get responses");
        assert!(answers.iter().all(|answer| answer.text == answers[0].text), "round {round}: answers differ");
        assert!(
            answers.iter().filter(|answer| !is_replay(answer)).count() <= 1,
            "round {round}: two were first"
        );
        said.answer = Some(answers[0].text.clone());
        all.push(said);
        assert_logged(&client, &all).await;
    }
}

/// A copy that arrives while the first is in progress waits for it; none of them gets a conflict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_of_copies_among_other_traffic_has_one_effect() {
    let server = launch().start().await;
    let client = server.client();
    let mut all = JoinSet::new();
    for name in 0..20 {
        for _ in 0..10 {
            let (client, mut said) = (client.clone(), TrackedSay::new(name, &format!("traffic-{name}")));
            all.spawn(async move {
                let answer = said.say(&client).await.expect("an answer");
                assert_eq!(answer.status, 202, "{}", answer.text);
                said
            });
        }
    }
    let said = all.join_all().await;
    assert_logged(&client, &said).await;
    let messages =
        crate::background_load::events_matching(&client, "types=conversation_message_posted").await;
    assert_eq!(messages.len(), 20);
}
