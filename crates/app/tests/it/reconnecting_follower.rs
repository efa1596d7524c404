//! A client of the event stream that disconnects often and returns with its cursor.

use std::net::SocketAddr;
use std::time::Duration;

use agentcafe_testkit::{Client, Frame, Method, Silence, Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::seeded_random::Chance;
use crate::websocket_client::Socket;

/// How long a follower without a server waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long nothing may come, heartbeats included.
const SILENCE: Duration = Duration::from_secs(60);

/// How a follower listens, and how it says where it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Manner {
    /// A stream; the cursor is in the query.
    StreamFromCursor,
    /// A stream that is opened as a browser does: always the same URL, and `Last-Event-ID`.
    StreamFromLastEventId,
    /// A WebSocket; the cursor is in the query.
    Socket,
    /// Long polls.
    Poll,
}

/// Where the server is, and from when on nothing more will happen.
#[derive(Clone)]
pub(crate) struct Course {
    pub(crate) address: watch::Receiver<SocketAddr>,
    pub(crate) last: watch::Receiver<Option<u64>>,
}

/// One follower, and what it has heard.
pub(crate) struct Follower {
    pub(crate) manner: Manner,
    pub(crate) query: &'static str,
    pub(crate) heard: Vec<Value>,
    /// How often it was connected.
    pub(crate) visits: usize,
    cursor: u64,
    chance: Chance,
}

impl Follower {
    pub(crate) fn new(manner: Manner, query: &'static str, seed: u64) -> Self {
        Self { manner, query, heard: Vec::new(), visits: 0, cursor: 0, chance: Chance::new(seed) }
    }

    /// Comes and goes until it has been told of everything up to the last event.
    pub(crate) async fn follow(mut self, mut course: Course) -> Self {
        loop {
            let client = Client::new(*course.address.borrow_and_update());
            let was_there = match self.manner {
                Manner::Poll => self.poll(&client).await,
                Manner::Socket => {
                    let address = *course.address.borrow();
                    self.socket(address).await
                }
                Manner::StreamFromCursor | Manner::StreamFromLastEventId => self.stream(&client).await,
            };
            self.visits += usize::from(was_there);
            if course.last.borrow().is_some_and(|last| self.cursor >= last) {
                return self;
            }
            if !was_there {
                // It is told when there is a new server; until then it tries the old one again.
                let _ = timeout(LOOK_AGAIN, course.address.changed()).await;
            }
        }
    }

    /// Reads some frames, and goes. Tells whether there was a server.
    async fn stream(&mut self, client: &Client) -> bool {
        let path = "/v1/streams/market-events";
        let request = match self.manner {
            Manner::StreamFromLastEventId => {
                let request = client.request(Method::GET, &format!("{path}?cursor=0&{}", self.query));
                request.header("last-event-id", &self.cursor.to_string())
            }
            _ => client.request(Method::GET, &format!("{path}?cursor={}&{}", self.cursor, self.query)),
        };
        let Ok(mut stream) = request.try_stream().await else { return false };
        for _ in 0..self.chance.below(40) {
            let frame = match stream.next_within(SILENCE).await {
                Ok(frame) => frame,
                Err(Silence::TimedOut) => panic!("nothing for {SILENCE:?}, not even a heartbeat"),
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
        for _ in 0..self.chance.below(40) {
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
                assert!(id > self.cursor, "{id} came after {} was told", self.cursor);
                self.advance(id);
                self.heard.push(frame.data);
            }
            // `error` is for a store that cannot be read, which does not happen here.
            (event, None) => panic!("a frame that has no business here, {event}: {}", frame.data),
        }
    }

    /// Polls once. Tells whether there was a server.
    async fn poll(&mut self, client: &Client) -> bool {
        let (limit, timeout_ms) = (1 + self.chance.below(30), self.chance.below(300));
        let path = format!(
            "/v1/events/poll?cursor={}&limit={limit}&timeoutMs={timeout_ms}&{}",
            self.cursor, self.query
        );
        let Ok(answer) = client.request(Method::GET, &path).try_send().await else { return false };
        let data = answer.data();
        for event in data["events"].as_array().expect("a list") {
            let id = event["sequence"].as_u64().expect("a sequence");
            assert!(id > self.cursor, "{id} came after {} was told", self.cursor);
            self.advance(id);
            self.heard.push(event.clone());
        }
        self.advance(data["nextCursor"].as_u64().expect("a cursor"));
        true
    }

    fn advance(&mut self, cursor: u64) {
        assert!(cursor >= self.cursor, "the cursor went back from {} to {cursor}", self.cursor);
        self.cursor = cursor;
    }
}
