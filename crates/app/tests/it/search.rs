//! Search finds messages, rooms, tasks and shared objects by their words.

use std::time::Duration;

use agentcafe_testkit::{Client, Method, Value, eventually, fresh_key, json};
use tempfile::TempDir;

use crate::export::{export, import_to_new_directory};
use crate::seeded_random::SeededRandom;
use crate::{cafe, launch, merged, say_in};

/// By then what happened is found.
const DEADLINE: Duration = Duration::from_secs(20);

/// The answer to a search.
pub(crate) async fn search(client: &Client, query: &[(&str, &str)]) -> Value {
    let request = client.request(Method::GET, "/v1/search");
    let request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
    request.send().await.data().clone()
}

/// The kinds and ids of hits.
pub(crate) fn found(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let hits = answer["hits"].as_array().cloned().unwrap_or_default();
    hits.iter().map(|hit| (text(&hit["kind"]), text(&hit["id"]))).collect()
}

/// Waits until a search finds so many.
pub(crate) async fn finds(client: &Client, query: &[(&str, &str)], count: usize) -> Value {
    eventually(&format!("{query:?} finds {count}"), DEADLINE, async || {
        let answer = search(client, query).await;
        (answer["count"] == count).then_some(answer)
    })
    .await
}

async fn act(client: &Client, path: &str, body: Value) -> Value {
    client.act(path, merged(json!({"actorId": "Nova"}), &body)).await.data().clone()
}

async fn patch(client: &Client, path: &str, body: Value) {
    let body = merged(json!({"actorId": "Nova"}), &body);
    let _ = client.request(Method::PATCH, path).key(&fresh_key()).json(&body).send().await.data();
}

/// Each with where it can be read.
#[tokio::test]
async fn search_finds_every_kind_and_where_it_is() {
    let (_server, client) = cafe().await;
    let _ = act(&client, "/v1/rooms", json!({"roomId": "lab/1", "displayName": "Zebra Lab"})).await;
    let _ = act(
        &client,
        "/v1/commands/say",
        json!({"text": "a zebra, Zoë!", "messageId": "m/1", "threadId": "t"}),
    )
    .await;
    let task =
        act(&client, "/v1/tasks", json!({"title": "Feed it", "description": "the zebra in the lab"})).await;
    let object = act(
        &client,
        "/v1/objects",
        json!({"objectType": "note", "title": "Notes", "content": "ZEBRA facts"}),
    )
    .await;
    let (task, object) = (&task["task"]["taskId"], &object["object"]["objectId"]);
    let answer = finds(&client, &[("q", "zebra")], 4).await;
    let hits = answer["hits"].as_array().unwrap();
    let want = [
        ("object", object.as_str().unwrap(), "Notes ZEBRA facts"),
        ("task", task.as_str().unwrap(), "Feed it the zebra in the lab"),
        ("message", "m/1", "a zebra, Zoë!"),
        ("room", "lab/1", "Zebra Lab lab/1"),
    ];
    for (hit, (kind, id, snippet)) in hits.iter().zip(want) {
        assert_eq!((&hit["kind"], &hit["id"], &hit["snippet"]), (&json!(kind), &json!(id), &json!(snippet)));
        let there = client.get(hit["path"].as_str().unwrap()).await;
        assert_eq!(there.status, 200, "{hit}: {}", there.text);
    }
    assert!(hits.is_sorted_by_key(|hit| std::cmp::Reverse(hit["sequence"].as_u64())), "the newest first");
    assert_eq!((&hits[2]["threadId"], &hits[2]["actorId"]), (&json!("t"), &json!("Nova")));
    for (query, count) in [
        ([("q", "zebra"), ("kinds", "task,object")], 2),
        ([("q", "zebra"), ("roomId", "lab/1")], 1),
        ([("q", "zebra"), ("threadId", "t")], 1),
        ([("q", "zebra"), ("actorId", "Kai")], 0),
        ([("q", "zebra"), ("tenantId", "rival")], 0),
        ([("q", "zeb"), ("kinds", "")], 4),
        ([("q", "zoe"), ("kinds", "")], 1),
        ([("q", "zebra lab"), ("kinds", "")], 2),
        ([("q", "\"zebra lab\""), ("kinds", "")], 1),
        ([("q", "\"zeb\""), ("kinds", "")], 0),
    ] {
        assert_eq!(search(&client, &query).await["count"], count, "{query:?}");
    }
    let wrong = client.get("/v1/search?q=x&kinds=tea").await;
    assert_eq!(wrong.error(400, "ERR_INVALID_ENUM")["field"], "kinds");
}

/// Words that were replaced are found no more.
#[tokio::test]
async fn search_follows_changes_of_records() {
    let (_server, client) = cafe().await;
    let task = act(&client, "/v1/tasks", json!({"title": "Paint the fence"})).await;
    let id = task["task"]["taskId"].as_str().unwrap().to_owned();
    let _ = act(&client, "/v1/rooms", json!({"roomId": "lab", "displayName": "Old name"})).await;
    finds(&client, &[("q", "fence")], 1).await;
    finds(&client, &[("q", "old name")], 1).await;
    patch(&client, &format!("/v1/tasks/{id}"), json!({"title": "Mend the door", "description": "soon"}))
        .await;
    let _ = act(&client, "/v1/rooms", json!({"roomId": "lab", "displayName": "New name"})).await;
    finds(&client, &[("q", "mend soon")], 1).await;
    finds(&client, &[("q", "new name")], 1).await;
    for gone in ["fence", "paint", "old name"] {
        assert_eq!(search(&client, &[("q", gone)]).await["count"], 0, "{gone}");
    }
}

