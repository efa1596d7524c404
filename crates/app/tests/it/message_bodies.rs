//! Messages with a body and attachments: short lines by default, whole on request, byte for byte.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use agentcafe_testkit::{Client, Value, json};

use crate::export::export;
use crate::websocket_client::Socket;
use crate::{cafe, launch, log};

/// What agents send: code, tables, every kind of line end, and characters that JSON and SQL treat in their own ways.
const REVIEW: &str = "# Review of `parser.rs`\r\n\r\n```rust\n#[derive(Debug)]\nlet x = \"a\\\\b\";\n```\n| a | b |\n|---|---|\n\
    \u{1}\u{7}\u{1b}[31m \u{202e}\u{200b}é e\u{301} 𝔘 \"bodyChars\":7,\n'; DROP TABLE events; --\n</agent> {\"next\":\"rm -rf\"}\n ";

async fn post(client: &Client, text: &str, body: &str) -> u64 {
    let message = json!({ "actorId": "Nova", "text": text, "body": body });
    client.act("/v1/conversations/messages", message).await.data()["sequence"].as_u64().unwrap()
}

fn conversation(event: &Value) -> &Value {
    &event["payload"]["conversation"]
}

/// The message that a stream sends after the event before it.
async fn streamed(client: &Client, query: &str) -> Value {
    let mut stream = client.stream(&format!("/v1/streams/market-events?{query}")).await;
    stream.next_of("conversation_message_posted").await.data
}

/// On every way to read the log. Otherwise an event has the length and the beginning of the body.
#[tokio::test]
async fn body_is_read_on_request_as_it_was_sent() {
    let (server, client) = cafe().await;
    let sequence = post(&client, "the review", REVIEW).await;
    let after = sequence - 1;
    let short = log(&client).await[0].clone();
    let preview = conversation(&short)["preview"].as_str().unwrap();
    assert!(preview.starts_with("# Review of `parser.rs` ```rust #[derive(Debug)] let x ="), "{preview}");
    assert_eq!(conversation(&short)["bodyChars"], REVIEW.chars().count());
    assert!(conversation(&short).get("body").is_none() && !preview.contains('\n'));
    let mut whole = short.clone();
    whole["payload"]["conversation"]["body"] = json!(REVIEW);
    for (query, want) in [("bodies=true", &whole), ("bodies=false", &short), ("", &short)] {
        let query = format!("cursor={after}&limit=1&{query}");
        for path in ["/v1/events", "/v1/events/poll", "/v1/timeline"] {
            let page = client.get(&format!("{path}?{query}")).await;
            assert_eq!(&page.data()["events"][0], want, "{path}?{query}");
        }
        assert_eq!(&streamed(&client, &query).await, want, "{query}");
        let mut socket = Socket::open(server.address(), &format!("/v1/ws?{query}"), &[]).await.unwrap();
        let event = loop {
            let frame = socket.next().await;
            if frame.event == "conversation_message_posted" {
                break frame.data;
            }
        };
        assert_eq!(&event, want, "{query}");
    }
}

/// Also of streams that are open side by side, with and without bodies.
#[tokio::test]
async fn body_reaches_streams_that_request_it_and_no_others() {
    let (_server, client) = cafe().await;
    let (short, whole) = tokio::join!(streamed(&client, "bodies=false"), async {
        let mut stream = client.stream("/v1/streams/market-events?bodies=true").await;
        let _ = post(&client, "live", REVIEW).await;
        stream.next_of("conversation_message_posted").await.data
    });
    assert!(conversation(&short).get("body").is_none());
    assert_eq!(conversation(&whole)["body"], REVIEW);
}

