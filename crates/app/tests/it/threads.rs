//! Messages by their ids and threads, read right after they were said.

use agentcafe_testkit::{Client, Value, json};

use crate::{UNKNOWN_ID, cafe, log, merged};

/// Says something in a room, with these members of the body.
async fn say(client: &Client, room: &str, body: Value) {
    let body = merged(json!({"actorId": "Nova", "roomId": room}), &body);
    let _ = client.act("/v1/commands/say", body).await.data();
}

/// On every node, and also with an id that has characters of paths.
#[tokio::test]
async fn message_is_found_by_its_id_right_after_its_say() {
    let (_server, client) = cafe().await;
    for n in 0..20 {
        let (id, encoded) = (format!("m/{n} ü?"), format!("m%2F{n}%20%C3%BC%3F"));
        say(&client, "main", json!({"text": format!("text {n}"), "messageId": id})).await;
        let answer = client.get(&format!("/v1/messages/{encoded}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let message = &answer.data()["message"];
        assert_eq!((&message["messageId"], &message["threadId"]), (&json!(id), &json!(id)));
        assert_eq!(message["conversation"]["text"], format!("text {n}"));
    }
    for event in log(&client).await.iter().filter(|event| event["type"] == "conversation_message_posted") {
        let id = event["payload"]["conversation"]["messageId"].as_str().unwrap_or_default();
        let id = id.replace('/', "%2F").replace(' ', "%20").replace('?', "%3F");
        let answer = client.get(&format!("/v1/messages/{id}")).await;
        let message = answer.data()["message"].clone();
        assert_eq!(message["conversation"], event["payload"]["conversation"]);
        for (name, member) in [
            ("sequence", "sequence"),
            ("eventId", "eventId"),
            ("at", "timestamp"),
            ("roomId", "roomId"),
            ("actorId", "actorId"),
        ] {
            assert_eq!(message[name], event[member], "{name}");
        }
    }
    let unknown = client.get(&format!("/v1/messages/{UNKNOWN_ID}")).await;
    assert_eq!(unknown.error(404, "ERR_NOT_FOUND")["messageId"], UNKNOWN_ID);
    let elsewhere = client.get("/v1/messages/m%2F1%20%C3%BC%3F?tenantId=rival").await;
    let _ = elsewhere.error(404, "ERR_NOT_FOUND");
}

/// The first of them, or the one of the room that is named.
#[tokio::test]
async fn message_id_of_several_rooms_names_the_first() {
    let (_server, client) = cafe().await;
    for room in ["lab", "bar"] {
        say(&client, room, json!({"text": room, "messageId": "m"})).await;
        say(&client, room, json!({"text": "again", "messageId": "m"})).await;
    }
    for (query, want) in [("", "lab"), ("?roomId=lab", "lab"), ("?roomId=bar", "bar")] {
        let answer = client.get(&format!("/v1/messages/m{query}")).await;
        assert_eq!(answer.data()["message"]["conversation"]["text"], want, "{query}");
    }
    let _ = client.get("/v1/messages/m?roomId=main").await.error(404, "ERR_NOT_FOUND");
}

/// As lines or whole, page by page.
#[tokio::test]
async fn thread_is_read_as_lines_and_whole() {
    let (_server, client) = cafe().await;
    say(&client, "main", json!({"text": "who has time, @Kai?", "messageId": "t"})).await;
    for n in 1..6 {
        let parent = if n == 1 { "t".to_owned() } else { format!("m{}", n - 1) };
        let reply = json!({"text": format!("line {n}"), "messageId": format!("m{n}"), "threadId": "t", "parentMessageId": parent});
        say(&client, "main", reply).await;
        say(&client, "main", json!({"text": "beside it"})).await;
    }
    say(&client, "main", json!({"text": "an answer", "messageId": "m6", "threadId": "t", "parentMessageId": "m5", "replyToMessageId": "t"})).await;
    let whole = client.get("/v1/threads/t?view=full").await.data().clone();
    let lines = client.get("/v1/threads/t").await.data().clone();
    assert_eq!(
        (&lines["count"], &lines["hasMore"], &lines["threadId"]),
        (&json!(7), &json!(false), &json!("t"))
    );
    for (line, message) in
        lines["messages"].as_array().unwrap().iter().zip(whole["messages"].as_array().unwrap())
    {
        let conversation = &message["conversation"];
        let want = json!({
            "messageId": conversation["messageId"],
            "sequence": message["sequence"],
            "at": message["at"],
            "actorId": "Nova",
            "text": conversation["text"],
            "replyTo": if conversation["replyToMessageId"].is_null() { &conversation["parentMessageId"] } else { &conversation["replyToMessageId"] },
            "mentions": conversation["mentions"],
        });
        assert_eq!(*line, want);
    }
    let (mut cursor, mut read) = (json!(0), Vec::new());
    loop {
        let page = client.get(&format!("/v1/threads/t?cursor={cursor}&limit=3")).await.data().clone();
        read.extend(page["messages"].as_array().unwrap().clone());
        cursor = page["nextCursor"].clone();
        if page["hasMore"] == false {
            break;
        }
    }
    assert_eq!(json!(read), lines["messages"]);
    // What is said later is read from there.
    let rest = client.get(&format!("/v1/threads/t?cursor={cursor}")).await.data().clone();
    assert_eq!((&rest["count"], &rest["nextCursor"]), (&json!(0), &cursor));
    say(&client, "main", json!({"text": "more", "threadId": "t"})).await;
    let rest = client.get(&format!("/v1/threads/t?cursor={cursor}")).await.data().clone();
    assert_eq!(rest["messages"][0]["text"], "more");
    let _ = client.get("/v1/threads/nothing").await.error(404, "ERR_NOT_FOUND");
    let _ = client.get("/v1/threads/t?view=short").await.error(400, "ERR_INVALID_ENUM");
}
