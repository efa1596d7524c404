//! Says under known keys from many connections, and a check of the log against their responses.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agentcafe_testkit::{Answer, Client, Method, Value, json};
use tokio::task::JoinSet;

/// Concurrent requests of a check.
const CHECKED_AT_ONCE: usize = 16;

/// A say, and its outcome.
#[derive(Clone, Debug)]
pub(crate) struct TrackedSay {
    speaker: String,
    room: String,
    key: String,
    text: String,
    /// The response body, if it was accepted and the response arrived.
    pub(crate) answer: Option<String>,
}

impl TrackedSay {
    /// A say with a unique text. It mentions Kai, so that it makes several events and an inbox item.
    pub(crate) fn new(speaker: usize, name: &str) -> Self {
        Self {
            speaker: format!("speaker-{speaker}"),
            room: format!("room-{}", speaker % 5),
            key: format!("key-{name}"),
            text: format!("{name} for @Kai"),
            answer: None,
        }
    }

    /// Sends it under its key, the same request each time. Keeps the body of a success.
    pub(crate) async fn say(&mut self, client: &Client) -> Option<Answer> {
        let body =
            json!({ "actorId": self.speaker, "roomId": self.room, "text": self.text, "mentions": ["Kai"] });
        let request = client.request(Method::POST, "/v1/commands/say").key(&self.key).json(&body);
        let answer = request.try_send().await.ok()?;
        if answer.status == 202 && self.answer.is_none() {
            self.answer = Some(answer.text.clone());
        }
        Some(answer)
    }
}

/// Sends one say after the other on its own connection, until there is no response any more.
pub(crate) async fn say_until_disconnected(
    address: SocketAddr,
    speaker: usize,
    round: &str,
    acknowledged: Arc<AtomicUsize>,
) -> Vec<TrackedSay> {
    let client = Client::new(address);
    let mut all = Vec::new();
    loop {
        let mut said = TrackedSay::new(speaker, &format!("{round}-{speaker}-{}", all.len()));
        let answered = said.say(&client).await;
        all.push(said);
        match answered {
            Some(answer) if answer.status == 202 => acknowledged.fetch_add(1, Ordering::SeqCst),
            Some(answer) if answer.status != 503 => panic!("{} {}", answer.status, answer.text),
            _ => return all,
        };
    }
}

/// The head of the log.
pub(crate) async fn head_of_log(client: &Client) -> u64 {
    client.get("/v1/bootstrap").await.data()["cursor"].as_u64().expect("a cursor")
}

/// Every event of the log, in order.
pub(crate) async fn all_events(client: &Client) -> Vec<Value> {
    events_matching(client, "").await
}

/// Every event that matches a query.
pub(crate) async fn events_matching(client: &Client, query: &str) -> Vec<Value> {
    read_pages(client, query, 2_000).await
}

/// Every event that matches a query, in pages of this size.
pub(crate) async fn read_pages(client: &Client, query: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), Value::from(0));
    loop {
        let page = client.get(&format!("/v1/events?limit={limit}&cursor={cursor}&{query}")).await;
        let events = page.data()["events"].as_array().cloned().unwrap_or_default();
        if events.is_empty() {
            return all;
        }
        cursor = page.data()["nextCursor"].clone();
        all.extend(events);
    }
}

/// Checks that the log has no gaps, each acknowledged say once, with all its events as in the response, and each
/// other say at most once.
pub(crate) async fn assert_logged(client: &Client, all: &[TrackedSay]) {
    let log = all_events(client).await;
    for (event, number) in log.iter().zip(1_u64..) {
        assert_eq!(event["sequence"], number, "the log has gaps");
    }
    let mut by_text: HashMap<&str, Vec<&Value>> = HashMap::new();
    for event in &log {
        if let Some(text) = event["payload"]["conversation"]["text"].as_str() {
            by_text.entry(text).or_default().push(event);
        }
    }
    for said in all {
        let events = by_text.get(said.text.as_str()).map_or(&[][..], Vec::as_slice);
        let Some(answer) = &said.answer else {
            assert!(events.len() <= 1, "{} times: {said:?}", events.len());
            continue;
        };
        assert_eq!(events.len(), 1, "{said:?}");
        let answer: Value = serde_json::from_str(answer).expect("an answer is JSON");
        assert_eq!(
            (&events[0]["eventId"], &events[0]["sequence"]),
            (&answer["data"]["eventId"], &answer["data"]["sequence"])
        );
        let emitted = answer["data"]["emittedEvents"].as_array().expect("a list");
        assert!(emitted.len() >= 3, "a message, a mention and a heartbeat: {emitted:?}");
        for emitted_event in emitted {
            let number = emitted_event["sequence"].as_u64().expect("a sequence");
            let event = &log[usize::try_from(number).expect("a small number") - 1];
            assert_eq!(
                (&event["eventId"], &event["type"]),
                (&emitted_event["eventId"], &emitted_event["eventType"]),
                "{said:?}"
            );
        }
    }
    let mentions = log.iter().filter(|event| event["type"] == "mention_created").count();
    let inbox = client.get("/v1/inbox?actorId=Kai&limit=1").await;
    assert_eq!(inbox.data()["unreadCount"], mentions, "mentions and inbox items come together");
}

/// Sends every say again. An acknowledged one gets its first response, byte for byte; another takes effect now, or
/// replays. Returns all as acknowledged.
pub(crate) async fn repeat_says(client: &Client, all: Vec<TrackedSay>) -> Vec<TrackedSay> {
    let (mut waiting, mut checking, mut checked) = (all.into_iter(), JoinSet::new(), Vec::new());
    loop {
        while checking.len() < CHECKED_AT_ONCE
            && let Some(mut said) = waiting.next()
        {
            let client = client.clone();
            checking.spawn(async move {
                let answer = said.say(&client).await.expect("the server runs");
                assert_eq!(Some(&answer.text), said.answer.as_ref(), "{} {said:?}", answer.status);
                said
            });
        }
        let Some(done) = checking.join_next().await else { return checked };
        checked.push(done.expect("the answer is the first one"));
    }
}
