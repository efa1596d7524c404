//! Somebody who follows the log: ready, what is stored, what comes.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::kernel::{
    error::Code,
    ids::{ActorId, Sequence},
};
use agentcafe_engine::Engine;
use agentcafe_http::{FrameSource, StreamSession, Wakeup};
use agentcafe_store::EventQuery;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::read_access;

/// How often it is looked whether the listener may still listen.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

enum Phase {
    Ready(Value),
    /// So many events of the backlog may still go out, of what was stored up to `until`.
    LimitedBacklog {
        left: usize,
        until: Sequence,
    },
    Live,
    Over,
}

/// One who follows.
pub(crate) struct EventStream {
    engine: Arc<Engine>,
    session: StreamSession,
    viewer: Option<ActorId>,
    /// When it was last seen that the listener may listen, on the engine's stopwatch.
    admitted_at: Duration,
    phase: Phase,
    backlog_limit: Option<usize>,
}

impl FrameSource for EventStream {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let request = match std::mem::replace(&mut self.phase, Phase::Live) {
                Phase::Ready(data) => {
                    if let Some(left) = self.backlog_limit {
                        self.phase =
                            Phase::LimitedBacklog { left, until: self.engine.store.recent_events().head() };
                    }
                    Some(self.session.control("ready", &data))
                }
                Phase::LimitedBacklog { left, until } => self.backlog(left, until).await,
                Phase::Live => self.live().await,
                Phase::Over => return None,
            };
            if let Some(bytes) = request {
                return Some(bytes);
            }
        }
    }
}

impl EventStream {
    /// Follows for `viewer`, who has just been admitted; of what is stored already, at most `backlog_limit` events.
    pub(crate) fn new(
        engine: Arc<Engine>,
        session: StreamSession,
        viewer: Option<ActorId>,
        backlog_limit: Option<usize>,
        ready: Value,
    ) -> Self {
        let admitted_at = engine.clock.stopwatch();
        Self { engine, session, viewer, admitted_at, phase: Phase::Ready(ready), backlog_limit }
    }

    /// Sends what a client-given limit allows of the backlog, then says what was left out.
    async fn backlog(&mut self, left: usize, until: Sequence) -> Option<Bytes> {
        if self.session.follower.scanned_to() >= until {
            return None;
        }
        if let Err(refused) = self.may_still_listen().await {
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
        match self.engine.store.events(skipped).await {
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
        if let Err(refused) = self.may_still_listen().await {
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

    /// Looks now and then whether the listener may still listen: tables close while streams are open.
    async fn may_still_listen(&mut self) -> Result<(), Code> {
        let now = self.engine.clock.stopwatch();
        if now.saturating_sub(self.admitted_at) >= LOOK_AGAIN {
            let mut filter = self.session.follower.filter().as_ref().clone();
            let admitted = read_access::may_follow(&self.engine, &mut filter, self.viewer.as_ref()).await;
            admitted.map_err(|error| error.0.error.code)?;
            self.admitted_at = now;
        }
        Ok(())
    }

    /// Says why it ends before its time: the log cannot be read, and the client comes back with its cursor; or the client
    /// may not listen any more.
    fn give_up(&mut self, code: Code) -> Bytes {
        self.phase = Phase::Over;
        self.session.end_with_error(code)
    }
}
