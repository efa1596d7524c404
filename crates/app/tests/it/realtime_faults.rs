//! `agentcafe realtime` under faults of the API, of itself, and of its clients.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agentcafe_testkit::{Client, Method, Server, Value, eventually, json, steady_port};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::background_load::{head_of_log, read_pages};
use crate::large_events::post_large_says;
use crate::raw_connection::RawConnection;
use crate::realtime::{launch_realtime, wait_until_caught_up};
use crate::stalled_readers::peak_kib;
use crate::websocket_client::Socket;
use crate::{launch, order};

const DEADLINE: Duration = Duration::from_secs(180);
const WRITERS: usize = 6;
const ACTS: usize = 60;
const LISTENERS: usize = 12;
/// How long a listener that could not connect waits before its next attempt, as clients do.
const RECONNECT_DELAY: Duration = Duration::from_millis(10);

/// Sends one say after the other to `main`, each until it is acknowledged, across restarts of the API.
async fn write(address: SocketAddr, writer: usize, done: Arc<AtomicUsize>) {
    let client = Client::new(address);
    for number in 0..ACTS {
        let body = json!({"actorId": format!("writer-{writer}"), "text": format!("{writer}-{number}")});
        let key = format!("{writer}-{number}");
        loop {
            let request = client.request(Method::POST, "/v1/commands/say").key(&key).json(&body);
            if request.try_send().await.is_ok_and(|answer| answer.status == 202) {
                break;
            }
            tokio::task::yield_now().await;
        }
        done.fetch_add(1, Ordering::SeqCst);
    }
}

/// A client that reconnects, with `Last-Event-ID` or over a WebSocket, whenever it is cut off. Returns the received
/// events.
async fn listen(
    address: SocketAddr,
    over_socket: bool,
    last: watch::Receiver<Option<u64>>,
    visits: Arc<AtomicUsize>,
) -> Vec<Value> {
    let (mut received, mut cursor) = (Vec::new(), 0);
    while last.borrow().is_none_or(|last| cursor < last) {
        let mut connection = if over_socket {
            Socket::open(address, &format!("/v1/ws?cursor={cursor}"), &[])
                .await
                .ok()
                .map(|socket| Connection::Socket(Box::new(socket)))
        } else {
            let request = Client::new(address).request(Method::GET, "/v1/stream");
            let stream = request.header("last-event-id", &cursor.to_string()).try_stream().await;
            stream.ok().map(|stream| Connection::Stream(Box::new(stream)))
        };
        let Some(connection) = &mut connection else {
            tokio::time::sleep(RECONNECT_DELAY).await;
            continue;
        };
        visits.fetch_add(1, Ordering::SeqCst);
        while last.borrow().is_none_or(|last| cursor < last) {
            let Some(frame) = connection.next().await else { break };
            assert_ne!(frame.event, "gap", "nothing is left out: {}", frame.data);
            if let Some(id) = frame.id {
                assert!(id > cursor, "{id} came after {cursor}");
                cursor = id;
                received.push(frame.data);
            } else if frame.event == "heartbeat" {
                cursor = cursor.max(frame.data["cursor"].as_u64().unwrap());
            }
        }
    }
    received
}

enum Connection {
    Stream(Box<agentcafe_testkit::SseStream>),
    Socket(Box<Socket>),
}

impl Connection {
    async fn next(&mut self) -> Option<agentcafe_testkit::Frame> {
        match self {
            Self::Stream(stream) => stream.next_within(DEADLINE).await.ok(),
            Self::Socket(socket) => socket.try_next().await.ok(),
        }
    }
}

/// The API and realtime on fixed ports, writers, and listeners that start at the first event.
struct Scene {
    api: Server,
    realtime: Server,
    writing: JoinSet<()>,
    listening: JoinSet<Vec<Value>>,
    /// How often each listener has connected.
    visits: Vec<Arc<AtomicUsize>>,
    done: Arc<AtomicUsize>,
    end: watch::Sender<Option<u64>>,
}

impl Scene {
    async fn set() -> Self {
        let api = launch().env("API_PORT", steady_port()).start().await;
        let realtime = launch_realtime(&api)
            .env("REALTIME_PORT", steady_port())
            .env("REALTIME_HEARTBEAT_MS", 50)
            .env("REALTIME_ROOM_HISTORY_LIMIT", 100);
        // The first event, because a cursor of 0 would return only the newest events.
        order(&api.client(), "Nova", "main").await;
        let realtime = realtime.start().await;
        let (end, last) = watch::channel(None);
        let (mut writing, mut listening) = (JoinSet::new(), JoinSet::new());
        let done = Arc::new(AtomicUsize::new(0));
        let visits: Vec<_> = (0..LISTENERS).map(|_| Arc::default()).collect();
        for (listener, visits) in visits.iter().enumerate() {
            listening.spawn(listen(realtime.address(), listener % 3 == 0, last.clone(), Arc::clone(visits)));
        }
        for writer in 0..WRITERS {
            writing.spawn(write(api.address(), writer, Arc::clone(&done)));
        }
        Self { api, realtime, writing, listening, visits, done, end }
    }

