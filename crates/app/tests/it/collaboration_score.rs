//! `GET /v1/collaboration/score`; the formula itself is tested in the domain.

use agentcafe_testkit::{Client, Value, json};

use crate::{cafe, log};

async fn say(client: &Client, actor: &str, text: &str) {
    let _ = client.act("/v1/commands/say", json!({"actorId": actor, "text": text})).await.data();
}

async fn score(client: &Client, query: &str) -> Value {
    client.get(&format!("/v1/collaboration/score{query}")).await.data().clone()
}

fn metrics(turns: u64, contributors: u64) -> Value {
    json!({"tasksCompleted": 0, "coordinationActions": 0, "objectEdits": 0, "conversationTurns": turns,
        "contributors": contributors})
}

#[tokio::test]
async fn score_of_an_empty_room_and_of_a_conversation() {
    let (_server, client) = cafe().await;
    let nothing = json!({"score": 0.0, "grade": "early", "metrics": metrics(0, 0)});
    let window = json!({"fromTs": null, "toTs": null});
    let want = json!({"tenantId": "default", "roomId": "main", "window": window, "eventsConsidered": 0,
        "truncated": false, "collaboration": nothing});
    assert_eq!(score(&client, "").await, want);
    for (number, actor) in ["Nova", "Kai", "Nova"].into_iter().enumerate() {
        say(&client, actor, &format!("hey @Bo, {number}")).await;
    }
    let data = score(&client, "").await;
    assert_eq!((&data["eventsConsidered"], &data["truncated"]), (&json!(3), &json!(false)));
    assert_eq!(data["collaboration"], json!({"score": 5.5, "grade": "early", "metrics": metrics(3, 2)}));
    assert_eq!(score(&client, "?roomId=attic").await["eventsConsidered"], 0);
    assert_eq!(score(&client, "?tenantId=acme").await["eventsConsidered"], 0);
}

#[tokio::test]
async fn score_counts_the_newest_events_and_reports_truncation() {
    let (_server, client) = cafe().await;
    for actor in ["Nova", "Nova", "Kai", "Kai"] {
        say(&client, actor, "hi").await;
    }
    for (limit, turns, contributors, truncated) in
        [(1, 1, 1, true), (2, 2, 1, true), (3, 3, 2, true), (4, 4, 2, false), (99_999, 4, 2, false)]
    {
        let data = score(&client, &format!("?limit={limit}")).await;
        assert_eq!(
            (&data["eventsConsidered"], &data["truncated"]),
            (&json!(turns), &json!(truncated)),
            "{limit}"
        );
        assert_eq!(data["collaboration"]["metrics"], metrics(turns, contributors), "{limit}");
    }
}

/// A bound that is not a time is refused.
#[tokio::test]
async fn score_window_is_inclusive() {
    let (_server, client) = cafe().await;
    for text in ["one", "two", "three"] {
        say(&client, "Nova", text).await;
    }
    let events = log(&client).await;
    let spoken: Vec<&str> = events
        .iter()
        .filter(|event| event["type"] == "conversation_message_posted")
        .filter_map(|event| event["timestamp"].as_str())
        .collect();
    let within = |from: &str, to: &str| {
        spoken.iter().filter(|at| (from.is_empty() || **at >= from) && (to.is_empty() || **at <= to)).count()
    };
    for (from, to) in [(spoken[1], ""), ("", spoken[1]), (spoken[1], spoken[1]), (spoken[2], spoken[0])] {
        let data = score(&client, &format!("?fromTs={from}&toTs={to}")).await;
        assert_eq!(data["eventsConsidered"], within(from, to), "{from} {to}");
        let echo = |text: &str| if text.is_empty() { json!(null) } else { json!(text) };
        assert_eq!(data["window"], json!({"fromTs": echo(from), "toTs": echo(to)}));
    }
    for (name, value) in [("fromTs", "yesterday"), ("toTs", "1"), ("limit", "many")] {
        let answer = client.get(&format!("/v1/collaboration/score?{name}={value}")).await;
        assert_eq!(answer.error(400, "ERR_VALIDATION"), &json!({"field": name, "value": value}));
    }
}
