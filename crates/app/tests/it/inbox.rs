//! The inbox: items from mentions, lists, and acknowledgements.

use agentcafe_testkit::{Client, Value, json};

use crate::{cafe, log};

async fn mention(client: &Client, who: &str, room: &str) -> Value {
    let body = json!({"actorId": "Nova", "roomId": room, "text": format!("hey @{who}"), "mentions": [who]});
    client.act("/v1/commands/say", body).await.data().clone()
}

async fn inbox(client: &Client, query: &str) -> Value {
    client.get(&format!("/v1/inbox{query}")).await.data().clone()
}

fn sequences(inbox: &Value) -> Vec<u64> {
    inbox["items"].as_array().into_iter().flatten().filter_map(|item| item["inboxSeq"].as_u64()).collect()
}

/// The item is there when the command returns, with the event's time. A mention of oneself adds none.
#[tokio::test]
async fn mention_adds_an_inbox_item_for_the_mentioned_actor() {
    let (_server, client) = cafe().await;
    let body = json!({"actorId": "Nova", "text": "hey @Kai and @Nova", "mentions": ["Kai", "Nova"], "threadId": "t1"});
    let _ = client.act("/v1/commands/say", body).await.data();
    let event = &log(&client).await[1];
    let got = inbox(&client, "?actorId=Kai").await;
    let item = &got["items"][0];
    assert_eq!(item["inboxId"].as_str().unwrap().len(), 36);
    let want = json!({
        "inboxSeq": item["inboxSeq"], "inboxId": item["inboxId"], "tenantId": "default", "roomId": "main", "actorId": "Kai",
        "sourceEventId": event["eventId"], "sourceEventSequence": event["sequence"], "sourceEventType": "mention_created",
        "sourceActorId": "Nova", "sourceEventAt": event["timestamp"], "threadId": "t1", "topic": "mention",
        "messageId": event["payload"]["sourceMessageId"], "text": "hey @Kai and @Nova",
        "payload": {"topic": "mention", "mentionedActorId": "Kai", "sourceMessageId": event["payload"]["sourceMessageId"], "threadId": "t1"},
        "createdAt": event["timestamp"], "ackedAt": null, "ackedBy": null,
    });
    assert_eq!(item, &want);
    let around = json!({"tenantId": "default", "roomId": null, "actorId": "Kai", "unreadOnly": false, "order": "asc", "count": 1,
        "nextCursor": item["inboxSeq"], "unreadCount": 1, "projectedUnreadCount": null, "items": [want]});
    assert_eq!(got, around);
    assert_eq!(inbox(&client, "?actorId=Nova").await["count"], 0);
}

/// `unreadCount` depends only on tenant, room and actor, not on the other filters.
#[tokio::test]
async fn inbox_is_listed_in_both_orders_with_cursors_and_filters() {
    let (_server, client) = cafe().await;
    for (who, room) in [("Kai", "main"), ("Kai", "main"), ("Bo", "main"), ("Kai", "attic"), ("Kai", "main")] {
        mention(&client, who, room).await;
    }
    let all = sequences(&inbox(&client, "?actorId=Kai").await);
    assert_eq!(all.len(), 4);
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
    let cases = [
        ("?actorId=Kai&order=desc".to_owned(), vec![all[3], all[2], all[1], all[0]], 4),
        ("?actorId=Kai&order=sideways".to_owned(), all.clone(), 4),
        ("?actorId=Kai&limit=2".to_owned(), all[..2].to_vec(), 4),
        (format!("?actorId=Kai&limit=2&cursor={}", all[1]), all[2..].to_vec(), 4),
        (format!("?actorId=Kai&order=desc&cursor={}", all[2]), vec![all[1], all[0]], 4),
        ("?actorId=Kai&roomId=main".to_owned(), vec![all[0], all[1], all[3]], 3),
        ("?actorId=Kai&limit=0".to_owned(), all[..1].to_vec(), 4),
        ("?actorId=Kai&tenantId=acme".to_owned(), vec![], 0),
    ];
    for (query, want, unread) in cases {
        let got = inbox(&client, &query).await;
        assert_eq!((sequences(&got), &got["unreadCount"]), (want.clone(), &json!(unread)), "{query}");
        assert_eq!(got["count"], want.len());
        if let Some(last) = want.last() {
            assert_eq!(got["nextCursor"], *last, "{query}");
        }
    }
    let behind = inbox(&client, &format!("?actorId=Kai&cursor={}", all[3])).await;
    assert_eq!((&behind["count"], &behind["nextCursor"]), (&json!(0), &json!(all[3])));
    assert_eq!(inbox(&client, "").await["unreadCount"], 5, "without an actor: items of all actors");
    for bad in ["cursor=x", "cursor=1.5", "limit=x"] {
        let answer = client.get(&format!("/v1/inbox?{bad}")).await;
        assert_eq!(answer.error(400, "ERR_VALIDATION")["value"], bad.split_once('=').unwrap().1);
    }
}