    /// Waits until this many fifths of the load are sent.
    async fn reach(&self, fifths: usize) {
        let enough = async || (self.done.load(Ordering::SeqCst) >= WRITERS * ACTS * fifths / 5).then_some(());
        eventually("the load is accepted", DEADLINE, enough).await;
    }

    /// Waits until each listener has connected this often.
    async fn wait_for_connections(&self, visits: usize) {
        let often = |one: &Arc<AtomicUsize>| one.load(Ordering::SeqCst) >= visits;
        let all = async || self.visits.iter().all(often).then_some(());
        eventually("all are connected", DEADLINE, all).await;
    }

    /// Checks that each listener has received all events, once and in order.
    async fn assert_all_received(self) {
        let Self { api, realtime, writing, listening, end, .. } = self;
        timeout(DEADLINE, writing.join_all()).await.expect("all says are accepted");
        let log = read_pages(&api.client(), "roomId=main", 500).await;
        end.send_replace(log.last().and_then(|event| event["sequence"].as_u64()));
        let received = timeout(DEADLINE, listening.join_all()).await;
        let received =
            received.unwrap_or_else(|_| panic!("not all clients received everything:\n{}", realtime.log()));
        for received in received {
            let sequences =
                |events: &[Value]| events.iter().map(|event| event["sequence"].clone()).collect::<Vec<_>>();
            assert_eq!(sequences(&received), sequences(&log));
            assert_eq!(received, log);
        }
    }
}

/// The API is killed and started under load; realtime's clients stay connected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn realtime_has_no_gap_after_the_api_is_killed() {
    let mut scene = Scene::set().await;
    for fifths in 1..=3 {
        scene.reach(usize::try_from(fifths).unwrap()).await;
        scene.api.restart().await;
        let client = scene.realtime.client();
        eventually("the source is connected again", DEADLINE, async || {
            let source = client.get("/healthz").await.json["source"].clone();
            (source["reconnects"].as_u64() >= Some(fifths) && source["connected"] == true).then_some(())
        })
        .await;
    }
    scene.assert_all_received().await;
}

/// They return with `Last-Event-ID` or their cursor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn realtime_clients_miss_nothing_after_it_is_killed() {
    let mut scene = Scene::set().await;
    for fifths in 1..=3 {
        scene.reach(fifths).await;
        scene.wait_for_connections(fifths).await;
        if fifths == 2 {
            assert!(scene.realtime.stop().await.success(), "{}", scene.realtime.log());
        }
        scene.realtime.restart().await;
    }
    scene.assert_all_received().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn realtime_clients_miss_nothing_after_both_are_killed() {
    let mut scene = Scene::set().await;
    for fifths in 1..=3 {
        scene.reach(fifths).await;
        scene.wait_for_connections(fifths).await;
        scene.api.kill();
        scene.realtime.kill();
        scene.api.restart().await;
        scene.realtime.restart().await;
    }
    scene.assert_all_received().await;
}

/// Rooms in memory are dropped, and streams end.
#[tokio::test]
async fn realtime_starts_over_when_the_log_is_replaced() {
    let port = steady_port();
    let mut api = launch().env("API_PORT", port).start().await;
    for _ in 0..5 {
        order(&api.client(), "Nova", "main").await;
    }
    let realtime = launch_realtime(&api).start().await;
    wait_until_caught_up(&realtime, &api.client()).await;
    let mut stream = realtime.client().stream("/v1/stream?cursor=8").await;
    assert_eq!(stream.next_event().await.id, Some(9));
    api.kill();
    let api = launch().env("API_PORT", port).start().await;
    order(&api.client(), "Kai", "main").await;
    while stream.next_within(DEADLINE).await.is_ok() {}
    let client = realtime.client();
    let snapshot = eventually("the new log is known", DEADLINE, async || {
        let mut stream = client.request(Method::GET, "/v1/stream").try_stream().await.ok()?;
        let snapshot = stream.next().await.data;
        (snapshot["lastCursor"] == 2).then_some(snapshot)
    })
    .await;
    let actors: Vec<_> =
        snapshot["state"]["actors"].as_array().unwrap().iter().map(|actor| &actor["actorId"]).collect();
    assert_eq!(actors, ["Kai"]);
}

