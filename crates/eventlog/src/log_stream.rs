//! A stream of events to one reader: how it begins, the backlog, then what is appended to the log, with heartbeats and an
//! orderly end.
//!
//! Every protocol pulls the same [items](StreamItem) and renders them. Only events come rendered, by the encoder that the
//! protocol names, because readers share those bytes ([`Fanout`]).

use std::collections::VecDeque;
use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Clock, Code, Sequence, Timestamp};
use bytes::Bytes;
use serde_json::Value;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{
    DamagedEvents, EventFilter, Fanout, Follower, FrameEncoder, Frames, Log, LogPosition, LoggedEvent,
    MessageBodies, ReadError, ResetReason,
};

/// What all streams of a log share.
#[derive(Clone)]
pub struct StreamHub {
    /// The cache of rendered frames.
    pub fanout: Arc<Fanout>,
    /// Stamps heartbeats.
    pub clock: Arc<dyn Clock>,
    /// The interval of heartbeats.
    pub heartbeat: Duration,
    /// Cancelled when all streams are to end.
    pub stopping: CancellationToken,
}

/// One item of a stream.
#[derive(Clone, Debug)]
pub enum StreamItem {
    /// What the stream follows, and from where.
    Ready(Value),
    /// The state of a room, which the events that follow change: `data`, and as the last of its members the `state` as JSON.
    Snapshot {
        /// What the state is about.
        data: Value,
        /// The state, whose bytes readers share.
        state: Bytes,
    },
    /// Matching events were left out.
    Gap {
        /// The cursor before them.
        from: Sequence,
        /// The cursor after them.
        to: Sequence,
        /// Whether the reason is that events are damaged: no reader gets them.
        is_damaged: bool,
    },
    /// The cursor of the reader is not of this log. The stream continues at the head, or ends.
    Reset {
        /// The log that is read.
        log: LogPosition,
        /// Why the cursor is not valid.
        reason: ResetReason,
    },
    /// Events, rendered by the reader's encoder.
    Events(Frames),
    /// There was no event for a while.
    Heartbeat {
        /// The cursor of the stream.
        cursor: Sequence,
        /// The present.
        at: Timestamp,
    },
    /// The stream cannot go on. [`StreamItem::End`] follows.
    Error {
        /// Why.
        code: Code,
        /// The cursor to resume from.
        cursor: Sequence,
    },
    /// The last item: the error that the stream ends with, or none if the server stops.
    End(Option<Code>),
}

impl StreamItem {
    /// The items that end a stream whose cursor is not of this log.
    pub fn reset(log: LogPosition, reason: ResetReason) -> [Self; 2] {
        [Self::Reset { log, reason }, Self::End(Some(Code::CursorAhead))]
    }
}

/// The owner of a stream. It is dropped with the stream, so that it may hold what the stream occupies.
pub trait Subscriber: Send + 'static {
    /// Checks whether it may still read what it follows, before each item that is not part of the stream's start.
    ///
    /// # Errors
    /// The code of the error that ends the stream.
    fn check_access(&mut self, _: &EventFilter) -> impl Future<Output = Result<(), Code>> + Send {
        ready(Ok(()))
    }

    /// Waits until access may have changed, so that it is checked although there is no event. A wait that is given up loses
    /// nothing.
    fn access_changed(&mut self) -> impl Future<Output = ()> + Send {
        pending()
    }

    /// The log that its cursor is not of, and why, if the stream ends because of that.
    fn reset(&self) -> Option<(LogPosition, ResetReason)> {
        None
    }
}

/// What ends the wait of a stream.
enum Wake {
    Event,
    AccessChange,
    Heartbeat,
}

/// How a stream begins.
#[derive(Default)]
pub struct StreamStart {
    /// The first items. If the last of them is the end, nothing is read.
    pub items: VecDeque<StreamItem>,
    /// Events up to `after` that were not read from the log. They follow the first items.
    pub events: Vec<LoggedEvent>,
    /// The cursor from which the log is read.
    pub after: Sequence,
    /// The part of the log that is treated as backlog; none: every event is new.
    pub backlog: Option<Backlog>,
    /// What holds the bodies of messages, if they are part of the events.
    pub bodies: Option<Arc<dyn MessageBodies>>,
}

/// The events that were appended before a stream began.
pub struct Backlog {
    /// The last of them.
    pub until: Sequence,
    /// The most of them that are sent; a gap replaces the others. None: all.
    pub limit: Option<usize>,
    /// The `ready` message that ends the backlog, without its `replayed`: the number of events before it.
    pub ready: Option<Value>,
}

/// A stream of events to one reader.
pub struct LogStream<S> {
    hub: StreamHub,
    /// Registered once with the token that all streams share: a new wait for each event would lock it five times.
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    follower: Follower,
    heartbeat: Interval,
    subscriber: S,
    /// Items that are due before anything is read.
    queue: VecDeque<StreamItem>,
    events: Vec<LoggedEvent>,
    backlog: Option<Backlog>,
    /// How many events were sent.
    sent: usize,
    is_over: bool,
}

