//! A client of the event stream that disconnects often and returns with its cursor.

use std::net::SocketAddr;
use std::time::Duration;

use agentcafe_testkit::{Client, Frame, Method, Silence, Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::seeded_random::SeededRandom;
use crate::websocket_client::Socket;

/// Pause before a follower without a server tries again.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// Deadline of the next frame, heartbeats included.
const FRAME_DEADLINE: Duration = Duration::from_secs(60);

/// The transport of a follower, and how it sends its cursor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Transport {
    /// A stream; the cursor is in the query.
    StreamFromCursor,
    /// A stream opened like a browser's: always the same URL, and `Last-Event-ID`.
    StreamFromLastEventId,
    /// A WebSocket; the cursor is in the query.
    Socket,
    /// Long polls.
    Poll,
}

/// The server's address, and the last event.
#[derive(Clone)]
pub(crate) struct LoadState {
    pub(crate) address: watch::Receiver<SocketAddr>,
    pub(crate) last: watch::Receiver<Option<u64>>,
}

/// A follower, and the events that it has received.
pub(crate) struct Follower {
    pub(crate) transport: Transport,
    pub(crate) query: &'static str,
    pub(crate) received: Vec<Value>,
    /// How often it has connected.
    pub(crate) visits: usize,
    cursor: u64,
    random: SeededRandom,
}

impl Follower {
    pub(crate) fn new(transport: Transport, query: &'static str, seed: u64) -> Self {
        Self { transport, query, received: Vec::new(), visits: 0, cursor: 0, random: SeededRandom::new(seed) }
    }

    /// Connects and disconnects until it has received everything up to the last event.
    pub(crate) async fn follow(mut self, mut load: LoadState) -> Self {
        loop {
            let client = Client::new(*load.address.borrow_and_update());
            let was_there = match self.transport {
                Transport::Poll => self.poll(&client).await,
                Transport::Socket => {
                    let address = *load.address.borrow();
                    self.socket(address).await
                }
                Transport::StreamFromCursor | Transport::StreamFromLastEventId => self.stream(&client).await,
            };
            self.visits += usize::from(was_there);
            if load.last.borrow().is_some_and(|last| self.cursor >= last) {
                return self;
            }
            if !was_there {
                // The channel changes when there is a new server; until then the old address is tried again.
                let _ = timeout(RETRY_PAUSE, load.address.changed()).await;
            }
        }
    }

    /// Reads some frames, and disconnects. Returns whether there was a server.
    async fn stream(&mut self, client: &Client) -> bool {
        let path = "/v1/streams/market-events";
        let request = match self.transport {
            Transport::StreamFromLastEventId => {
                let request = client.request(Method::GET, &format!("{path}?cursor=0&{}", self.query));
                request.header("last-event-id", &self.cursor.to_string())
            }
            _ => client.request(Method::GET, &format!("{path}?cursor={}&{}", self.cursor, self.query)),
        };
        let Ok(mut stream) = request.try_stream().await else { return false };
        for _ in 0..self.random.below(40) {
            let frame = match stream.next_within(FRAME_DEADLINE).await {
                Ok(frame) => frame,
                Err(Silence::TimedOut) => panic!("nothing for {FRAME_DEADLINE:?}, not even a heartbeat"),
                Err(Silence::Ended | Silence::Broken(_)) => break,
            };
            self.take(frame);
        }
        true
    }

    /// The same over a WebSocket.
    async fn socket(&mut self, address: SocketAddr) -> bool {
        let path = format!("/v1/ws?cursor={}&{}", self.cursor, self.query);
        let Ok(mut socket) = Socket::open(address, &path, &[]).await else { return false };
        for _ in 0..self.random.below(40) {
            let Ok(frame) = socket.try_next().await else { break };
            self.take(frame);
        }
        true
    }

    fn take(&mut self, frame: Frame) {
        match (frame.event.as_str(), frame.id) {
            ("ready", None) => assert_eq!(frame.data["cursor"], self.cursor, "{}", frame.data),
            ("heartbeat", None) => self.advance(frame.data["cursor"].as_u64().expect("a cursor")),
            (event, Some(id)) => {
                assert_eq!((&frame.data["sequence"], &frame.data["type"]), (&json!(id), &json!(event)));
                assert!(id > self.cursor, "{id} came after {}", self.cursor);
                self.advance(id);
                self.received.push(frame.data);
            }
            // `error` is for a store that cannot be read, which does not happen here.
            (event, None) => panic!("unexpected frame {event}: {}", frame.data),
        }
    }

    /// Polls once. Returns whether there was a server.
    async fn poll(&mut self, client: &Client) -> bool {
        let (limit, timeout_ms) = (1 + self.random.below(30), self.random.below(300));
        let path = format!(
            "/v1/events/poll?cursor={}&limit={limit}&timeoutMs={timeout_ms}&{}",
            self.cursor, self.query
        );
        let Ok(answer) = client.request(Method::GET, &path).try_send().await else { return false };
        let data = answer.data();
        for event in data["events"].as_array().expect("a list") {
            let id = event["sequence"].as_u64().expect("a sequence");
            assert!(id > self.cursor, "{id} came after {}", self.cursor);
            self.advance(id);
            self.received.push(event.clone());
        }
        self.advance(data["nextCursor"].as_u64().expect("a cursor"));
        true
    }

    fn advance(&mut self, cursor: u64) {
        assert!(cursor >= self.cursor, "the cursor went back from {} to {cursor}", self.cursor);
        self.cursor = cursor;
    }
}
