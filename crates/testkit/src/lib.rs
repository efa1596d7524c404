//! The test kit of the black-box tests: starts real servers on free ports, and talks to them.
//!
//! ```no_run
//! # async fn example() {
//! use agentcafe_testkit::{Launch, json};
//!
//! let server = Launch::new("target/debug/agentcafe").start().await;
//! let client = server.client();
//! let said = client.act("/v1/commands/say", json!({"actorId": "Nova", "text": "hey @Kai"})).await;
//! assert_eq!(said.data()["eventType"], "conversation_message_posted");
//! let mut stream = client.stream("/v1/events/stream").await;
//! assert_eq!(stream.next().await.event, "ready");
//! # }
//! ```

pub mod browser;
pub mod client;
pub mod everywhere;
pub mod fake_clock;
pub mod keys;
pub mod postgres;
pub mod receiver;
pub mod redis;
pub mod server;
pub mod sse;
pub mod supervisor;
pub mod wait;

pub use bytes::Bytes;
pub use reqwest::Method;
pub use serde_json::{Value, json};

pub use crate::browser::Browser;
pub use crate::client::{Answer, Client, Request, fresh_key};
pub use crate::fake_clock::FakeClock;
pub use crate::keys::{Key, SHARED_TOKEN};
pub use crate::postgres::{End, Postgres};
pub use crate::receiver::{Reaction, Received, Receiver};
pub use crate::redis::Redis;
pub use crate::server::{FailedStart, Launch, Server, store_under_test};
pub use crate::sse::{Frame, Silence, SseStream};
pub use crate::supervisor::steady_port;
pub use crate::wait::eventually;
