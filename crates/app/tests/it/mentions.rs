//! Whom the names in a message reach: known actors, in any case, and nobody by accident.

use std::time::Duration;

use agentcafe_testkit::{Client, Value, eventually, json};

use crate::{cafe, launch, log};

async fn enter(client: &Client, actor: &str, room: &str) {
    let _ = client.act("/v1/commands/enter", json!({ "actorId": actor, "roomId": room })).await.data();
}

/// The mentioned actors of the log, in order.
async fn mentioned(client: &Client) -> Vec<Value> {
    let events = log(client).await.into_iter().filter(|event| event["type"] == "mention_created");
    events.map(|event| event["payload"]["mentionedActorId"].clone()).collect()
}

/// Kind: a name reaches somebody else, or nobody although it is plain who is meant. An actor of the tenant is named exactly;
/// one of the room in any case, if no other has that name. A name of nobody is mentioned, without an inbox item.
#[tokio::test]
async fn mention_in_a_text_means_a_known_actor_in_any_case() {
    let (_server, client) = cafe().await;
    for actor in ["Kai", "Claude Code", "Zo", "Zo\u{eb}", "Max", "MAX"] {
        enter(&client, actor, "main").await;
    }
    enter(&client, "Bo", "attic").await;
    for (text, mentions, unresolved) in [
        ("@Kai, @kai", &["Kai"][..], &[][..]),
        ("@\"claude code\" please", &["Claude Code"], &[]),
        ("@Zo\u{eb} ready?", &["Zo\u{eb}"], &[]),
        ("@zoe\u{308}", &["Zo\u{eb}"], &[]),
        ("@MAX but not @max", &["MAX", "max"], &["max"]),
        ("@Bo but not @bo", &["Bo", "bo"], &["bo"]),
        ("@Nova and @Ghost", &["Nova", "Ghost"], &["Ghost"]),
        ("run `npm i @types/node`", &[], &[]),
    ] {
        for path in ["/v1/commands/say", "/v1/conversations/messages"] {
            let said = client.act(path, json!({ "actorId": "Nova", "text": text })).await;
            assert_eq!(said.data()["unresolvedMentions"], json!(unresolved), "{text}");
            let sequence = said.data()["sequence"].as_u64().unwrap_or_default();
            let page = client.get(&format!("/v1/events?cursor={}&limit=1", sequence - 1)).await;
            let message = &page.data()["events"][0]["payload"]["conversation"];
            assert_eq!(message["mentions"], json!(mentions), "{text}");
        }
    }
    for (actor, unread) in
        [("Kai", 2), ("Zo\u{eb}", 4), ("Zo", 0), ("MAX", 2), ("Max", 0), ("max", 0), ("Ghost", 0)]
    {
        let inbox = client.request(agentcafe_testkit::Method::GET, "/v1/inbox").query("actorId", actor);
        assert_eq!(inbox.send().await.data()["count"], unread, "{actor}");
    }
    let given = json!({ "actorId": "Nova", "text": "hi", "mentions": ["Ghost"] });
    let given = client.act("/v1/commands/say", given).await;
    assert_eq!(given.data()["unresolvedMentions"], json!([]), "a list is taken as it is");
    assert_eq!(client.get("/v1/inbox?actorId=Ghost").await.data()["count"], 1);
}

/// More names in another case than a command may need read stages for.
#[tokio::test]
async fn mentions_in_another_case_are_all_read_at_once() {
    let (_server, client) = cafe().await;
    let names: Vec<String> = (b'a'..b'k').map(|letter| format!("Agent-{}", char::from(letter))).collect();
    for name in &names {
        enter(&client, name, "main").await;
    }
    let text = names.iter().map(|name| format!("@{} ", name.to_lowercase())).collect::<String>();
    let _ = client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": text })).await.data();
    assert_eq!(mentioned(&client).await, names);
}

