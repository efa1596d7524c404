//! Messages: texts, threads, mentions, bubbles.

use agentcafe_testkit::{Client, Value, json};

use crate::{cafe, launch, log};

/// Posts this as Nova; returns the message's payload.
async fn said(client: &Client, body: Value) -> Value {
    let mut body = body;
    body["actorId"] = json!("Nova");
    let answer = client.act("/v1/conversations/messages", body).await;
    let sequence = answer.data()["sequence"].as_u64().unwrap_or_default();
    let page = client.get(&format!("/v1/events?cursor={}&limit=1", sequence - 1)).await;
    page.data()["events"][0]["payload"].clone()
}

async fn notified(client: &Client, message: &Value) -> Vec<Value> {
    let of_message = |event: &Value| {
        event["type"] == "mention_created"
            && event["payload"]["sourceMessageId"] == message["conversation"]["messageId"]
    };
    let events = log(client).await.into_iter().filter(of_message);
    events.map(|event| event["payload"].clone()).collect()
}

/// The author is listed, but gets no inbox item.
#[tokio::test]
async fn message_mentions_are_unique_in_order_and_notified() {
    let (_server, client) = cafe().await;
    let cases: [(Value, &[&str], &[&str]); 9] = [
        (json!({"text": "hey @Kai"}), &["Kai"], &["Kai"]),
        (json!({"text": "@Kai, @Bo-2 and @Kai again"}), &["Kai", "Bo-2"], &["Kai", "Bo-2"]),
        (json!({"text": "@Nova reminds @Kai"}), &["Nova", "Kai"], &["Kai"]),
        (json!({"text": "mail a@b.c or (@Kai)"}), &["Kai"], &["Kai"]),
        (json!({"text": "nobody @ all"}), &[], &[]),
        (json!({"text": "hey @Kai", "mentions": []}), &[], &[]),
        (json!({"text": "hey @Kai", "mentions": null}), &["Kai"], &["Kai"]),
        (json!({"text": "hey", "mentions": ["Kai", " Bo ", "Kai", ""]}), &["Kai", "Bo"], &["Kai", "Bo"]),
        (
            json!({"text": "hey", "mentions": ["Nova", "any name: even this"]}),
            &["Nova", "any name: even this"],
            &["any name: even this"],
        ),
    ];
    for (body, mentions, notified_actors) in cases {
        let message = said(&client, body.clone()).await;
        assert_eq!(message["conversation"]["mentions"], json!(mentions), "{body}");
        let events = notified(&client, &message).await;
        let names: Vec<&Value> = events.iter().map(|payload| &payload["mentionedActorId"]).collect();
        assert_eq!(
            names,
            notified_actors.iter().map(|name| json!(name)).collect::<Vec<_>>().iter().collect::<Vec<_>>(),
            "{body}"
        );
        assert!(events.iter().all(|payload| payload["threadId"] == message["conversation"]["threadId"]));
    }
}

/// In an array and in the text.
#[tokio::test]
async fn message_has_at_most_20_mentions() {
    let server = launch().env("API_MAX_CHAT_MESSAGE_CHARS", 1_000).start().await;
    let client = server.client();
    let names = |count: usize| (0..count).map(|n| format!("a{n}")).collect::<Vec<_>>();
    let text = |count: usize| names(count).iter().map(|name| format!("@{name} ")).collect::<String>();
    assert_eq!(
        said(&client, json!({"text": text(20)})).await["conversation"]["mentions"].as_array().unwrap().len(),
        20
    );
    for body in [json!({"text": text(21)}), json!({"text": "hi", "mentions": names(21)})] {
        let mut body = body;
        body["actorId"] = json!("Nova");
        let answer = client.act("/v1/commands/say", body).await;
        assert_eq!(answer.error(400, "ERR_OUT_OF_BOUNDS")["field"], "mentions");
    }
}

