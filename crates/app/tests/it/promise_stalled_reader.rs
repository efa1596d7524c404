//! Promises 3 and 5: readers that never read cost a bounded amount of memory, and catch up later without loss.

use agentcafe_testkit::{Value, json};

use crate::{
    launch, promise_large_events::post_large_says, promise_load::page_by_page, promise_raw::RawConnection,
};

/// How much the server may grow meanwhile: its memory of the newest events (8 MiB), shared frames (4 MiB), database caches
/// (12 MiB), the bodies under way, and room for the allocator.
const MAX_GROWTH_KIB: u64 = 60 << 10;

/// Reads every event up to the last one, each once, in order.
async fn read_all(mut reader: RawConnection, last: u64) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    for place in 1..=last {
        let (id, data) = reader.event().await.expect("the stream goes on");
        assert_eq!(id, place, "an event is missing, or told twice");
        events.push(data);
    }
    events
}

async fn stall(readers: usize) {
    let server = launch().start().await;
    let client = server.client();
    // Warm: what the first requests need is not what readers cost.
    for number in 0..20 {
        client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": format!("warm {number}") })).await;
    }
    let mut stalled = Vec::new();
    for _ in 0..readers {
        stalled.push(RawConnection::stream(server.address(), "cursor=0").await);
    }
    let before = server.rss_kib();
    let most = post_large_says(&server).await;
    let grown = most.saturating_sub(before);
    assert!(grown < MAX_GROWTH_KIB, "{readers} readers that do not read: {before} KiB grew by {grown} KiB");
    let log = page_by_page(&client, "", 20).await;
    let mut first_read: Option<Vec<Vec<u8>>> = None;
    for reader in stalled {
        let read = read_all(reader, log.len() as u64).await;
        if let Some(first) = &first_read {
            assert!(read == *first, "two readers were told different things");
            continue;
        }
        let parsed: Vec<Value> =
            read.iter().map(|data| serde_json::from_slice(data).expect("JSON")).collect();
        assert!(parsed == log, "the reader was not told what the log says");
        first_read = Some(read);
    }
    let after = server.rss_kib().saturating_sub(before);
    assert!(after < MAX_GROWTH_KIB, "{readers} readers that caught up: {before} KiB grew by {after} KiB");
}

/// One stream reader that never reads from its socket while 56 MB of events are posted, and then reads all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_never_reads_costs_bounded_memory() {
    stall(1).await;
}

/// Twenty of them cost no more: what they are behind is in the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_that_never_read_cost_bounded_memory() {
    stall(20).await;
}
