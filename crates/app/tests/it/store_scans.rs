//! Reads that no index answers examine a bounded part of a long log, and say where to go on.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use agentcafe_testkit::{Client, json};
use serde_json::Value;
use tempfile::TempDir;

use crate::{launch, order};

/// More events than a page examines.
const OTHERS: u64 = 120_000;

/// Pages of the list at `path`, from the cursor of one to the next, until the log's end. Returns the texts that were said, and
/// after how many pages.
async fn all_pages(client: &Client, path: &str) -> (Vec<String>, usize) {
    let mut texts = Vec::new();
    let mut cursor = String::new();
    for pages in 1.. {
        let page = client.get(&format!("{path}{cursor}")).await.data().clone();
        let events = page["events"].as_array().unwrap();
        let said = events.iter().filter_map(|event| event["payload"]["conversation"]["text"].as_str());
        texts.extend(said.map(str::to_owned));
        if events.is_empty() && page["scanLimitReached"] == false {
            return (texts, pages);
        }
        let next = page["nextCursor"].to_string();
        assert_ne!(cursor, format!("&cursor={next}"), "the cursor does not move: {page}");
        cursor = format!("&cursor={next}");
    }
    unreachable!("the loop ends with the last page")
}

/// `GET /v1/events?actorId=nobody` scanned the whole log at the cost of everybody else. Kind: a read that examines without a
/// bound. Others: the timeline in both directions, types, a room without its tenant, last-seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_scan_ends_early_and_says_where_to_go_on() {
    let directory = TempDir::new().unwrap();
    let mut server = launch().data_dir(directory.path()).start().await;
    let say = async |client: &Client, text| {
        let said = json!({ "actorId": "Kai", "roomId": "quiet", "text": text });
        assert_eq!(client.act("/v1/commands/say", said).await.status, 202);
    };
    say(&server.client(), "first").await;
    order(&server.client(), "Nova", "main").await;
    assert!(server.stop().await.success());
    let connection = rusqlite::Connection::open(directory.path().join("agentcafe.db")).unwrap();
    let others = format!(
        "WITH RECURSIVE others(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM others WHERE number < {OTHERS})
         INSERT INTO events (sequence, event_id, tenant_id, room_id, actor_id, type, at_ms, json)
         SELECT sequence + number, randomblob(16), tenant_id, room_id, actor_id, type, at_ms, json
         FROM others, (SELECT * FROM events WHERE actor_id = 'Nova' ORDER BY sequence DESC LIMIT 1)"
    );
    connection.execute_batch(&others).unwrap();
    drop(connection);
    let mut server = launch().data_dir(directory.path()).start().await;
    let client = server.client();
    say(&client, "last").await;

    let said = "types=conversation_message_posted";
    for filter in ["actorId=Kai", said, "roomId=quiet&types=conversation_message_posted"] {
        let (texts, pages) = all_pages(&client, &format!("/v1/events?{filter}")).await;
        assert_eq!(texts, ["first", "last"], "{filter}");
        assert!((2..=4).contains(&pages), "{filter}: {pages} pages");
        let (texts, _) = all_pages(&client, &format!("/v1/timeline?order=desc&{filter}")).await;
        assert_eq!(texts, ["last", "first"], "{filter}");
    }
    let nobody = client.get("/v1/events?actorId=nobody").await.data().clone();
    assert_eq!((&nobody["count"], &nobody["scanLimitReached"]), (&json!(0), &json!(true)));
    let by_type = client.get(&format!("/v1/events?tenantId=default&roomId=main&{said}")).await.data().clone();
    assert_eq!((&by_type["count"], &by_type["scanLimitReached"]), (&json!(0), &json!(true)));
    let indexed = client.get("/v1/events?tenantId=default&roomId=quiet").await.data().clone();
    assert_eq!(indexed["scanLimitReached"], false);
    assert!(indexed["nextCursor"].as_u64().unwrap() > OTHERS, "{indexed}");
    let polled = client.get("/v1/events/poll?cursor=1000&authorId=nobody&timeoutMs=0").await.data().clone();
    assert!(polled["nextCursor"].as_u64().unwrap() > 90_000, "{polled}");
    let last_seen = client.get("/v1/presence/last-seen?actorId=nobody").await.data().clone();
    assert_eq!((&last_seen["lastSeen"], &last_seen["scanLimitReached"]), (&Value::Null, &json!(true)));
    assert!(server.stop().await.success());
}
