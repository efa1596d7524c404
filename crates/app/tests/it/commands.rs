//! Agents' commands: which events each appends, in which order, with which causes, and their effect on presence.

use agentcafe_testkit::{Answer, Client, Value, json};

use crate::{cafe, log};

/// Sends a command of Nova, and checks what all commands have in common. Returns the response with its events.
async fn act(client: &Client, path: &str, body: Value) -> (Answer, Vec<Value>) {
    let mut body = body;
    body["actorId"] = json!("Nova");
    let before = log(client).await.len();
    let answer = client.act(path, body).await;
    let data = answer.data();
    assert_eq!(answer.status, 202);
    let events = log(client).await.split_off(before);
    let emitted = events.iter().map(|event| {
        json!({"eventId": event["eventId"], "sequence": event["sequence"], "eventType": event["type"]})
    });
    assert_eq!(data["emittedEvents"], emitted.collect::<Value>(), "{path}");
    for name in ["eventId", "sequence", "eventType"] {
        assert_eq!(data[name], data["emittedEvents"][0][name], "{path}");
    }
    assert_eq!((&data["accepted"], &data["actorId"]), (&json!(true), &json!("Nova")));
    assert_eq!((&data["roomId"], &data["tenantId"]), (&json!("main"), &json!("default")));
    assert!(events.iter().all(|event| event["correlationId"] == data["correlationId"]), "{path}");
    (answer, events)
}

/// The types of events, each with the index of the event that caused it.
type Links<'a> = Vec<(&'a str, Option<usize>)>;

fn links(events: &[Value]) -> Links<'_> {
    let mut links = Links::new();
    for event in events {
        let caused_by = events.iter().position(|cause| cause["eventId"] == event["causationId"]);
        assert!(caused_by.is_some() || event["causationId"].is_null(), "caused by a stranger: {event}");
        links.push((event["type"].as_str().unwrap_or_default(), caused_by));
    }
    links
}

const SAID: &str = "conversation_message_posted";
const BEAT: &str = "presence_heartbeat";
const CHANGED: &str = "status_changed";

/// Nova's commands in order: path, body, the appended events, and the status afterwards.
fn cases() -> [(&'static str, Value, Links<'static>, &'static str); 9] {
    let (enter, leave) = ("/v1/commands/enter", "/v1/commands/leave");
    let (order, tea) = ("/v1/commands/order", json!({"itemId": "tea"}));
    let mention = ("mention_created", Some(0));
    let busy = |first| vec![(first, None), (BEAT, Some(0))];
    let changed = |first| vec![(first, None), (BEAT, Some(0)), (CHANGED, Some(1))];
    let left = vec![("agent_left", None), (CHANGED, Some(0))];
    let say_events = vec![(SAID, None), mention, mention, (BEAT, Some(0)), (CHANGED, Some(3))];
    [
        (enter, json!({}), busy("agent_entered"), "idle"),
        ("/v1/commands/say", json!({"text": "hey @Kai and @Bo"}), say_events, "busy"),
        ("/v1/conversations/messages", json!({"text": "hm"}), busy(SAID), "busy"),
        ("/v1/commands/move", json!({"direction": "N"}), busy("actor_moved"), "busy"),
        (order, tea.clone(), busy("order_changed"), "busy"),
        (enter, json!({}), changed("agent_entered"), "idle"),
        (leave, json!({}), left.clone(), "inactive"),
        (order, tea, changed("order_changed"), "busy"),
        (leave, json!({}), left, "inactive"),
    ]
}

/// Each event names its cause. `status_changed` follows only if the status differs; an actor's first heartbeat is no
/// change of status.
#[tokio::test]
async fn command_appends_its_event_then_mentions_then_presence() {
    let (_server, client) = cafe().await;
    for (path, body, want, status) in cases() {
        let (answer, events) = act(&client, path, body.clone()).await;
        assert_eq!(links(&events), want, "{path} {body}");
        let (data, presence) = (answer.data(), &answer.data()["presence"]);
        let action = path.rsplit('/').next().map(|name| name.replace("messages", "conversation_message"));
        assert_eq!((data["action"].as_str(), &presence["status"]), (action.as_deref(), &json!(status)));
        assert_eq!(presence["isActive"], status != "inactive");
        let stored = client.get("/v1/presence?roomId=main&actorId=Nova").await;
        assert_eq!(&stored.data()["presence"], presence, "{path}");
    }
    let sequences: Vec<u64> =
        log(&client).await.iter().filter_map(|event| event["sequence"].as_u64()).collect();
    assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]) && sequences[0] >= 1, "{sequences:?}");
}