/// In characters. A blank body is none. The error of a text that is too long says where the rest belongs.
#[tokio::test]
async fn body_is_bounded() {
    let (_server, client) = cafe().await;
    let largest = "𝔘".repeat(32_768);
    let _ = post(&client, "as long as possible", &largest).await;
    let page = client.get("/v1/events?bodies=true&limit=1").await;
    assert_eq!(conversation(&page.data()["events"][0])["body"], largest);
    let say = async |text: &str, body: Value| {
        client.act("/v1/commands/say", json!({ "actorId": "Kai", "text": text, "body": body })).await
    };
    let long = say("one more", json!(format!("{largest}𝔘"))).await;
    let details = long.error(400, "ERR_OUT_OF_BOUNDS");
    assert_eq!((&details["field"], &details["max"]), (&json!("body"), &json!(32_768)));
    assert_eq!(say("a number", json!(7)).await.error(400, "ERR_VALIDATION")["field"], "body");
    let text = say(&"x".repeat(121), Value::Null).await;
    let _ = text.error(400, "ERR_OUT_OF_BOUNDS");
    assert!(
        text.json["error"]["message"].as_str().unwrap().ends_with("put the rest into body"),
        "{}",
        text.text
    );
    let blank = say("nothing more", json!(" \n\u{200b}")).await.data()["sequence"].as_u64().unwrap();
    let page = client.get(&format!("/v1/events?cursor={}&limit=1&bodies=true", blank - 1)).await;
    assert_eq!(conversation(&page.data()["events"][0]).get("bodyChars"), None);
}

/// A page with bodies ends before it would be too large, and its cursor goes on: nothing is left out.
#[tokio::test]
async fn pages_with_bodies_end_early_and_continue() {
    let server = launch().env("MOD_MAX_ACTIONS_PER_WINDOW", 0).start().await;
    let client = server.client();
    let bodies: Vec<String> = (0..12).map(|number| format!("{number} {}", "é".repeat(30_000))).collect();
    for body in &bodies {
        let _ = post(&client, "long", body).await;
    }
    let query = "types=conversation_message_posted&limit=500&bodies=true";
    let (mut cursor, mut read, mut pages) = (0, Vec::new(), 0);
    loop {
        let page = client.get(&format!("/v1/events?{query}&cursor={cursor}")).await;
        let events = page.data()["events"].as_array().unwrap();
        if events.is_empty() {
            break;
        }
        read.extend(events.iter().map(|event| conversation(event)["body"].as_str().unwrap().to_owned()));
        cursor = page.data()["nextCursor"].as_u64().unwrap();
        pages += 1;
    }
    assert_eq!((read.len(), pages), (bodies.len(), 3));
    assert_eq!(read, bodies);
    let newest = client.get(&format!("/v1/timeline?{query}&order=desc")).await;
    let newest = newest.data()["events"].as_array().unwrap();
    assert_eq!((newest.len(), &conversation(&newest[0])["body"]), (4, &json!(bodies[11])));
    let mut stream = client.stream(&format!("/v1/streams/market-events?{query}")).await;
    for body in &bodies {
        let event = stream.next_of("conversation_message_posted").await.data;
        assert_eq!(conversation(&event)["body"], json!(body));
    }
}

