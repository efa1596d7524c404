//! Event streams, whatever protocol they use: a follower whose events are sent as frames, with heartbeats and an orderly end.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Clock, Code};
use agentcafe_eventlog::{Fanout, Follower, Frames, ReadError};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::frames::{CloseCode, StreamProtocol};
use crate::metrics::HttpMetrics;

/// What all streams of a log share.
#[derive(Clone)]
pub struct StreamHub {
    /// The cache of rendered frames.
    pub fanout: Arc<Fanout>,
    /// Stamps heartbeats.
    pub clock: Arc<dyn Clock>,
    /// Counts the streams and their events.
    pub metrics: HttpMetrics,
    /// The interval of heartbeats.
    pub heartbeat: Duration,
    /// Cancelled when all streams are to end.
    pub stopping: CancellationToken,
}

/// One open stream.
pub struct StreamSession {
    stream_hub: StreamHub,
    protocol: StreamProtocol,
    heartbeat: Interval,
    /// Reads the log; its cursor is the stream's position.
    pub follower: Follower,
    _permit: OwnedSemaphorePermit,
}

/// Why [`StreamSession::wakeup`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakeup {
    /// There may be new events.
    More,
    /// A heartbeat is due.
    Heartbeat,
    /// All streams end.
    Stopping,
}

impl StreamHub {
    /// Opens a stream, which holds `permit` until it is dropped.
    pub fn open(
        &self,
        follower: Follower,
        protocol: StreamProtocol,
        permit: OwnedSemaphorePermit,
    ) -> StreamSession {
        let mut heartbeat = interval(self.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        self.metrics.stream_clients.inc();
        StreamSession { stream_hub: self.clone(), protocol, heartbeat, follower, _permit: permit }
    }
}

impl Drop for StreamSession {
    fn drop(&mut self) {
        self.stream_hub.metrics.stream_clients.dec();
    }
}

impl StreamSession {
    /// Waits until there is something to send.
    pub async fn wakeup(&mut self) -> Wakeup {
        tokio::select! {
            biased;
            () = self.stream_hub.stopping.cancelled() => Wakeup::Stopping,
            () = self.follower.wait_for_more() => Wakeup::More,
            _ = self.heartbeat.tick() => Wakeup::Heartbeat,
        }
    }

    /// The frames of the next events, at most `limit`, without waiting.
    ///
    /// # Errors
    /// [`ReadError`] when the log cannot be read; the cursor stays.
    pub async fn frames(&mut self, limit: Option<usize>) -> Result<Frames, ReadError> {
        let encoder = self.protocol.encoder();
        let frames = self.stream_hub.fanout.frames(&mut self.follower, encoder, limit).await?;
        self.stream_hub.metrics.stream_events.inc_by(frames.count as u64);
        Ok(frames)
    }

    /// A control frame: one without an id.
    pub fn control(&self, event: &str, data: &Value) -> Bytes {
        self.protocol.control(event, data)
    }

    /// The protocol.
    pub fn protocol(&self) -> StreamProtocol {
        self.protocol
    }

    /// A heartbeat, with the cursor.
    pub fn heartbeat(&self) -> Bytes {
        let now = self.stream_hub.clock.now().as_millis();
        self.control("heartbeat", &json!({ "cursor": self.follower.scanned_to(), "ts": now }))
    }

    /// The last bytes of a stream that ends because the server stops.
    pub fn end_for_shutdown(&self) -> Bytes {
        concat(self.heartbeat(), &self.protocol.end(CloseCode::GoingAway))
    }

    /// The last bytes of a stream that ends with an error, and the cursor to resume from.
    pub fn end_with_error(&self, code: Code) -> Bytes {
        let data = json!({ "code": code, "cursor": self.follower.scanned_to() });
        concat(self.control("error", &data), &self.protocol.end(CloseCode::for_error(code)))
    }
}

fn concat(first: Bytes, second: &Bytes) -> Bytes {
    if second.is_empty() { first } else { [first, second.clone()].concat().into() }
}

/// A source of rendered frames.
pub trait FrameSource: Send + 'static {
    /// The next bytes to send; none at the end.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// The frames of a source, as a [`Stream`].
pub fn frame_stream(source: impl FrameSource) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::unfold(source, |mut source| async move {
        let bytes = source.next().await?;
        Some((bytes, source))
    })
}
