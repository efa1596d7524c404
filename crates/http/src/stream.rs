//! Somebody who listens: a follower that is told frame by frame, whatever it listens over.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::kernel::{error::Code, time::Clock};
use agentcafe_engine::{
    Follower,
    fanout::{Fanout, Frames},
    metrics::HttpMetrics,
};
use agentcafe_store::ReadError;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use serde_json::{Value, json};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::frames::{Close, StreamProtocol};

/// What all who listen to one server share.
#[derive(Clone)]
pub struct StreamHub {
    /// Frames that many share.
    pub fanout: Arc<Fanout>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where they are counted.
    pub metrics: HttpMetrics,
    /// How often they are shown that the server is alive.
    pub heartbeat: Duration,
    /// Cancelled when they are to be sent away.
    pub stopping: CancellationToken,
}

/// One who listens.
pub struct StreamSession {
    stream_hub: StreamHub,
    protocol: StreamProtocol,
    heartbeat: Interval,
    /// Where it has got to.
    pub follower: Follower,
    _place: OwnedSemaphorePermit,
}

/// Why one who listens was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakeup {
    /// There may be something new.
    More,
    /// It is time to show that the server is alive.
    Beat,
    /// The server stops.
    Stopping,
}

impl StreamHub {
    /// Begins to tell a follower, which has a place among those who may listen.
    pub fn begin(
        &self,
        follower: Follower,
        protocol: StreamProtocol,
        place: OwnedSemaphorePermit,
    ) -> StreamSession {
        let mut heartbeat = interval(self.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        self.metrics.stream_clients.inc();
        StreamSession { stream_hub: self.clone(), protocol, heartbeat, follower, _place: place }
    }
}

/// The place and the gauge are given free when it goes, however it goes.
impl Drop for StreamSession {
    fn drop(&mut self) {
        self.stream_hub.metrics.stream_clients.dec();
    }
}

impl StreamSession {
    /// Waits until there is something to say.
    pub async fn wakeup(&mut self) -> Wakeup {
        tokio::select! {
            biased;
            () = self.stream_hub.stopping.cancelled() => Wakeup::Stopping,
            () = self.follower.more() => Wakeup::More,
            _ = self.heartbeat.tick() => Wakeup::Beat,
        }
    }

    /// The frames of what comes next, at most `limit` events, without waiting.
    ///
    /// # Errors
    /// [`ReadError`] when the log cannot be read; the cursor stays.
    pub async fn frames(&mut self, limit: Option<usize>) -> Result<Frames, ReadError> {
        let frames =
            self.stream_hub.fanout.frames(&mut self.follower, self.protocol.encoder(), limit).await?;
        self.stream_hub.metrics.stream_events.inc_by(frames.count as u64);
        Ok(frames)
    }

    /// A frame without an id.
    pub fn control(&self, event: &str, data: &Value) -> Bytes {
        self.protocol.control(event, data)
    }

    /// What it listens over.
    pub fn protocol(&self) -> StreamProtocol {
        self.protocol
    }

    /// Shows that the server is alive, and how far it has looked.
    pub fn heartbeat(&self) -> Bytes {
        let now = self.stream_hub.clock.now().as_millis();
        self.control("heartbeat", &json!({ "cursor": self.follower.scanned_to(), "ts": now }))
    }

    /// The last that is said when the server stops.
    pub fn farewell(&self) -> Bytes {
        together(&[self.heartbeat(), self.protocol.end(Close::GoingAway)])
    }

    /// The last that is said when telling ends before its time: why.
    pub fn give_up(&self, code: Code) -> Bytes {
        let data = json!({ "code": code, "cursor": self.follower.scanned_to() });
        together(&[self.control("error", &data), self.protocol.end(Close::of(code))])
    }
}

fn together(parts: &[Bytes]) -> Bytes {
    let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    whole.freeze()
}

/// Something that is told piece by piece.
pub trait FrameSource: Send + 'static {
    /// The next bytes to send; none at the end.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// The pieces, one after the other.
pub fn pieces(session: impl FrameSource) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::unfold(session, |mut session| async move {
        let bytes = session.next().await?;
        Some((bytes, session))
    })
}