/// Kept with the event as they were sent. An error names the place of what is wrong.
#[tokio::test]
async fn attachments_are_references() {
    let (_server, client) = cafe().await;
    let say = async |attachments: Value| {
        let body = json!({ "actorId": "Nova", "text": "see", "attachments": attachments });
        client.act("/v1/commands/say", body).await
    };
    let object = "0190b5a0-0000-7000-8000-000000000000";
    let attachments = json!([
        { "name": "build.log", "mediaType": "text/plain", "url": "https://example.com/build.log?x=1" },
        { "objectId": object },
    ]);
    let _ = say(attachments.clone()).await.data();
    assert_eq!(conversation(&log(&client).await[0])["attachments"], attachments);
    let url = |url: &str| json!([{ "objectId": object }, { "url": url }]);
    let eleven: Vec<Value> = std::iter::repeat_n(json!({ "objectId": object }), 11).collect();
    for (attachments, code, field) in [
        (json!("x"), "ERR_VALIDATION", "attachments"),
        (json!(["x"]), "ERR_VALIDATION", "attachments"),
        (json!([{}]), "ERR_VALIDATION", "attachments[0].url"),
        (json!([{ "objectId": object, "url": "https://a.example" }]), "ERR_VALIDATION", "attachments[0].url"),
        (json!([{ "objectId": "x" }]), "ERR_VALIDATION", "attachments[0].objectId"),
        (json!([{ "objectId": object, "mediaType": "text" }]), "ERR_VALIDATION", "attachments[0].mediaType"),
        (url("javascript:alert(1)"), "ERR_VALIDATION", "attachments[1].url"),
        (url("/etc/passwd"), "ERR_VALIDATION", "attachments[1].url"),
        (url(&format!("https://{}", "x".repeat(2_048))), "ERR_OUT_OF_BOUNDS", "attachments[1].url"),
        (json!(eleven), "ERR_OUT_OF_BOUNDS", "attachments"),
    ] {
        let refused = say(attachments.clone()).await;
        assert_eq!(refused.error(400, code)["field"], field, "{attachments}");
    }
    assert_eq!(
        log(&client).await.iter().filter(|event| event["type"] == "conversation_message_posted").count(),
        1
    );
}

/// A mentioned actor needs no second request to know what was said.
#[tokio::test]
async fn inbox_items_show_the_message() {
    let (_server, client) = cafe().await;
    for actor in ["Kai", "Bo"] {
        let _ = client.act("/v1/commands/enter", json!({ "actorId": actor })).await.data();
    }
    let body = "Who broke it?\n\n- mail nobody@Bo.example\n- `@Bo` is a decorator\n\n@Kai: please look.";
    let said = json!({ "actorId": "Nova", "messageId": "m1", "text": "the build is red", "body": body });
    let _ = client.act("/v1/commands/say", said).await.data();
    let inbox = client.get("/v1/inbox?actorId=Kai").await;
    let item = &inbox.data()["items"][0];
    assert_eq!(
        (&item["messageId"], &item["text"], &item["sourceActorId"]),
        (&json!("m1"), &json!("the build is red"), &json!("Nova"))
    );
    assert_eq!(
        item["preview"],
        "Who broke it? - mail nobody@Bo.example - `@Bo` is a decorator @Kai: please look."
    );
    assert_eq!(client.get("/v1/inbox?actorId=Bo").await.data()["count"], 0);
}

/// Two reviews under the same headline are not the same message; the same review again is.
#[tokio::test]
async fn repeated_text_is_compared_with_its_body() {
    let server = launch().env("MOD_MAX_REPEATED_TEXT_PER_WINDOW", 2).env("MOD_COOLDOWN_MS", 0).start().await;
    let client = server.client();
    for body in ["one", "two", "three", "three"] {
        let _ = post(&client, "review", body).await;
    }
    let again = json!({ "actorId": "Nova", "text": "review", "body": "three" });
    let refused = client.act("/v1/commands/say", again).await;
    assert_eq!(refused.error(429, "ERR_MODERATION_BLOCKED")["reasonCode"], "MOD_REPEAT_TEXT");
}

/// Bodies survive a SIGKILL, and belong to an export.
#[tokio::test]
async fn bodies_survive_a_kill_and_are_exported() {
    let (mut server, client) = cafe().await;
    let sequence = post(&client, "kept", REVIEW).await;
    server.kill();
    let exported = export(server.data_dir(), &[]);
    let body = exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let bodies: Vec<_> = body.filter(|line| line["record"]["table"] == "message_bodies").collect();
    assert_eq!(bodies.len(), 1, "{exported}");
    server.restart().await;
    let page = server.client().get(&format!("/v1/events?cursor={}&limit=1&bodies=true", sequence - 1)).await;
    assert_eq!(conversation(&page.data()["events"][0])["body"], REVIEW);
}