/// Newest first, without gap or repeat.
#[tokio::test]
async fn search_pages_go_on_from_their_cursor() {
    let (_server, client) = cafe().await;
    for n in 0..25 {
        say_in(&client, "main", &format!("number {n}")).await;
    }
    let all = found(&finds(&client, &[("q", "number"), ("limit", "100")], 25).await);
    let (mut read, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = search(&client, &[("q", "number"), ("limit", "10"), ("cursor", &cursor)]).await;
        read.extend(found(&page));
        match page["nextCursor"].as_u64() {
            Some(next) => cursor = next.to_string(),
            None => break,
        }
    }
    assert_eq!(read, all);
}

/// Operators and quotes of the databases' own query languages are text.
#[tokio::test]
async fn search_takes_any_text_as_a_query() {
    let (_server, client) = cafe().await;
    say_in(&client, "main", "a AND b OR c NOT d NEAR e").await;
    finds(&client, &[("q", "near")], 1).await;
    let fixed = [
        "\"",
        "\"\"",
        "'",
        "a\"b",
        "a* b*",
        "NEAR(a b)",
        "a AND",
        "AND",
        "OR OR",
        "NOT",
        "words:a",
        "{words}: a",
        "-a",
        "^a",
        "a + b",
        "(a",
        "a)",
        "a & b",
        "a | b",
        "!a",
        "a <-> b",
        "a:*",
        "a:A",
        "\\",
        "'a' 'b",
        "\u{0}",
        "a\u{0}b",
        "\u{e000}t",
        "%",
        "_",
        ";--",
        "😀",
        "\u{202e}abc",
        "ＡＢＣ",
        "ﷺ",
    ];
    let mut random = SeededRandom::new(7);
    let pieces = [
        "\"", "'", "*", ":", "(", ")", "&", "|", "!", "<", ">", "-", "+", "^", "{", "}", " ", "a", "AND",
        "NEAR", "é", "会", "\\", "\u{0}",
    ];
    let mixed = (0..200).map(|_| {
        (0..random.below(9) + 1)
            .map(|_| pieces[random.below(pieces.len() as u64) as usize])
            .collect::<String>()
    });
    for query in fixed.iter().map(|query| (*query).to_owned()).chain(mixed) {
        let answer = client.request(Method::GET, "/v1/search").query("q", &query).send().await;
        assert!([200, 400].contains(&answer.status), "{query:?}: {} {}", answer.status, answer.text);
    }
    let found = search(&client, &[("q", "b OR c")]).await;
    assert_eq!(found["count"], 1);
    let _ = client.get("/v1/search?q=%21%3F").await.error(400, "ERR_VALIDATION");
    let _ = client.get("/v1/search").await.error(400, "ERR_MISSING_FIELD");
}

/// Killed again and again while it indexes, it goes on from where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn search_finds_everything_after_kills() {
    let (mut server, _) = cafe().await;
    let (rounds, each) = (4, 60);
    for round in 0..rounds {
        let client = server.client();
        for n in 0..each {
            let body = json!({"actorId": "Nova", "text": format!("shared word{round}x{n}"), "messageId": format!("m{round}-{n}"), "threadId": "t"});
            let _ = client.act("/v1/commands/say", body).await.data();
        }
        server.restart().await;
    }
    let client = server.client();
    for round in 0..rounds {
        for n in 0..each {
            let read = client.get(&format!("/v1/messages/m{round}-{n}")).await;
            assert_eq!(read.status, 200, "m{round}-{n}: {}", read.text);
        }
    }
    let last = format!("word{}x{}", rounds - 1, each - 1);
    finds(&client, &[("q", &last)], 1).await;
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = search(&client, &[("q", "shared"), ("limit", "100"), ("cursor", &cursor)]).await;
        all.extend(found(&page));
        let Some(next) = page["nextCursor"].as_u64() else { break };
        cursor = next.to_string();
    }
    let want = (0..rounds)
        .rev()
        .flat_map(|round| (0..each).rev().map(move |n| ("message".to_owned(), format!("m{round}-{n}"))));
    assert_eq!(all, want.collect::<Vec<_>>());
    assert_eq!(client.get("/v1/threads/t?limit=500").await.data()["count"], rounds * each);
}

/// The index is not part of an export.
#[tokio::test]
async fn search_works_in_an_imported_store() {
    let directory = TempDir::new().expect("a directory");
    let mut server = launch().data_dir(directory.path()).start().await;
    say_in(&server.client(), "main", "a zebra").await;
    finds(&server.client(), &[("q", "zebra")], 1).await;
    assert!(server.stop().await.success());
    let text = export(directory.path(), &[]);
    assert!(!text.contains("search_"), "{text}");
    let copy = import_to_new_directory(&text);
    let server = launch().data_dir(copy.path()).start().await;
    finds(&server.client(), &[("q", "zebra")], 1).await;
}
