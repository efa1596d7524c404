//! `GET /v1/replay`: the events of a room in the last minutes, and the room's state after them.

use agentcafe_testkit::{Client, Value, json};

use crate::{cafe, launch, log, order};

async fn replay(client: &Client, query: &str) -> Value {
    client.get(&format!("/v1/replay{query}")).await.data().clone()
}

#[tokio::test]
async fn replay_of_an_empty_room_has_an_empty_snapshot() {
    let (_server, client) = cafe().await;
    let data = replay(&client, "?roomId=attic").await;
    assert_eq!((&data["tenantId"], &data["roomId"]), (&json!("default"), &json!("attic")));
    assert_eq!((&data["count"], &data["events"], &data["truncated"]), (&json!(0), &json!([]), &json!(false)));
    let window = &data["window"];
    assert_eq!(
        (&window["minutes"], &window["startCursor"], &window["endCursor"]),
        (&json!(10), &json!(null), &json!(null))
    );
    let snapshot = json!({
        "tenantId": "default", "roomId": "attic", "actors": [], "pinnedContext": null, "chat": [], "localMemory": [],
        "messages": [], "threads": [], "tasks": [], "sharedObjects": [], "orders": [], "lastEventAt": null,
        "lastEventId": null, "conversationContext": {"actorThemes": {}},
    });
    assert_eq!(data["snapshot"], snapshot);
}

#[tokio::test]
async fn replay_has_the_rooms_events_oldest_first_and_its_snapshot() {
    let (_server, client) = cafe().await;
    let say = json!({"actorId": "Nova", "text": "hey @Kai"});
    let _ = client.act("/v1/commands/say", say).await.data();
    order(&client, "Eve", "attic").await;
    order(&client, "Kai", "main").await;
    let whole: Vec<Value> =
        log(&client).await.into_iter().filter(|event| event["roomId"] == "main").collect();
    let data = replay(&client, "").await;
    assert_eq!((&data["events"], &data["count"]), (&json!(whole), &json!(whole.len())));
    let window = &data["window"];
    assert_eq!(
        (&window["startCursor"], &window["endCursor"]),
        (&json!(1), &whole.last().unwrap()["sequence"])
    );
    let snapshot = &data["snapshot"];
    assert_eq!(snapshot["conversationContext"], json!({"actorThemes": {"Kai": null, "Nova": null}}));
    for list in ["actors", "chat", "messages"] {
        let entries = snapshot[list].as_array().unwrap();
        assert!(!entries.is_empty() && entries.iter().all(|entry| entry.get("theme") == Some(&json!(null))));
    }
    assert_eq!(snapshot["chat"][0]["text"], "hey @Kai");
    assert_eq!(snapshot["orders"][0]["actorId"], "Kai");
    assert_eq!(snapshot["lastEventId"], whole.last().unwrap()["eventId"]);
}

#[tokio::test]
async fn replay_has_the_colours_of_profiles() {
    let (_server, client) = cafe().await;
    let profile = json!({"actorId": "Nova", "displayName": "Nova", "theme": {"bubbleColor": "#aabbcc"}});
    let _ = client.act("/v1/profiles", profile).await.data();
    let _ = client.act("/v1/commands/say", json!({"actorId": "Nova", "text": "hey"})).await.data();
    let snapshot = &replay(&client, "").await["snapshot"];
    let theme = &snapshot["conversationContext"]["actorThemes"]["Nova"];
    assert_eq!(theme["bubbleColor"], "#aabbcc");
    for list in ["actors", "chat", "messages"] {
        assert_eq!(&snapshot[list][0]["theme"], theme, "{list}");
    }
}

/// The snapshot reflects only the events that match.
#[tokio::test]
async fn replay_is_filtered_by_actor_and_type() {
    let (_server, client) = cafe().await;
    for actor in ["Nova", "Kai", "Nova"] {
        order(&client, actor, "main").await;
    }
    let data = replay(&client, "?actorId=Nova&types=order_changed,agent_left").await;
    let events = data["events"].as_array().unwrap();
    assert!(events.iter().all(|event| event["actorId"] == "Nova" && event["type"] == "order_changed"));
    assert_eq!((&data["count"], data["snapshot"]["orders"].as_array().unwrap().len()), (&json!(2), 2));
    assert_eq!(data["snapshot"]["actors"][0]["actorId"], "Nova");
    assert_eq!(replay(&client, "?types=nonsense").await["count"], 0);
    assert_eq!(replay(&client, "?tenantId=acme").await["count"], 0);
}