/// 56 MB of events are posted meanwhile; then the clients receive all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn realtime_clients_that_never_read_cost_bounded_memory() {
    /// The buffers of the log, the room and pages, twice the frames being sent, and a margin for the allocator.
    const MAX_GROWTH_KIB: u64 = 110 << 10;
    let api = launch().start().await;
    let realtime = launch_realtime(&api).start().await;
    // The memory for following the log is allocated before the clients connect.
    post_large_says(&api).await;
    let first = head_of_log(&api.client()).await;
    wait_until_caught_up(&realtime, &api.client()).await;
    let address = realtime.address();
    let follow = async move |cursor: u64| {
        let mut connection = RawConnection::open(address).await;
        let head = format!("GET /v1/stream?cursor={cursor} HTTP/1.0\r\nhost: localhost\r\n\r\n");
        connection.send(head.as_bytes()).await;
        connection
    };
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(follow(first).await);
    }
    let before = realtime.rss_kib();
    let posting = async {
        post_large_says(&api).await;
        wait_until_caught_up(&realtime, &api.client()).await;
    };
    let ((), most) = peak_kib(&realtime, posting).await;
    let grown = most.saturating_sub(before);
    assert!(grown < MAX_GROWTH_KIB, "{before} KiB grew by {grown} KiB");
    let log = read_pages(&api.client(), "", 20).await;
    let log = Arc::new(log[usize::try_from(first).unwrap()..].to_vec());
    let mut reading: JoinSet<_> = stalled
        .into_iter()
        .map(|mut reader| {
            let log = Arc::clone(&log);
            async move {
                let mut cursor = first;
                for event in log.iter() {
                    let (sequence, data) = loop {
                        match reader.event().await {
                            Some(event) => break event,
                            // It was disconnected, because it took nothing for too long.
                            None => reader = follow(cursor).await,
                        }
                    };
                    cursor = sequence;
                    assert!(
                        *event == serde_json::from_slice::<Value>(&data).unwrap(),
                        "not the events of the log"
                    );
                }
            }
        })
        .collect();
    let catch_up = async {
        while let Some(read) = reading.join_next().await {
            read.expect("it reads everything");
        }
    };
    let ((), most) = peak_kib(&realtime, catch_up).await;
    let grown = most.saturating_sub(before);
    assert!(grown < MAX_GROWTH_KIB, "while they catch up: {before} KiB grew by {grown} KiB");
}

/// Once and in order, in bounded memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn realtime_delivers_everything_to_a_thousand_subscribers() {
    const SUBSCRIBERS: usize = 1_000;
    const SAYS: usize = 100;
    let api = launch().start().await;
    let realtime = launch_realtime(&api).start().await;
    order(&api.client(), "Nova", "main").await;
    wait_until_caught_up(&realtime, &api.client()).await;
    let (end, last) = watch::channel(None::<u64>);
    let ready = Arc::new(AtomicUsize::new(0));
    let mut listening = JoinSet::new();
    for _ in 0..SUBSCRIBERS {
        let (address, last, ready) = (realtime.address(), last.clone(), Arc::clone(&ready));
        listening.spawn(async move {
            let mut connection = RawConnection::open(address).await;
            connection.send(b"GET /v1/stream?cursor=latest HTTP/1.0\r\nhost: localhost\r\n\r\n").await;
            while connection.line().await.expect("it goes on") != b"event: ready" {}
            ready.fetch_add(1, Ordering::SeqCst);
            let mut received = Vec::new();
            while last.borrow().is_none_or(|last| received.last() != Some(&last)) {
                received.push(connection.event().await.expect("the stream continues").0);
            }
            received
        });
    }
    let all_ready = async || (ready.load(Ordering::SeqCst) == SUBSCRIBERS).then_some(());
    eventually("all are connected", DEADLINE, all_ready).await;
    let before = realtime.rss_kib();
    let first = head_of_log(&api.client()).await;
    let client = api.client();
    for number in 0..SAYS {
        let body = json!({"actorId": format!("a{}", number % 7), "text": format!("said {number}")});
        let _ = client.act("/v1/commands/say", body).await.data();
        if number == SAYS - 2 {
            // Set before the last event, so that no listener waits for it in vain.
            end.send_replace(Some(head_of_log(&client).await + 2));
        }
    }
    let want: Vec<u64> = (first + 1..=head_of_log(&client).await).collect();
    assert_eq!(want.last().copied(), *end.borrow(), "a say is two events");
    let received = timeout(DEADLINE, listening.join_all()).await.expect("all receive everything");
    assert!(received.iter().all(|received| *received == want), "a client received something else");
    let grown = realtime.rss_kib().saturating_sub(before);
    assert!(grown < 64 << 10, "{before} KiB grew by {grown} KiB");
}