/// Later ones change nothing; no event is appended.
#[tokio::test]
async fn inbox_ack_keeps_the_first_acknowledgement() {
    let (_server, client) = cafe().await;
    mention(&client, "Kai", "main").await;
    mention(&client, "Kai", "main").await;
    let item = inbox(&client, "?actorId=Kai").await["items"][0].clone();
    let path = format!("/v1/inbox/{}/ack", item["inboxId"].as_str().unwrap());
    let events = log(&client).await.len();
    let first = client.act(&path, json!({"actorId": "Kai", "ackedBy": "Kai's human"})).await;
    assert_eq!(first.status, 200);
    let data = first.data();
    assert_eq!((&data["changed"], &data["unreadCount"]), (&json!(true), &json!(1)));
    assert_eq!(
        (&data["item"]["ackedBy"], &data["item"]["inboxId"]),
        (&json!("Kai's human"), &item["inboxId"])
    );
    assert!(data["item"]["ackedAt"].is_string());
    assert_eq!(data["correlationId"].as_str(), first.header("x-correlation-id"));
    let again = client.act(&path, json!({"actorId": "Kai"})).await;
    assert_eq!((&again.data()["changed"], &again.data()["item"]), (&json!(false), &data["item"]));
    assert_eq!(again.data()["unreadCount"], 1);
    assert_eq!(inbox(&client, "?actorId=Kai&unreadOnly=true").await["count"], 1);
    assert_eq!(inbox(&client, "?actorId=Kai").await["count"], 2);
    assert_eq!(log(&client).await.len(), events);
}

/// The tenant may be in the query.
#[tokio::test]
async fn inbox_ack_by_another_actor_or_tenant_is_not_found() {
    let (_server, client) = cafe().await;
    let body = json!({"actorId": "Nova", "tenantId": "acme", "text": "hey @Kai", "mentions": ["Kai"]});
    let _ = client.act("/v1/commands/say", body).await.data();
    let id = inbox(&client, "?actorId=Kai&tenantId=acme").await["items"][0]["inboxId"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/inbox/{id}/ack");
    let cases = [(&path, json!({"actorId": "Kai"})), (&path, json!({"actorId": "Nova", "tenantId": "acme"}))];
    for (path, body) in cases {
        let answer = client.act(path, body.clone()).await;
        let details = answer.error(404, "ERR_NOT_FOUND");
        assert_eq!((&details["actorId"], &details["inboxId"]), (&body["actorId"], &json!(id)));
        assert_eq!(details["tenantId"], body.get("tenantId").cloned().unwrap_or(json!("default")));
        assert!(details["correlationId"].is_string());
    }
    let unknown = "/v1/inbox/0190b5a0-0000-7000-8000-000000000000/ack";
    let _ = client.act(unknown, json!({"actorId": "Kai"})).await.error(404, "ERR_NOT_FOUND");
    let answer = client.act(&format!("{path}?tenantId=acme"), json!({"actorId": "Kai"})).await;
    assert_eq!(answer.data()["changed"], true);
}

/// Only unread items of the actor (and the room, if given) are acknowledged.
#[tokio::test]
async fn inbox_ack_takes_ids_and_up_to_cursor() {
    let (_server, client) = cafe().await;
    for (who, room) in [
        ("Kai", "main"),
        ("Kai", "attic"),
        ("Bo", "main"),
        ("Kai", "main"),
        ("Kai", "attic"),
        ("Kai", "main"),
    ] {
        mention(&client, who, room).await;
    }
    let items = inbox(&client, "?actorId=Kai").await["items"].clone();
    let (id, sequence) =
        (|at: usize| items[at]["inboxId"].clone(), |at: usize| items[at]["inboxSeq"].clone());
    let bo = inbox(&client, "?actorId=Bo").await["items"][0]["inboxId"].clone();
    let stranger = json!("0190b5a0-0000-7000-8000-000000000000");
    let cases = [
        (json!({"roomId": "main", "upToCursor": sequence(2)}), vec![id(0), id(2)], 1),
        (json!({"ids": [id(4), id(0), bo, stranger, id(4)]}), vec![id(4)], 2),
        (json!({"ids": [id(3)], "upToCursor": sequence(1)}), vec![id(1), id(3)], 0),
        (json!({"upToCursor": "9999999"}), vec![], 0),
    ];
    for (mut body, acked, unread) in cases {
        body["actorId"] = json!("Kai");
        let answer = client.act("/v1/inbox/ack", body.clone()).await;
        let data = answer.data();
        assert_eq!((answer.status, &data["ackedIds"]), (200, &json!(acked)), "{body}");
        assert_eq!(
            (&data["ackedCount"], &data["unreadCount"]),
            (&json!(acked.len()), &json!(unread)),
            "{body}"
        );
        assert_eq!(data["correlationId"].as_str(), answer.header("x-correlation-id"));
    }
    assert_eq!(inbox(&client, "?actorId=Kai").await["unreadCount"], 0);
    assert_eq!(inbox(&client, "?actorId=Bo").await["unreadCount"], 1, "Bo's stay unread");
    assert!(
        inbox(&client, "?actorId=Kai").await["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|item| item["ackedBy"] == "Kai")
    );
}