#[tokio::test]
async fn enter_and_leave_events_have_their_payloads_and_defaults() {
    let (_server, client) = cafe().await;
    let (_, events) = act(&client, "/v1/commands/enter", json!({})).await;
    let at = &events[0]["timestamp"];
    let standard = json!({"source": "agent", "reason": "manual_enter", "enteredAt": at, "position": null, "metadata": {}});
    assert_eq!(events[0]["payload"], standard);
    let payload = json!({"source": "webapp", "reason": "curious", "enteredAt": "2026-01-02T03:04:05+01:00",
        "position": {"x": 1, "y": 2.5}, "metadata": {"mood": "good"}, "unknown": 1});
    let (_, events) = act(&client, "/v1/commands/enter", json!({"payload": payload})).await;
    let mut want = payload.clone();
    want["enteredAt"] = json!("2026-01-02T02:04:05.000Z");
    want.as_object_mut().unwrap().remove("unknown");
    assert_eq!(events[0]["payload"]["position"]["x"].as_f64(), Some(1.0));
    want["position"] = events[0]["payload"]["position"].clone();
    assert_eq!(events[0]["payload"], want);
    for odd in
        [json!({"position": {"x": 1}}), json!({"position": {"x": "1", "y": 2}}), json!({"position": 5})]
    {
        let (_, events) = act(&client, "/v1/commands/enter", json!({"payload": odd})).await;
        assert_eq!(events[0]["payload"]["position"], json!(null), "{odd}");
    }
    let odd = json!({"source": " ", "reason": "", "enteredAt": "soon", "metadata": 5});
    let (_, events) = act(&client, "/v1/commands/enter", json!({"payload": odd})).await;
    let mut want = standard;
    want["enteredAt"] = events[0]["timestamp"].clone();
    assert_eq!(events[0]["payload"], want, "blank and invalid members count as missing");
    let (_, events) = act(&client, "/v1/commands/leave", json!({})).await;
    let want = json!({"source": "agent", "reason": "manual_leave", "leftAt": events[0]["timestamp"], "forced": false,
        "operatorId": null, "metadata": {}});
    let mut got = events[0]["payload"].clone();
    got.as_object_mut().unwrap().remove("wasPresent");
    assert_eq!(got, want);
}

/// Only an operator's `force_leave` makes a departure that is marked as forced.
#[tokio::test]
async fn leave_cannot_be_marked_as_forced_by_a_client() {
    let (_server, client) = cafe().await;
    let forged = json!({"forced": true, "operatorId": "Op", "source": "operator", "reason": "because"});
    let (_, events) = act(&client, "/v1/commands/leave", json!({"payload": forged})).await;
    let payload = &events[0]["payload"];
    assert_eq!((&payload["forced"], &payload["operatorId"]), (&json!(false), &json!(null)));
    assert_eq!((&payload["source"], &payload["reason"]), (&json!("agent"), &json!("because")));
    let (_, events) = act(&client, "/v1/commands/enter", json!({"payload": {"source": "operator"}})).await;
    assert_eq!(events[0]["payload"]["source"], "agent");
}

#[tokio::test]
async fn leave_of_an_absent_actor_appends_an_event() {
    let (_server, client) = cafe().await;
    for path in ["leave", "enter", "leave", "leave"] {
        let (_, events) = act(&client, &format!("/v1/commands/{path}"), json!({})).await;
        let left = events.iter().filter(|event| event["type"] == "agent_left").count();
        assert_eq!(left, usize::from(path == "leave"), "{events:?}");
    }
}

