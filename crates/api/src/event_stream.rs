//! A stream of events to a client: a first message, what is stored, then what comes.

use std::time::Duration;

use agentcafe_domain::kernel::{Code, Sequence};
use agentcafe_http::{FrameSource, StreamHub, StreamProtocol, StreamSession, Wakeup};
use agentcafe_service::events::{StreamAccess, Subscription};
use agentcafe_store::EventQuery;
use bytes::Bytes;
use serde_json::{Value, json};

/// How often it is checked whether the subscriber may still read what it follows.
const CHECK_ACCESS_EVERY: Duration = Duration::from_secs(5);

enum Phase {
    Ready(Value),
    /// At most `left` events more are sent of those stored up to `until`.
    LimitedBacklog {
        left: usize,
        until: Sequence,
    },
    Live,
    Over,
}

/// A stream of events to a client.
pub(crate) struct EventStream {
    session: StreamSession,
    access: StreamAccess,
    /// When access was checked last, on the engine's stopwatch.
    checked_at: Duration,
    phase: Phase,
    backlog_limit: Option<usize>,
}

impl FrameSource for EventStream {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let frame = match std::mem::replace(&mut self.phase, Phase::Live) {
                Phase::Ready(data) => {
                    if let Some(left) = self.backlog_limit {
                        let until = self.access.store().recent_events().head();
                        self.phase = Phase::LimitedBacklog { left, until };
                    }
                    Some(self.session.control("ready", &data))
                }
                Phase::LimitedBacklog { left, until } => self.backlog(left, until).await,
                Phase::Live => self.live().await,
                Phase::Over => return None,
            };
            if let Some(bytes) = frame {
                return Some(bytes);
            }
        }
    }
}

impl EventStream {
    /// Opens the stream of a subscription.
    pub(crate) fn open(hub: &StreamHub, protocol: StreamProtocol, subscription: Subscription) -> Self {
        let Subscription { follower, backlog_limit, ready, permit, access } = subscription;
        let session = hub.open(follower, protocol, permit);
        let checked_at = hub.clock.stopwatch();
        Self { session, access, checked_at, phase: Phase::Ready(ready), backlog_limit }
    }

    /// Sends what a client-given limit allows of the backlog, then says what was left out.
    async fn backlog(&mut self, left: usize, until: Sequence) -> Option<Bytes> {
        if self.session.follower.scanned_to() >= until {
            return None;
        }
        if let Err(refused) = self.check_access().await {
            return Some(self.give_up(refused));
        }
        if left > 0 {
            let Ok(frames) = self.session.frames(Some(left)).await else {
                return Some(self.give_up(Code::Unavailable));
            };
            self.phase = Phase::LimitedBacklog { left: left - frames.count.min(left), until };
            return (frames.count > 0).then_some(frames.bytes);
        }
        let follower = &mut self.session.follower;
        let from = follower.scanned_to();
        let skipped = EventQuery {
            before: Some(until.next()),
            ..EventQuery::after(follower.filter().as_ref().clone(), from, 1)
        };
        match self.access.store().events(skipped).await {
            Ok(page) if page.events.is_empty() => None,
            Ok(_) => {
                follower.advance_to(until);
                Some(self.session.control("gap", &json!({ "fromCursor": from, "toCursor": until })))
            }
            Err(_) => Some(self.give_up(Code::Unavailable)),
        }
    }

    async fn live(&mut self) -> Option<Bytes> {
        let wakeup = self.session.wakeup().await;
        if wakeup == Wakeup::Stopping {
            self.phase = Phase::Over;
            return Some(self.session.end_for_shutdown());
        }
        if let Err(refused) = self.check_access().await {
            return Some(self.give_up(refused));
        }
        if wakeup == Wakeup::Heartbeat {
            return Some(self.session.heartbeat());
        }
        match self.session.frames(None).await {
            Ok(frames) => (frames.count > 0).then_some(frames.bytes),
            Err(_) => Some(self.give_up(Code::Unavailable)),
        }
    }

    async fn check_access(&mut self) -> Result<(), Code> {
        let now = self.access.now();
        if now.saturating_sub(self.checked_at) >= CHECK_ACCESS_EVERY {
            self.access.check(self.session.follower.filter()).await?;
            self.checked_at = now;
        }
        Ok(())
    }

    /// The last frame of a stream that ends early: the log cannot be read, and the client comes back with its cursor; or
    /// the client may not follow any longer.
    fn give_up(&mut self, code: Code) -> Bytes {
        self.phase = Phase::Over;
        self.session.end_with_error(code)
    }
}