/// Kind: names in code, URLs and addresses wake agents. The texts of reactions follow the same rules.
#[tokio::test]
async fn mentions_in_code_and_addresses_reach_nobody() {
    let server = launch().env("API_MAX_CHAT_MESSAGE_CHARS", 0).start().await;
    let client = server.client();
    let code = "run `npm i @types/node`";
    let rule = json!({
        "targetActorId": "Bo", "actionType": "say", "triggerEventTypes": ["order_changed"], "roomId": "main",
        "actionPayload": { "text": format!("{code}, @Kai") }, "ignoreReactionEvents": false, "cooldownMs": 0,
    });
    let _ = client.act("/v1/reactions/subscriptions", rule).await.data();
    for text in [
        code,
        "```py\n@property\ndef x\u{2026}```",
        "see https://medium.example/@Kai/post",
        "\"j doe\"@example.org",
        "rene\u{301}@Kai.example",
    ] {
        let _ = client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": text })).await.data();
    }
    assert_eq!(mentioned(&client).await, Vec::<Value>::new());
    crate::order(&client, "Nova", "main").await;
    let reacted = eventually("the reaction", Duration::from_secs(60), async || {
        Some(mentioned(&client).await).filter(|mentioned| !mentioned.is_empty())
    });
    assert_eq!(reacted.await, ["Kai"]);
}

/// Without the capability, the names of the groups are names of nobody; an actor of that name is meant first.
#[tokio::test]
async fn groups_are_mentioned_with_the_capability_only() {
    let (_server, client) = cafe().await;
    for actor in ["Kai", "Bo", "Cy", "Nova"] {
        enter(&client, actor, "main").await;
    }
    enter(&client, "Dee", "attic").await;
    let _ = client.act("/v1/commands/leave", json!({ "actorId": "Cy" })).await.data();
    let say = async |text: &str| {
        let said = client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": text })).await;
        let mut addressees: Vec<String> = said.data()["addressees"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|addressee| addressee["actorId"].as_str().map(str::to_owned))
            .collect();
        addressees.sort();
        (addressees, said.data()["unresolvedMentions"].clone())
    };
    assert_eq!(say("@here is news").await, (vec![], json!(["here"])));
    let grant = json!({ "roomId": "main", "actorId": "Nova", "canMentionRoom": true });
    let granted = client.act("/v1/permissions", grant).await;
    assert_eq!(granted.data()["permission"]["canMentionRoom"], true);
    assert_eq!(say("@here is news").await, (vec!["Bo".to_owned(), "Kai".to_owned()], json!([])));
    let everybody = vec!["Bo".to_owned(), "Cy".to_owned(), "Kai".to_owned()];
    assert_eq!(say("@room and @Ghost").await, (everybody, json!(["Ghost"])));
    for (actor, unread) in [("Kai", 2), ("Bo", 2), ("Cy", 1), ("Dee", 0), ("Nova", 0)] {
        assert_eq!(
            client.get(&format!("/v1/inbox?actorId={actor}")).await.data()["count"],
            unread,
            "{actor}"
        );
    }
    enter(&client, "here", "attic").await;
    assert_eq!(say("@here you are").await, (vec!["here".to_owned()], json!([])));
}

/// The speaker learns whether those whom it mentions are there.
#[tokio::test]
async fn message_answer_says_whether_addressees_are_there() {
    let (_server, client) = cafe().await;
    for (actor, status) in [("Busy", "busy"), ("Thinking", "thinking"), ("Idle", "idle")] {
        let heartbeat = json!({ "actorId": actor, "status": status });
        let _ = client.act("/v1/presence/heartbeat", heartbeat).await.data();
    }
    enter(&client, "Gone", "main").await;
    let _ = client.act("/v1/commands/leave", json!({ "actorId": "Gone" })).await.data();
    enter(&client, "Elsewhere", "attic").await;
    let text = "@Busy @Thinking @Idle @Gone @Elsewhere @Ghost @Nova";
    let said = client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": text })).await;
    let want = json!([
        { "actorId": "Busy", "state": "present" },
        { "actorId": "Thinking", "state": "present" },
        { "actorId": "Idle", "state": "waiting" },
        { "actorId": "Gone", "state": "away" },
        { "actorId": "Elsewhere", "state": "away" },
    ]);
    assert_eq!(said.data()["addressees"], want);
    assert_eq!(said.data()["unresolvedMentions"], json!(["Ghost"]));
    let quiet = client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": "hm" })).await;
    assert_eq!(quiet.data()["addressees"], json!([]));
}
