//! Server-sent events: a follower, told frame by frame.

use std::{convert::Infallible, sync::Arc, time::Duration};

use agentcafe_domain::{
    ids::{ActorId, Sequence},
    refusal::Code,
};
use agentcafe_engine::{Engine, Follower};
use agentcafe_store::{EventFilter, EventQuery};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Interval, MissedTickBehavior, interval},
};

use crate::readgate;

/// How often it is looked whether the listener may still listen.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What a client wants to hear.
pub(crate) struct Subscription {
    /// Which events.
    pub(crate) filter: EventFilter,
    /// Who listens.
    pub(crate) viewer: Option<ActorId>,
    /// After which one.
    pub(crate) after: Sequence,
    /// The most of what is stored already; none: all of it.
    pub(crate) backlog_limit: Option<usize>,
    /// The `ready` frame's data.
    pub(crate) ready: Value,
}

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

struct Session {
    engine: Arc<Engine>,
    follower: Follower,
    viewer: Option<ActorId>,
    /// When it was last seen that the listener may listen, on the engine's stopwatch.
    admitted_at: Duration,
    phase: Phase,
    backlog_limit: Option<usize>,
    heartbeat: Interval,
    _place: OwnedSemaphorePermit,
}

/// Frees the client's place and the gauge when the stream ends, however it ends.
impl Drop for Session {
    fn drop(&mut self) {
        self.engine.metrics.stream_clients.dec();
    }
}

/// A frame without an id.
fn control(event: &str, data: &Value) -> Bytes {
    format!("event: {event}\ndata: {data}\n\n").into()
}

/// The response that streams a subscription until the client goes or the server stops.
pub(crate) fn response(
    engine: Arc<Engine>,
    subscription: Subscription,
    heartbeat: Duration,
    place: OwnedSemaphorePermit,
) -> Response {
    let follower = Follower::new(Arc::clone(&engine.store), subscription.filter, subscription.after);
    let mut ticks = interval(heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    engine.metrics.stream_clients.inc();
    let session = Session {
        admitted_at: engine.clock.stopwatch(),
        engine,
        follower,
        viewer: subscription.viewer,
        phase: Phase::Ready(subscription.ready),
        backlog_limit: subscription.backlog_limit,
        heartbeat: ticks,
        _place: place,
    };
    let frames = stream::unfold(session, |mut session| async move {
        let bytes = session.next().await?;
        Some((Ok::<_, Infallible>(bytes), session))
    });
    let mut response = (StatusCode::OK, Body::from_stream(frames)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Tells reverse proxies (nginx) to pass frames on as they come.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Session {
    /// The next bytes to send; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let sent = match std::mem::replace(&mut self.phase, Phase::Live) {
                Phase::Ready(data) => {
                    if let Some(left) = self.backlog_limit {
                        self.phase = Phase::LimitedBacklog { left, until: self.engine.store.tail().head() };
                    }
                    Some(control("ready", &data))
                }
                Phase::LimitedBacklog { left, until } => self.backlog(left, until).await,
                Phase::Live => self.live().await,
                Phase::Over => return None,
            };
            if let Some(bytes) = sent {
                return Some(bytes);
            }
        }
    }

    /// Sends what a client-given limit allows of the backlog, then says what was left out.
    async fn backlog(&mut self, left: usize, until: Sequence) -> Option<Bytes> {
        if self.follower.examined() >= until {
            return None;
        }
        if let Err(refused) = self.may_still_listen().await {
            return Some(self.give_up(refused));
        }
        if left > 0 {
            let frames = match self.engine.fanout.frames(&mut self.follower, Some(left)).await {
                Ok(frames) => frames,
                Err(_) => return Some(self.give_up(Code::Unavailable)),
            };
            self.engine.metrics.stream_events.inc_by(frames.count as u64);
            self.phase = Phase::LimitedBacklog { left: left - frames.count.min(left), until };
            return (frames.count > 0).then_some(frames.bytes);
        }
        let from = self.follower.examined();
        let filter = self.follower.filter().as_ref().clone();
        let skipped = EventQuery { before: Some(until.next()), ..EventQuery::after(filter, from, 1) };
        match self.engine.store.events(skipped).await {
            Ok(page) if page.events.is_empty() => None,
            Ok(_) => {
                self.follower.advance_to(until);
                Some(control("gap", &json!({ "fromCursor": from, "toCursor": until })))
            }
            Err(_) => Some(self.give_up(Code::Unavailable)),
        }
    }

    async fn live(&mut self) -> Option<Bytes> {
        let has_more = tokio::select! {
            biased;
            () = self.engine.stopping.cancelled() => {
                self.phase = Phase::Over;
                return Some(self.heartbeat_frame());
            }
            () = self.follower.more() => true,
            _ = self.heartbeat.tick() => false,
        };
        if let Err(refused) = self.may_still_listen().await {
            return Some(self.give_up(refused));
        }
        if !has_more {
            return Some(self.heartbeat_frame());
        }
        match self.engine.fanout.frames(&mut self.follower, None).await {
            Ok(frames) if frames.count == 0 => None,
            Ok(frames) => {
                self.engine.metrics.stream_events.inc_by(frames.count as u64);
                Some(frames.bytes)
            }
            Err(_) => Some(self.give_up(Code::Unavailable)),
        }
    }

    /// Looks now and then whether the listener may still listen: tables close while streams are open.
    async fn may_still_listen(&mut self) -> Result<(), Code> {
        let now = self.engine.clock.stopwatch();
        if now.saturating_sub(self.admitted_at) >= LOOK_AGAIN {
            let mut filter = self.follower.filter().as_ref().clone();
            let admitted = readgate::may_follow(&self.engine, &mut filter, self.viewer.as_ref()).await;
            admitted.map_err(|problem| problem.refusal.code)?;
            self.admitted_at = now;
        }
        Ok(())
    }

    fn heartbeat_frame(&self) -> Bytes {
        let data = json!({ "cursor": self.follower.examined(), "ts": self.engine.now().as_millis() });
        control("heartbeat", &data)
    }

    /// Says why it ends before its time: the log cannot be read, and the client comes back with its cursor; or the client
    /// may not listen any more.
    fn give_up(&mut self, code: Code) -> Bytes {
        self.phase = Phase::Over;
        let data = json!({ "code": code, "cursor": self.follower.examined() });
        control("error", &data)
    }
}
