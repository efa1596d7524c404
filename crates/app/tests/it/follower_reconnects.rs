//! A follower that returns with its cursor receives every later event once and in order, whatever happens meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agentcafe_testkit::{Client, Method, Value, eventually, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::background_load::{all_events, events_matching};
use crate::launch;
use crate::reconnecting_follower::{Follower, LoadState, Transport};
use crate::seeded_random::SeededRandom;

const WRITERS: u64 = 8;
const ACTS: usize = 50;
const LOAD_DEADLINE: Duration = Duration::from_secs(180);
const FOLLOW_DEADLINE: Duration = Duration::from_secs(180);

/// Filters that have the same meaning on streams, polls and pages.
const QUERIES: [&str; 6] = [
    "",
    "tenantId=default",
    "tenantId=default&roomId=room-1",
    "roomId=room-2",
    "tenantId=default&roomId=room-0&types=mention_created,order_changed",
    "types=conversation_message_posted",
];

/// The next command of a writer, in a random room.
fn act(writer: u64, number: usize, random: &mut SeededRandom) -> (&'static str, Value) {
    let who = json!({ "actorId": format!("writer-{writer}"), "roomId": format!("room-{}", random.below(3)) });
    let (path, more) = match random.below(4) {
        0 => ("/v1/commands/order", json!({ "itemId": format!("coffee-{writer}-{number}") })),
        1 => ("/v1/commands/move", json!({ "direction": "E" })),
        2 => ("/v1/commands/say", json!({ "text": format!("{writer}-{number} to @Kai") })),
        _ => ("/v1/commands/say", json!({ "text": format!("{writer}-{number}") })),
    };
    let body = who.as_object().into_iter().chain(more.as_object()).flatten();
    (path, body.map(|(key, value)| (key.clone(), value.clone())).collect::<serde_json::Map<_, _>>().into())
}

/// Sends one command after the other, each until it is acknowledged, across restarts of the server.
async fn write(writer: u64, mut address: watch::Receiver<SocketAddr>, done: Arc<AtomicUsize>) {
    let mut random = SeededRandom::new(1_000 + writer);
    for number in 0..ACTS {
        let ((path, body), key) = (act(writer, number, &mut random), format!("{writer}-{number}"));
        loop {
            let client = Client::new(*address.borrow_and_update());
            let answer = client.request(Method::POST, path).key(&key).json(&body).try_send().await;
            match answer {
                Ok(answer) if answer.status == 202 => break,
                Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text),
                Err(_) => drop(timeout(Duration::from_millis(20), address.changed()).await),
            }
        }
        done.fetch_add(1, Ordering::SeqCst);
    }
}

fn followers() -> impl Iterator<Item = Follower> {
    let manners =
        [Transport::StreamFromCursor, Transport::StreamFromLastEventId, Transport::Socket, Transport::Poll];
    let all = manners.into_iter().flat_map(|transport| QUERIES.map(|query| (transport, query)));
    all.zip(1..).map(|((transport, query), seed)| Follower::new(transport, query, seed))
}

/// Streams, WebSockets and long polls, with filters and without, disconnect at any moment and return with `cursor=`
/// or `Last-Event-ID`, while eight connections write, and the server is restarted and killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_that_reconnect_miss_nothing() {
    let mut server = launch().env("API_STREAM_HEARTBEAT_MS", 40).start().await;
    let (new_address, address) = watch::channel(server.address());
    let (end, last) = watch::channel(None);
    let (mut writing, mut following) = (JoinSet::new(), JoinSet::new());
    for follower in followers() {
        following.spawn(follower.follow(LoadState { address: address.clone(), last: last.clone() }));
    }
    let done = Arc::new(AtomicUsize::new(0));
    for writer in 0..WRITERS {
        writing.spawn(write(writer, address.clone(), Arc::clone(&done)));
    }
    for (quarter, kill) in [(1, false), (2, true), (3, true)] {
        let reached = WRITERS as usize * ACTS * quarter / 4;
        let enough = async || (done.load(Ordering::SeqCst) >= reached).then_some(());
        eventually("the load is accepted", LOAD_DEADLINE, enough).await;
        if !kill {
            assert!(server.stop().await.success());
        }
        server.restart().await;
        new_address.send_replace(server.address());
    }
    writing.join_all().await;
    let client = server.client();
    let log = all_events(&client).await;
    let messages = log.iter().filter(|event| event["causationId"].is_null()).count();
    assert_eq!(messages, WRITERS as usize * ACTS, "every command took effect once");
    end.send_replace(log.last().and_then(|event| event["sequence"].as_u64()));
    let followed =
        timeout(FOLLOW_DEADLINE, following.join_all()).await.expect("followers receive the last event");
    for follower in followed {
        let Follower { transport, query, received, visits, .. } = &follower;
        assert!(*visits > 3, "{transport:?} {query} was cut off too seldom");
        let want = events_matching(&client, query).await;
        let sequences =
            |events: &[Value]| events.iter().map(|event| event["sequence"].clone()).collect::<Vec<_>>();
        assert_eq!(sequences(received), sequences(&want), "{transport:?} {query}");
        assert_eq!(received, &want, "{transport:?} {query}");
    }
}
