//! `/v1/ws`: the frames of the event stream over a WebSocket.

use std::time::Duration;

use agentcafe_testkit::{Client, Frame, Method};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::background_load::{head_of_log, read_pages};
use crate::large_events::post_large_says;
use crate::stalled_readers::peak_kib;
use crate::websocket_client::{End, Socket};
use crate::{cafe, launch, order};

const SOCKET: &str = "/v1/ws";

/// Adds a frame; false for the heartbeat whose cursor is the head of the log. Earlier heartbeats are optional.
fn collect_frame(frames: &mut Vec<Frame>, frame: Frame) -> bool {
    if frame.event == "heartbeat" {
        return frame.data["cursor"] != 6;
    }
    frames.push(frame);
    true
}

/// `ready`, backlog, gap, live events and heartbeats.
#[tokio::test]
async fn websocket_has_the_frames_of_the_stream() {
    let server = launch().env("API_STREAM_HEARTBEAT_MS", 40).start().await;
    let client = server.client();
    for (actor, room) in [("Nova", "main"), ("Kai", "attic"), ("Kai", "main")] {
        order(&client, actor, room).await;
    }
    for query in [
        "",
        "roomId=main&actorId=Kai",
        "types=order_changed,x",
        "cursor=3",
        "limit=2",
        "tenantId=acme",
        "cursor=latest",
    ] {
        let mut stream = client.stream(&format!("/v1/streams/market-events?{query}")).await;
        let mut socket =
            Socket::open(server.address(), &format!("{SOCKET}?{query}"), &[]).await.expect("it opens");
        let (mut from_stream, mut from_websocket) = (Vec::new(), Vec::new());
        while collect_frame(&mut from_stream, stream.next().await) {}
        while collect_frame(&mut from_websocket, socket.next().await) {}
        assert_eq!(from_websocket, from_stream, "{query}");
    }
    let path = format!("{SOCKET}?cursor=2");
    let mut socket =
        Socket::open(server.address(), &path, &[("last-event-id", "4")]).await.expect("it opens");
    assert_eq!(socket.next().await.data["cursor"], 4, "Last-Event-ID is supported");
    assert_eq!(socket.next_event().await.id, Some(5));
    order(&client, "Nova", "main").await;
    let live = [socket.next_event().await.id, socket.next_event().await.id, socket.next_event().await.id];
    assert_eq!(live, [Some(6), Some(7), Some(8)]);
}

/// An invalid handshake is refused.
#[tokio::test]
async fn websocket_has_the_token_parameters_and_limits_of_the_stream() {
    let server = launch()
        .env("API_AUTH_TOKEN", "secret")
        .env("API_STREAM_MAX_CLIENTS", 1)
        .env("API_RATE_LIMIT_PER_MIN", 8)
        .start()
        .await;
    let open = |query: &'static str, headers: &'static [(&str, &str)]| {
        let path = format!("{SOCKET}?{query}");
        let address = server.address();
        async move { Socket::open(address, &path, headers).await.map(drop) }
    };
    assert_eq!(open("", &[]).await, Err(Some(401)));
    assert_eq!(open("apiKey=wrong", &[]).await, Err(Some(401)));
    assert_eq!(open("cursor=abc", &[("x-api-key", "secret")]).await, Err(Some(400)));
    let inside = Client::new(server.address()).with_header("x-api-key", "secret");
    let refused = inside.get(SOCKET).await;
    assert_eq!(refused.error(400, "ERR_VALIDATION")["field"], "upgrade");
    let first =
        Socket::open(server.address(), &format!("{SOCKET}?apiKey=secret"), &[]).await.expect("it opens");
    assert_eq!(open("apiKey=secret", &[]).await, Err(Some(503)), "the stream is open");
    let refused = inside.request(Method::GET, "/v1/events/stream").stream().await.unwrap_err();
    let _ = refused.error(503, "ERR_UNAVAILABLE");
    drop(first);
    for _ in 0..4 {
        let _ = open("cursor=abc&apiKey=secret", &[]).await;
    }
    assert_eq!(open("apiKey=secret", &[]).await, Err(Some(429)), "each attempt counts");
}

