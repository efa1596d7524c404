//! Lists of large records are cut into pages of bounded size.

use std::collections::BTreeSet;

use agentcafe_testkit::{Client, Value, json};

use crate::cafe;

/// More than one page of records of the maximum size.
const RECORDS: usize = 70;
const CHARS: usize = 65_000;
/// Maximum size of a response: a page of 4 MiB and its envelope.
const MAX_ANSWER_BYTES: usize = 5 << 20;

/// All records of a list, read in pages. Checks that there are several pages, and that none is too large.
async fn all(client: &Client, path: &str, list: &str, id: &str) -> BTreeSet<String> {
    let (mut ids, mut pages, mut cursor) = (BTreeSet::new(), 0, String::new());
    loop {
        let answer = client.get(&format!("{path}?limit=1000{cursor}")).await;
        let records = answer.data()[list].as_array().expect("a list");
        assert!(answer.text.len() <= MAX_ANSWER_BYTES, "{path}: {} bytes", answer.text.len());
        assert_eq!(answer.data()["count"], records.len());
        for record in records {
            assert!(ids.insert(record[id].to_string()), "{path}: {} comes twice", record[id]);
        }
        pages += 1;
        match &answer.data()["nextCursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => break,
        }
    }
    assert!(pages > 1, "{path}: all records are on one page");
    ids
}

/// Each record comes once.
#[tokio::test]
async fn lists_of_large_records_are_paged_without_loss() {
    let (_server, client) = cafe().await;
    let metadata = json!({"a": "x".repeat(CHARS)});
    for number in 0..RECORDS {
        let name = format!("n{number}");
        let target = format!("http://127.0.0.1:9/{number}");
        let bodies = [
            ("/v1/rooms", json!({"actorId": "Nova", "roomId": name})),
            ("/v1/profiles", json!({"actorId": name, "displayName": name})),
            ("/v1/subscriptions", json!({"targetUrl": target, "enabled": false})),
            ("/v1/objects", json!({"actorId": "Nova", "objectType": "note", "title": name})),
        ];
        for (path, mut body) in bodies {
            body["metadata"] = metadata.clone();
            let _ = client.act(path, body).await.data();
        }
    }
    for (path, list, id) in [
        ("/v1/rooms", "rooms", "roomId"),
        ("/v1/profiles", "profiles", "actorId"),
        ("/v1/subscriptions", "subscriptions", "id"),
        ("/v1/objects", "objects", "objectId"),
    ] {
        assert_eq!(all(&client, path, list, id).await.len(), RECORDS, "{path}");
    }
}