impl<S: Subscriber> LogStream<S> {
    /// Opens a stream of the events that match `filter`.
    pub fn open(
        hub: StreamHub,
        log: Arc<impl Log>,
        filter: EventFilter,
        start: StreamStart,
        subscriber: S,
    ) -> Self {
        let StreamStart { items: queue, events, after, backlog, bodies } = start;
        let mut heartbeat = interval(hub.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        let follower = Follower::new(log, filter, after).with_bodies(bodies);
        let stopped = Box::pin(hub.stopping.clone().cancelled_owned());
        let is_over = matches!(queue.back(), Some(StreamItem::End(_)));
        Self { hub, stopped, follower, heartbeat, subscriber, queue, events, backlog, sent: 0, is_over }
    }

    /// Waits for the next item; none after the end. A wait that is given up loses nothing.
    pub async fn next(&mut self, encoder: FrameEncoder) -> Option<StreamItem> {
        loop {
            if let Some(item) = self.queue.pop_front() {
                return Some(item);
            }
            if self.is_over {
                return None;
            }
            if !self.events.is_empty() {
                let events = std::mem::take(&mut self.events);
                self.sent += events.len();
                return Some(StreamItem::Events(Frames::render(
                    encoder,
                    &events,
                    self.follower.scanned_to(),
                )));
            }
            let read = match self.backlog {
                Some(_) => self.replay(encoder).await,
                None => self.follow(None, encoder).await,
            };
            match read {
                Ok(Some(item)) => return Some(item),
                Ok(None) => {}
                Err(code) => self.end(Some(code)),
            }
        }
    }

    /// The next events of the backlog, or the item at its end.
    async fn replay(&mut self, encoder: FrameEncoder) -> Result<Option<StreamItem>, Code> {
        let from = self.follower.scanned_to();
        let Some(Backlog { until, limit, .. }) = self.backlog else { return Ok(None) };
        if from >= until {
            let ready = self.backlog.take().and_then(|backlog| backlog.ready);
            return Ok(ready.map(|mut data| {
                data["replayed"] = self.sent.into();
                StreamItem::Ready(data)
            }));
        }
        self.subscriber.check_access(self.follower.filter()).await?;
        let left = limit.map(|limit| limit.saturating_sub(self.sent));
        if left == Some(0) {
            let is_cut = self.follower.has_match_until(until).await.map_err(unreadable)?;
            self.follower.advance_to(until);
            return Ok(is_cut.then_some(StreamItem::Gap { from, to: until, is_damaged: false }));
        }
        let item = self.read(left, encoder).await?;
        if item.is_some() || self.follower.scanned_to() > from {
            return Ok(item);
        }
        // Realtime: the mirror has not received the backlog's last events yet.
        self.follow(left, encoder).await
    }

    /// Waits for new events, at most `limit`, or for a heartbeat to be due, or for the end.
    async fn follow(
        &mut self,
        limit: Option<usize>,
        encoder: FrameEncoder,
    ) -> Result<Option<StreamItem>, Code> {
        let wake = tokio::select! {
            biased;
            () = self.follower.wait_for_more() => Wake::Event,
            () = &mut self.stopped => Wake::Heartbeat,
            () = self.subscriber.access_changed() => Wake::AccessChange,
            _ = self.heartbeat.tick() => Wake::Heartbeat,
        };
        if self.hub.stopping.is_cancelled() {
            self.end(None);
            return Ok(None);
        }
        self.subscriber.check_access(self.follower.filter()).await?;
        match wake {
            Wake::Event => self.read(limit, encoder).await,
            Wake::AccessChange => Ok(None),
            Wake::Heartbeat => Ok(Some(self.heartbeat())),
        }
    }

    /// The events after the cursor, if there are any, without waiting; a gap if they are damaged.
    async fn read(
        &mut self,
        limit: Option<usize>,
        encoder: FrameEncoder,
    ) -> Result<Option<StreamItem>, Code> {
        let frames = match self.hub.fanout.frames(&mut self.follower, encoder, limit).await {
            Err(ReadError::DamagedEvents(DamagedEvents { after: from, to })) => {
                return Ok(Some(StreamItem::Gap { from, to, is_damaged: true }));
            }
            frames => frames.map_err(unreadable)?,
        };
        self.sent += frames.count;
        Ok((frames.count > 0).then_some(StreamItem::Events(frames)))
    }

    fn heartbeat(&self) -> StreamItem {
        StreamItem::Heartbeat { cursor: self.follower.scanned_to(), at: self.hub.clock.now() }
    }

    fn end(&mut self, error: Option<Code>) {
        let cursor = self.follower.scanned_to();
        let last = || error.map_or_else(|| self.heartbeat(), |code| StreamItem::Error { code, cursor });
        self.queue.extend(match self.subscriber.reset() {
            Some((log, reason)) => StreamItem::reset(log, reason),
            None => [last(), StreamItem::End(error)],
        });
        self.is_over = true;
    }
}

/// What ends the stream. The reader resumes from its cursor once the log can be read again.
fn unreadable(error: ReadError) -> Code {
    if error == ReadError::Unavailable { Code::Unavailable } else { Code::DataLoss }
}