#[tokio::test]
async fn message_thread_is_given_or_the_parents_or_its_own() {
    let (_server, client) = cafe().await;
    let fresh = said(&client, json!({"text": "hi"})).await["conversation"].clone();
    assert_eq!(fresh["messageId"], fresh["threadId"]);
    assert_eq!(fresh["messageId"].as_str().unwrap().len(), 36);
    assert_eq!((&fresh["parentMessageId"], &fresh["replyToMessageId"]), (&json!(null), &json!(null)));
    let cases = [
        (json!({"messageId": " m1 "}), ("m1", "m1", json!(null), json!(null))),
        (json!({"messageId": "m2", "parentMessageId": "m1"}), ("m2", "m1", json!("m1"), json!(null))),
        (
            json!({"messageId": "m3", "threadId": " t ", "parentMessageId": "m2"}),
            ("m3", "t", json!("m2"), json!(null)),
        ),
        (
            json!({"messageId": "m4", "threadId": " ", "replyToMessageId": "m2"}),
            ("m4", "m4", json!(null), json!("m2")),
        ),
    ];
    for (mut body, (message, thread, parent, reply_to)) in cases {
        body["text"] = json!("hi");
        let conversation = said(&client, body.clone()).await["conversation"].clone();
        assert_eq!(
            (&conversation["messageId"], &conversation["threadId"]),
            (&json!(message), &json!(thread)),
            "{body}"
        );
        assert_eq!(
            (&conversation["parentMessageId"], &conversation["replyToMessageId"]),
            (&parent, &reply_to),
            "{body}"
        );
    }
}

/// With their defaults and bounds.
#[tokio::test]
async fn message_has_text_bubble_context_window_and_metadata() {
    let (_server, client) = cafe().await;
    let payload = said(&client, json!({"text": "  hello\tthere \n"})).await;
    assert_eq!(payload["bubble"], json!({"text": "hello\tthere", "ttlMs": 7_000}));
    assert_eq!(payload["conversation"]["text"], "hello\tthere");
    assert_eq!(payload["conversation"]["contextWindow"], json!({"id": null, "maxItems": 20}));
    assert_eq!(payload["conversation"]["metadata"], json!({}));
    assert!(payload["reaction"].is_null());
    for (sent, want) in
        [(json!(1), 2_000), (json!(99_999), 30_000), (json!("2500"), 2_500), (json!(null), 7_000)]
    {
        assert_eq!(
            said(&client, json!({"text": "hi", "ttlMs": sent})).await["bubble"]["ttlMs"],
            want,
            "{sent}"
        );
    }
    let body = json!({"text": "hi", "contextWindowId": "w", "contextWindowMaxItems": 5, "metadata": {"a": [1, {"b": null}]}});
    let conversation = said(&client, body.clone()).await["conversation"].clone();
    assert_eq!(conversation["contextWindow"], json!({"id": "w", "maxItems": 5}));
    assert_eq!(conversation["metadata"], body["metadata"]);
}

/// Not bytes. The limit is a setting.
#[tokio::test]
async fn message_text_limit_counts_characters() {
    for (limit, longest) in [(None, 120), (Some(10), 10)] {
        let launch = launch();
        let launch =
            limit.into_iter().fold(launch, |launch, limit| launch.env("API_MAX_CHAT_MESSAGE_CHARS", limit));
        let server = launch.start().await;
        let client = server.client();
        for path in ["/v1/commands/say", "/v1/conversations/messages"] {
            let body = |length| json!({"actorId": "Nova", "text": "😀".repeat(length)});
            assert_eq!(client.act(path, body(longest)).await.status, 202);
            let answer = client.act(path, body(longest + 1)).await;
            let details = answer.error(400, "ERR_OUT_OF_BOUNDS");
            let want = json!({"field": "text", "max": longest, "value": longest + 1});
            assert!(
                want.as_object().unwrap().iter().all(|(name, value)| details[name] == *value),
                "{details}"
            );
        }
    }
}