/// Numbers may be numeric strings, and are rounded.
#[tokio::test]
async fn move_order_and_presence_events_have_their_payloads_and_defaults() {
    let (_server, client) = cafe().await;
    let moves = [
        (json!({"direction": "n"}), json!({"direction": "N", "steps": 1})),
        (json!({"direction": " S ", "steps": null}), json!({"direction": "S", "steps": 1})),
        (json!({"direction": "E", "steps": ""}), json!({"direction": "E", "steps": 1})),
        (json!({"direction": "E", "steps": "3"}), json!({"direction": "E", "steps": 3})),
        (json!({"direction": "W", "steps": 2.5}), json!({"direction": "W", "steps": 3})),
        (json!({"direction": "W", "steps": 50}), json!({"direction": "W", "steps": 50})),
        (
            json!({"direction": "W", "intent": "stroll"}),
            json!({"direction": "W", "steps": 1, "intent": "stroll"}),
        ),
    ];
    for (body, want) in moves {
        let (_, events) = act(&client, "/v1/commands/move", body.clone()).await;
        assert_eq!(events[0]["payload"], want, "{body}");
    }
    for (size, want) in [(json!(null), "regular"), (json!("large"), "large")] {
        let (_, events) =
            act(&client, "/v1/commands/order", json!({"itemId": " flat_white ", "size": size})).await;
        assert_eq!(events[0]["payload"], json!({"itemId": "flat_white", "size": want}));
    }
    let (answer, events) = act(&client, "/v1/commands/enter", json!({})).await;
    let presence = &answer.data()["presence"];
    let beat = json!({"status": "idle", "ttlMs": 60_000, "lastHeartbeatAt": presence["lastHeartbeatAt"],
        "expiresAt": presence["expiresAt"]});
    assert_eq!(events[1]["payload"], beat);
    let changed = json!({"fromStatus": "busy", "toStatus": "idle", "reason": "command_activity", "source": "agent",
        "changedAt": events[2]["timestamp"], "lastHeartbeatAt": presence["lastHeartbeatAt"], "expiresAt": null,
        "operatorId": null, "metadata": {}, "from": "busy", "to": "idle"});
    assert_eq!(events[2]["payload"], changed);
    let (answer, events) = act(&client, "/v1/commands/leave", json!({})).await;
    let presence = &answer.data()["presence"];
    let left = json!({"fromStatus": "idle", "toStatus": "inactive", "reason": "agent_left", "source": "agent",
        "changedAt": presence["updatedAt"], "lastHeartbeatAt": presence["lastHeartbeatAt"],
        "expiresAt": presence["expiresAt"], "operatorId": null, "metadata": {}, "from": "idle", "to": "inactive"});
    assert_eq!(events[1]["payload"], left);
}

#[tokio::test]
async fn causation_id_of_a_client_is_on_the_first_event_only() {
    let (_server, client) = cafe().await;
    let bodies = [
        ("/v1/commands/enter", json!({})),
        ("/v1/commands/say", json!({"text": "because of you, @Kai"})),
        ("/v1/commands/move", json!({"direction": "E"})),
        ("/v1/commands/order", json!({"itemId": "tea"})),
        ("/v1/commands/leave", json!({})),
    ];
    for (path, mut body) in bodies {
        body["actorId"] = json!("Nova");
        body["causationId"] = json!("some-event");
        let _ = client.act(path, body).await.data();
    }
    for event in log(&client).await {
        let primary = !matches!(event["type"].as_str(), Some(BEAT | CHANGED | "mention_created"));
        assert_eq!(event["causationId"] == "some-event", primary, "{event}");
    }
}

/// A command does not need an `enter` before it.
#[tokio::test]
async fn ids_are_trimmed_and_default_if_blank() {
    let (_server, client) = cafe().await;
    let cases = [
        (json!({"roomId": " attic ", "tenantId": "acme"}), "attic", "acme"),
        (json!({"roomId": " ", "tenantId": ""}), "main", "default"),
        (json!({"roomId": null, "tenantId": null}), "main", "default"),
        (json!({"roomId": "🪴 Garten", "tenantId": "é"}), "🪴 Garten", "é"),
    ];
    for (mut body, room, tenant) in cases {
        body["actorId"] = json!("  Nova ");
        let answer = client.act("/v1/commands/enter", body).await;
        let data = answer.data();
        let got = (&data["actorId"], &data["roomId"], &data["tenantId"]);
        assert_eq!(got, (&json!("Nova"), &json!(room), &json!(tenant)));
    }
}
