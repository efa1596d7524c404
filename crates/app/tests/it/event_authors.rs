//! `by` of events: which API key they came with, and whether that proves the actor.

use std::time::Duration;

use agentcafe_testkit::{Client, SHARED_TOKEN, Value, eventually, json};

use crate::{cafe, launch, log, promote, say};

const DEADLINE: Duration = Duration::from_secs(30);

/// The events of the room `main` as a page, a poll and a stream have them.
async fn read_everywhere(client: &Client, count: usize) -> [Vec<Value>; 3] {
    let mut stream = client.stream("/v1/events/stream?roomId=main&cursor=0").await;
    let mut streamed = Vec::new();
    for _ in 0..count {
        streamed.push(stream.next_event().await.data);
    }
    let mut read = [Vec::new(), Vec::new(), streamed];
    for (events, path) in read.iter_mut().zip(["/v1/events", "/v1/events/poll"]) {
        let page = client.get(&format!("{path}?roomId=main&cursor=0&limit=200")).await;
        events.clone_from(page.data()["events"].as_array().expect("events"));
    }
    read
}

/// `verified` is true if the key is bound to the actor, by its id or by a prefix, so that readers tell proven from claimed. An admin
/// key may name any actor, and an operator's rule acts as another: both prove nothing. The shared token has no `by`.
#[tokio::test]
async fn event_says_whether_its_key_is_bound_to_its_actor() {
    let server = launch().with_shared_token().start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    promote(&root, "Olga", "main").await;
    let nova = root.make_key(json!({"kind": "agent", "actors": ["Nova"]})).await;
    let team = root.make_key(json!({"kind": "agent", "actors": ["team/"]})).await;
    let olga = root.make_key(json!({"kind": "operator", "actors": ["Olga"]})).await;
    let admin = root.make_key(json!({"kind": "admin"})).await;
    let rule = json!({"roomId": "main", "sourceActorId": "Nova", "targetActorId": "Rita", "actionType": "say",
        "triggerEventTypes": ["conversation_message_posted"], "actionPayload": {"text": "hi"}});
    let _ = olga.client.act("/v1/reactions/subscriptions", rule).await.data();
    for (client, actor) in
        [(&nova.client, "Nova"), (&team.client, "team/Kai"), (&admin.client, "Mira"), (&root, "Bo")]
    {
        let said = say(client, actor, "hey").await;
        assert_eq!(said.status, 202, "{}", said.text);
    }
    let by = |id: &str, verified: bool| json!({"keyId": id, "verified": verified});
    let expected = [
        ("Nova", by(&nova.id, true)),
        ("team/Kai", by(&team.id, true)),
        ("Mira", by(&admin.id, false)),
        ("Rita", by(&olga.id, false)),
        ("Bo", Value::Null),
    ];
    let has_reacted = async || log(&root).await.iter().any(|event| event["actorId"] == "Rita").then_some(());
    eventually("the rule acts", DEADLINE, has_reacted).await;
    let count = log(&root).await.len();
    for events in read_everywhere(&root, count).await {
        for (actor, by) in &expected {
            let mut own = events.iter().filter(|event| event["actorId"] == *actor).peekable();
            assert!(own.peek().is_some(), "{actor}: {events:?}");
            assert!(own.all(|event| event["by"] == *by), "{actor}: {events:?}");
        }
    }
}

/// Where nobody has a key, an event has no `by`.
#[tokio::test]
async fn event_of_a_caller_without_a_key_has_no_author() {
    let (_server, client) = cafe().await;
    assert_eq!(say(&client, "Nova", "hey").await.status, 202);
    for events in read_everywhere(&client, log(&client).await.len()).await {
        assert!(!events.is_empty() && events.iter().all(|event| event.get("by").is_none()), "{events:?}");
    }
}
