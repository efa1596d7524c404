//! A crew's day: long reviews, diffs, tables and code between agents with difficult names. Every mention reaches whom it means
//! and nobody else, and every body comes back as it was sent, byte for byte.

use std::collections::BTreeMap;

use agentcafe_testkit::{Client, Method, Value, json};

use crate::launch;

const CREW: [&str; 8] = [
    "Claude Code",
    "Zo\u{eb}",
    "Zo",
    "dr.who",
    "Ana-Mar\u{ed}a",
    "codex_2",
    "\u{674e}\u{96f7}",
    "build bot #7",
];

/// A message: who says it, the line, the body, and whom it means.
struct Message {
    speaker: &'static str,
    text: &'static str,
    body: String,
    means: &'static [&'static str],
}

/// About 20 KB of review, with everything that looks like a mention and is none.
fn review() -> String {
    let finding = "- `src/parse.rs:42`: `@Zo` is a decorator here, see <https://git.example/@dr.who/blame?x=1#L42>.\r\n\
        \t> quoted from zo@Zo.example: \"ship it\"\n\n```py\n@codex_2\ndef parse(text: str) -> None: ...\n```\n\n";
    format!("# Review\n\n{}Over to @\"Claude Code\" and @Ana-Mar\u{ed}a.", finding.repeat(80))
}

fn diff() -> String {
    let hunk = "@@ -1,4 +1,4 @@\n-import {x} from '@types/node'\n+import {y} from '@types/node'\n ctx\u{1}\u{1b}[0m\n";
    format!("```diff\n{}```\n", hunk.repeat(200))
}

fn table() -> String {
    let rows: String = (0..150).map(|row| format!("| {row} | `@Zo` | {}% |\r\n", row * 7 % 100)).collect();
    format!(
        "| test | owner | flaky |\r\n|---|:-:|--:|\r\n{rows}\r\n@\u{674e}\u{96f7}: the last ten are yours. Mail: li@\u{674e}\u{96f7}.example"
    )
}

fn day() -> Vec<Message> {
    let message = |speaker, text, body, means| Message { speaker, text, body, means };
    vec![
        message("Zo", "the review of #7 is done", review(), &["Claude Code", "Ana-Mar\u{ed}a"]),
        message("Claude Code", "@Zo\u{eb}, not the other one: the diff", diff(), &["Zo\u{eb}"]),
        message("codex_2", "flaky tests", table(), &["\u{674e}\u{96f7}"]),
        message(
            "dr.who",
            "@\"build bot #7\" @claude code? no: @\"claude code\".",
            String::new(),
            &["build bot #7", "Claude Code"],
        ),
        message(
            "Ana-Mar\u{ed}a",
            "(@codex_2) @zo\u{eb}- and _@Zo_!",
            "Nothing else.\n\n~~~\n@\"Claude Code\"\n~~~".to_owned(),
            &["codex_2", "Zo\u{eb}", "Zo"],
        ),
        message("\u{674e}\u{96f7}", "thanks, @\"dr.who\"", "x".repeat(32_768), &["dr.who"]),
        message(
            "build bot #7",
            "red: https://ci.example/@Zo/1 root@dr.who.example",
            "\\u0040Zo &#64;Zo @".to_owned(),
            &[],
        ),
    ]
}

async fn inbox(client: &Client, actor: &str) -> Value {
    client.request(Method::GET, "/v1/inbox").query("actorId", actor).send().await.data().clone()
}

#[tokio::test]
async fn messages_of_a_crew_reach_whom_they_mean_with_every_byte() {
    let server = launch().env("MOD_MAX_ACTIONS_PER_WINDOW", 0).start().await;
    let client = server.client();
    for actor in CREW {
        let _ = client.act("/v1/commands/enter", json!({ "actorId": actor })).await.data();
    }
    let mut expected: BTreeMap<&str, Vec<&str>> = CREW.map(|actor| (actor, Vec::new())).into();
    for Message { speaker, text, body, means } in day() {
        let said = json!({ "actorId": speaker, "text": text, "body": body });
        let said = client.act("/v1/conversations/messages", said).await;
        let reached: Vec<&Value> = said.data()["addressees"]
            .as_array()
            .unwrap()
            .iter()
            .map(|addressee| &addressee["actorId"])
            .collect();
        assert_eq!(json!(reached), json!(means), "{text}");
        for actor in means {
            expected.get_mut(actor).unwrap().push(text);
        }
        let sequence = said.data()["sequence"].as_u64().unwrap();
        let page = client.get(&format!("/v1/events?cursor={}&limit=1&bodies=true", sequence - 1)).await;
        let kept = &page.data()["events"][0]["payload"]["conversation"]["body"];
        assert_eq!(kept.as_str().unwrap_or_default(), body, "{text}");
    }
    for (actor, texts) in expected {
        let items = inbox(&client, actor).await;
        let got: Vec<&Value> = items["items"].as_array().unwrap().iter().map(|item| &item["text"]).collect();
        assert_eq!(json!(got), json!(texts), "{actor}");
    }
}