/// RFC 6455, 5.5: a pong repeats the ping's payload; the server pings, too.
#[tokio::test]
async fn websocket_answers_pings_and_close() {
    let server = launch().env("API_STREAM_HEARTBEAT_MS", 30).start().await;
    let mut socket = Socket::open(server.address(), SOCKET, &[]).await.expect("it opens");
    socket.send(Message::Ping("there?".into())).await;
    socket.send(Message::Text("ignored".into())).await;
    let (mut pinged, mut answered) = (false, false);
    while !(pinged && answered) {
        match socket.message().await.expect("it goes on") {
            Message::Ping(_) => pinged = true,
            Message::Pong(payload) => {
                assert_eq!(payload, "there?");
                answered = true;
            }
            _ => {}
        }
    }
    let goodbye = CloseFrame { code: CloseCode::Library(3_999), reason: "enough".into() };
    socket.send(Message::Close(Some(goodbye))).await;
    assert_eq!(socket.end().await, End::Closed(Some(3_999)));
}

/// RFC 6455, 5.1 and 7: invalid frames, and frames that are too large.
#[tokio::test]
async fn websocket_protocol_errors_close_with_their_code() {
    let (server, _client) = cafe().await;
    for (bytes, code) in [
        (vec![0x81, 1, b'x'], 1_002),
        (vec![0xff, 0x80, 0, 0, 0, 0], 1_002),
        ([&[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0][..], &[0; 4]].concat(), 1_009),
    ] {
        let mut socket = Socket::open(server.address(), SOCKET, &[]).await.expect("it opens");
        socket.stream().write_all(&bytes).await.unwrap();
        assert_eq!(socket.end().await, End::Closed(Some(code)), "{bytes:?}");
    }
    assert_eq!(server.client().get("/livez").await.status, 200);
}

/// After the last committed event.
#[tokio::test]
async fn websocket_is_closed_when_the_server_stops() {
    let (mut server, client) = cafe().await;
    let mut socket = Socket::open(server.address(), SOCKET, &[]).await.expect("it opens");
    let mut silent = Socket::open(server.address(), SOCKET, &[]).await.expect("it opens");
    order(&client, "Nova", "main").await;
    assert_eq!(socket.next_event().await.id, Some(1));
    let reading = tokio::spawn(async move { (socket.end().await, silent.end().await) });
    assert!(server.stop().await.success(), "{}", server.log());
    let away = End::Closed(Some(1_001));
    assert_eq!(reading.await.unwrap(), (away.clone(), away));
    assert!(!server.log().contains("are cut"), "{}", server.log());
}

/// 56 MB of events are posted meanwhile; then the clients receive all of them in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_that_are_never_read_cost_bounded_memory() {
    const MAX_GROWTH_KIB: u64 = 60 << 10;
    let server = launch().start().await;
    // The memory for posting is allocated before the readers connect.
    post_large_says(&server).await;
    let first = head_of_log(&server.client()).await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let path = format!("{SOCKET}?cursor={first}");
        sockets.push(Socket::open(server.address(), &path, &[]).await.expect("it opens"));
    }
    let before = server.rss_kib();
    let ((), most) = peak_kib(&server, post_large_says(&server)).await;
    assert!(most - before < MAX_GROWTH_KIB, "{before} KiB became {most} KiB");
    let last = head_of_log(&server.client()).await;
    let log = read_pages(&server.client(), "", 20).await;
    let mut reading: JoinSet<_> = sockets
        .into_iter()
        .map(|mut socket| async move {
            let mut events = Vec::new();
            while events.len() as u64 != last - first {
                events.push(socket.next_event().await.data);
            }
            events
        })
        .collect();
    let catch_up = async {
        while let Some(read) = reading.join_next().await {
            let read = read.expect("it reads everything");
            assert!(
                read == log[usize::try_from(first).expect("small")..],
                "a WebSocket sent an event that is not in the log"
            );
        }
    };
    let ((), most) = peak_kib(&server, catch_up).await;
    assert!(most.saturating_sub(before) < MAX_GROWTH_KIB, "{before} KiB became {most} KiB");
}

/// So a client that is gone does not occupy one of the open streams.
#[tokio::test]
async fn websocket_without_pong_is_closed() {
    let server = launch().env("API_STREAM_HEARTBEAT_MS", 50).env("API_STREAM_MAX_CLIENTS", 1).start().await;
    // It is not read, so it sends no pongs; everything fits into its buffer.
    let silent = Socket::open(server.address(), SOCKET, &[]).await.expect("it opens");
    agentcafe_testkit::eventually("the stream is closed", Duration::from_secs(60), async || {
        Socket::open(server.address(), SOCKET, &[]).await.ok()
    })
    .await;
    drop(silent);
}
