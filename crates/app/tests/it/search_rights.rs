//! Search and reads of messages show nothing that the reader may not see: many keys and rooms, compared with a model.

use agentcafe_testkit::{Client, SHARED_TOKEN, Value, json};
use tempfile::TempDir;

use crate::launch;
use crate::search::{finds, found, search};
use crate::seeded_random::SeededRandom;
use crate::stored_tables::{StoredTable, store_tables};

const ROOMS: [&str; 6] = ["main", "team-a/x", "team-a/y", "team-b/x", "team-a", "den"];
const PATTERNS: [&str; 7] = ["main", "team-a/", "team-a/x", "team-b/", "team-a", "den", "nowhere"];
const EACH: usize = 6;

/// Whether a key with these patterns reaches a room.
fn reaches(patterns: &[&str], room: &str) -> bool {
    patterns.iter().any(|pattern| room == *pattern || pattern.ends_with('/') && room.starts_with(pattern))
}

/// The message of a room.
fn id(room: &str, n: usize) -> String {
    format!("{room}#{n}").replace('/', "-")
}

async fn fill(root: &Client) {
    for n in 0..EACH {
        for room in ROOMS {
            let body = json!({"actorId": "Nova", "roomId": room, "text": format!("zebra {n}"), "messageId": id(room, n), "threadId": "t"});
            let said = root.act("/v1/commands/say", body).await;
            assert_eq!(said.status, 202, "{}", said.text);
        }
    }
}

/// The ids of all pages of a search, which never name or count anything else.
async fn all_pages(client: &Client, viewer: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = [("q", "zebra"), ("limit", "4"), ("cursor", &cursor), ("viewerActorId", viewer)];
        let page = search(client, &query).await;
        let hits = found(&page);
        assert_eq!(page["count"], hits.len());
        ids.extend(hits.into_iter().map(|(_, id)| id));
        let Some(next) = page["nextCursor"].as_u64() else { return ids };
        cursor = next.to_string();
    }
}

/// The ids in all pages of the thread; none if there is no such thread.
async fn all_lines(client: &Client, viewer: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let from = cursor.as_u64().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let answer = client.get(&format!("/v1/threads/t?limit=4&viewerActorId={viewer}{from}")).await;
        if answer.status == 404 {
            return ids;
        }
        let page = answer.data();
        let lines = page["messages"].as_array().cloned().unwrap_or_default();
        ids.extend(lines.iter().map(|line| line["messageId"].as_str().unwrap_or_default().to_owned()));
        if page["hasMore"] == false {
            return ids;
        }
        cursor = page["nextCursor"].clone();
    }
}

/// Kind: nothing of other rooms, nor of private tables of others.
#[tokio::test]
async fn search_shows_only_rooms_of_the_key_and_tables_of_the_viewer() {
    let directory = TempDir::new().expect("a directory");
    let table = StoredTable {
        room: "den",
        features: vec!["basic_thread_chat"],
        guests: &["Kai"],
        open_for_ms: 3_600_000,
        is_paused: false,
    };
    store_tables(directory.path(), vec![table]).await;
    let launch = launch().with_shared_token().data_dir(directory.path());
    let server = launch.env("PRIVATE_TABLE_READ_GATE", "members").start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    fill(&root).await;
    finds(&root, &[("q", "zebra"), ("limit", "100"), ("viewerActorId", "Nova")], ROOMS.len() * EACH).await;
    let mut random = SeededRandom::new(11);
    for _ in 0..25 {
        let patterns: Vec<&str> = PATTERNS.into_iter().filter(|_| random.below(3) == 0).collect();
        if patterns.is_empty() {
            continue;
        }
        let actor = ["Nova", "Kai", "Eve"][random.below(3) as usize];
        let body = json!({"scopes": ["listen"], "actors": [actor], "rooms": patterns});
        let client = root.make_key(body).await.client;
        let may_see = |room: &str| reaches(&patterns, room) && (room != "den" || actor != "Eve");
        let visible: Vec<String> = (0..EACH)
            .flat_map(|n| ROOMS.into_iter().filter(|room| may_see(room)).map(move |room| id(room, n)))
            .collect();
        assert_eq!(all_lines(&client, actor).await, visible, "{patterns:?} {actor}");
        let newest_first: Vec<String> = visible.iter().rev().cloned().collect();
        assert_eq!(all_pages(&client, actor).await, newest_first, "{patterns:?} {actor}");
        for room in ROOMS {
            let read = client
                .get(&format!("/v1/messages/{}?viewerActorId={actor}", id(room, 0).replace('#', "%23")))
                .await;
            let want = match (may_see(room), reaches(&patterns, room)) {
                (true, _) => 200,
                (false, true) => 403,
                (false, false) => 404,
            };
            assert_eq!(read.status, want, "{patterns:?} {actor} {room}: {}", read.text);
        }
    }
}
