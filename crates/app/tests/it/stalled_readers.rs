//! Clients that never read cost bounded memory, and catch up later without loss.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentcafe_testkit::{Server, Value, eventually};
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::background_load::{head_of_log, read_pages};
use crate::large_events::post_large_says;
use crate::launch;
use crate::raw_connection::RawConnection;

const MINUTE: Duration = Duration::from_secs(60);
/// The growth that a server may have for stalled readers, beyond that for the posting and for a normal reader: the
/// shared frames (4 MiB), a batch in flight for each, and a margin for the allocator.
const MAX_GROWTH_KIB: u64 = 40 << 10;

/// The peak of the server's memory during some work, in KiB.
pub(crate) async fn peak_kib<T>(server: &Server, work: impl Future<Output = T>) -> (T, u64) {
    let (most, mut looks) = (AtomicU64::new(0), interval(Duration::from_millis(2)));
    let look = async {
        loop {
            looks.tick().await;
            most.fetch_max(server.rss_kib(), Ordering::SeqCst);
        }
    };
    tokio::select! {
        done = work => (done, most.load(Ordering::SeqCst)),
        () = look => unreachable!("it looks for ever"),
    }
}

/// Reads every event after `first` up to `last`, and checks that each comes once, in order. A reader that took nothing for too
/// long was disconnected, and reconnects with its cursor.
async fn read_all(mut reader: RawConnection, address: SocketAddr, first: u64, last: u64) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    for expected in first + 1..=last {
        let (id, data) = loop {
            match reader.event().await {
                Some(event) => break event,
                None => reader = RawConnection::stream(address, &format!("cursor={}", expected - 1)).await,
            }
        };
        assert_eq!(id, expected, "an event is lost or repeated");
        events.push(data);
    }
    events
}

/// Readers connect and read nothing while 56 MB are posted; then all of them read everything at the same time.
async fn stall_readers(readers: usize) {
    let server = launch().start().await;
    // The memory for posting and for reading from the database. The allocator returns freed memory late, so the value
    // before the readers connect says little.
    let ((), posting) = peak_kib(&server, post_large_says(&server)).await;
    let first = head_of_log(&server.client()).await;
    let reader = RawConnection::stream(server.address(), "cursor=0").await;
    let (_, reading) = peak_kib(&server, read_all(reader, server.address(), 0, first)).await;
    let before = posting.max(reading);
    let mut stalled = Vec::new();
    for _ in 0..readers {
        stalled.push(RawConnection::stream(server.address(), &format!("cursor={first}")).await);
    }
    let ((), most) = peak_kib(&server, post_large_says(&server)).await;
    let grown = most.saturating_sub(before);
    assert!(grown < MAX_GROWTH_KIB, "{readers} readers that do not read: {before} KiB grew by {grown} KiB");

    let last = head_of_log(&server.client()).await;
    let address = server.address();
    let mut reading: JoinSet<_> =
        stalled.into_iter().map(|reader| read_all(reader, address, first, last)).collect();
    let catch_up = async {
        let first_read = reading.join_next().await.expect("a reader").expect("it reads everything");
        while let Some(read) = reading.join_next().await {
            assert!(
                read.expect("it reads everything") == first_read,
                "two readers received different events"
            );
        }
        first_read
    };
    let (read, most) = peak_kib(&server, catch_up).await;
    let grown = most.saturating_sub(before);
    assert!(grown < MAX_GROWTH_KIB, "{readers} readers that catch up: {before} KiB grew by {grown} KiB");
    let read: Vec<Value> = read.iter().map(|data| serde_json::from_slice(data).expect("JSON")).collect();
    let log = read_pages(&server.client(), "", 20).await;
    assert!(
        read == log[usize::try_from(first).expect("small")..],
        "the readers did not receive the events of the log"
    );
}

/// 56 MB of events are posted meanwhile; then the client reads all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_that_is_never_read_costs_bounded_memory() {
    stall_readers(1).await;
}

/// Twenty of them cost no more than one: their backlog is in the database, and the bytes being sent are shared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_never_read_share_bounded_memory() {
    stall_readers(20).await;
}

/// The growth that a server may have for pages that nobody reads.
const MAX_PAGES_GROWTH_KIB: u64 = 64 << 10;
/// How much of that the allocator may keep a minute later.
const MAX_KEPT_KIB: u64 = 28 << 10;
const PAGES: [&str; 3] = ["/v1/replay?minutes=120", "/v1/events?limit=5000", "/v1/timeline?limit=5000"];

/// Kind: what a client does not read stays with us. Other members: lists, and pages that are compressed, which count before that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_are_never_read_cost_bounded_memory_and_are_cut() {
    let server = launch().env("TRUSTED_PROXIES", "127.0.0.1").start().await;
    let client = server.client();
    let other = server.client().with_header("x-forwarded-for", "192.0.2.7");
    let ((), posting) = peak_kib(&server, post_large_says(&server)).await;
    let ((), reading) = peak_kib(&server, async {
        for page in PAGES {
            assert_eq!(client.get(page).await.status, 200);
        }
    })
    .await;
    let before = posting.max(reading);
    let stall = async {
        let mut stalled = Vec::new();
        for number in 0..330 {
            let mut connection = RawConnection::open(server.address()).await;
            let head = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", PAGES[number % PAGES.len()]);
            connection.send(head.as_bytes()).await;
            stalled.push(connection);
        }
        let refused = async || {
            let page = client.get(PAGES[0]).await;
            (page.status == 503 && page.header("retry-after").is_some()).then_some(())
        };
        eventually("a further large replay is refused", MINUTE, refused).await;
        // No client spends the budget of another one.
        for page in PAGES {
            let read = other.get(page).await;
            assert!(read.data()["events"].as_array().is_some_and(|events| events.len() > 10), "{page}");
        }
        assert_eq!(client.get("/v1/rooms").await.status, 200);
        let served = async || (client.get(PAGES[0]).await.status == 200).then_some(());
        eventually("large replays are made again", MINUTE, served).await;
        stalled
    };
    let (stalled, most) = peak_kib(&server, stall).await;
    let grown = most.saturating_sub(before);
    assert!(grown < MAX_PAGES_GROWTH_KIB, "{before} KiB grew by {grown} KiB");
    // The allocator returns freed memory while the process allocates.
    let is_back = async || {
        assert_eq!(client.get("/v1/rooms").await.status, 200);
        (server.rss_kib() < before + MAX_KEPT_KIB).then_some(())
    };
    eventually("the memory is free again", MINUTE, is_back).await;
    drop(stalled);
}