/// Fractions are allowed; anything else than a number is refused.
#[tokio::test]
async fn replay_minutes_are_clamped_to_1_to_120() {
    let (_server, client) = cafe().await;
    let cases = [
        ("", 10.0),
        ("?minutes=", 10.0),
        ("?minutes=1.5", 1.5),
        ("?minutes=0", 1.0),
        ("?minutes=-3", 1.0),
        ("?minutes=500", 120.0),
        ("?minutes=1e3", 120.0),
    ];
    for (query, minutes) in cases {
        let window = replay(&client, query).await["window"].clone();
        assert_eq!(window["minutes"].as_f64(), Some(minutes), "{query}");
        let [from, to] = ["fromTs", "toTs"].map(|name| {
            let at = agentcafe_domain::kernel::Timestamp::parse(window[name].as_str().unwrap());
            at.unwrap().as_millis()
        });
        assert_eq!((to - from) as f64, minutes * 60_000.0, "{query}");
    }
    for minutes in ["abc", "NaN", "inf", "10m"] {
        let answer = client.get(&format!("/v1/replay?minutes={minutes}")).await;
        assert_eq!(answer.error(400, "ERR_VALIDATION"), &json!({"field": "minutes", "value": minutes}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_of_a_busy_window_is_truncated_to_the_newest_events() {
    const ORDERS: usize = 2_510;
    const AT_ONCE: usize = 32;
    let (_server, client) = cafe().await;
    let acting: Vec<_> = (0..AT_ONCE)
        .map(|actor| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in 0..ORDERS / AT_ONCE + 1 {
                    order(&client, &format!("a{actor}"), "main").await;
                }
            })
        })
        .collect();
    for one in acting {
        one.await.unwrap();
    }
    let head = client.get("/v1/bootstrap").await.data()["cursor"].as_u64().unwrap();
    assert!(head > 5_000, "{head}");
    let data = replay(&client, "?minutes=120").await;
    assert_eq!((&data["count"], &data["truncated"]), (&json!(5_000), &json!(true)));
    assert_eq!(
        (&data["window"]["startCursor"], &data["window"]["endCursor"]),
        (&json!(head - 4_999), &json!(head))
    );
    let orders = replay(&client, "?minutes=120&types=order_changed").await;
    assert_eq!(orders["truncated"], false);
}

/// A replay keeps the newest events; memory and score read on.
#[tokio::test]
async fn replay_memory_and_score_read_large_events_in_bounded_pages() {
    const MESSAGES: usize = 12;
    const MAX_BYTES: usize = 8 << 20;
    let server = launch().env("API_MAX_CHAT_MESSAGE_CHARS", 0).start().await;
    let client = server.client();
    for number in 0..MESSAGES {
        let text = format!("{number} {}", "x".repeat(900_000));
        let _ = client.act("/v1/commands/say", json!({"actorId": "Nova", "text": text})).await.data();
    }
    let data = replay(&client, "?types=conversation_message_posted").await;
    let sizes: Vec<usize> =
        data["events"].as_array().unwrap().iter().map(|event| event.to_string().len()).collect();
    let (count, bytes) = (sizes.len(), sizes.iter().sum::<usize>());
    let largest = sizes.iter().max().unwrap();
    assert!((MAX_BYTES - largest..MAX_BYTES + largest).contains(&bytes), "{count} events of {bytes} bytes");
    assert_eq!((&data["truncated"], &data["count"]), (&json!(true), &json!(count)));
    let newest = data["snapshot"]["chat"][0]["text"].as_str().unwrap();
    assert!(newest.starts_with("11 "), "the newest event is kept");
    let memory = client.get("/v1/memory/local").await.data()["memory"].clone();
    let message_texts = memory.as_array().unwrap().iter().map(|entry| entry["text"].as_str().unwrap());
    let numbers: Vec<&str> = message_texts.filter_map(|text| text.split(' ').next()).collect();
    assert_eq!(numbers, ["11", "10", "9", "8", "7"]);
    let score = client.get("/v1/collaboration/score").await.data().clone();
    assert_eq!((&score["eventsConsidered"], &score["truncated"]), (&json!(MESSAGES), &json!(false)));
}
