//! `GET /v1/events/poll`: the next events, as soon as there are any.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::{
    actor::ActorInRoom,
    fields::{Cursor, Fields},
    ids::{ActorId, Sequence},
    presence::{Listening, Presence, Status, TTL_MS},
    refusal::Refusal,
};
use agentcafe_engine::Follower;
use agentcafe_store::{EventFilter, EventPage, Failure};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::timeout;

use super::events::{filter, place_of};
use crate::{answer, app::App, input::Asked, problem::Problem, readgate};

const LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;
const TIMEOUT_MS: i64 = 25_000;
const MAX_TIMEOUT_MS: i64 = 30_000;

/// What a poll asks for.
pub(crate) struct PollAsked {
    filter: EventFilter,
    viewer: Option<ActorId>,
    cursor: Option<Cursor>,
    after_event_id: Option<String>,
    limit: usize,
    timeout: Duration,
    listener: Option<Listening>,
}

impl PollAsked {
    pub(crate) fn read(query: &Fields) -> Result<Self, Refusal> {
        let filter = filter(query, "authorId")?;
        let timeout_ms = query.integer("timeoutMs", 0..=MAX_TIMEOUT_MS)?.unwrap_or(TIMEOUT_MS);
        Ok(Self {
            viewer: readgate::viewer(query)?.or(query.actor("actorId")?),
            cursor: query.cursor("cursor")?,
            after_event_id: query.trimmed_text("afterEventId")?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
            timeout: Duration::from_millis(timeout_ms.unsigned_abs()),
            listener: listener(query, &filter)?,
            filter,
        })
    }
}

/// Who listens, if it says so and wants to be seen.
fn listener(query: &Fields, filter: &EventFilter) -> Result<Option<Listening>, Refusal> {
    let actor = query.actor("actorId")?;
    let heartbeat = query.flag("heartbeat")?.unwrap_or(true);
    let status = query.text_choice("status", &Status::NAMES)?;
    let ttl_ms = query.clamped("ttlMs", TTL_MS)?;
    let (Some(actor_id), Some(tenant_id), Some(room_id)) =
        (actor, filter.tenant.clone(), filter.room.clone())
    else {
        return Ok(None);
    };
    let actor = ActorInRoom { tenant_id, room_id, actor_id };
    Ok(heartbeat.then_some(Listening { actor, status, ttl_ms }))
}

/// Where a poll ends.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PollEnd {
    count: usize,
    next_cursor: Sequence,
    waited_ms: u64,
    presence: Option<Presence>,
}

pub(crate) async fn poll(asked: Asked) -> Result<Response, Problem> {
    let PollAsked { mut filter, viewer, cursor, after_event_id, limit, timeout, listener } =
        PollAsked::read(&asked.query)?;
    let engine = &asked.app.engine;
    readgate::may_follow(engine, &mut filter, viewer.as_ref()).await?;
    let began = engine.clock.stopwatch();
    let after = match cursor {
        Some(Cursor::Latest) => engine.store.tail().head(),
        Some(Cursor::After(cursor)) => cursor,
        None => place_of(&engine.store, after_event_id).await?.unwrap_or(Sequence::START),
    };
    let presence = refresh(&asked.app, listener).await?;
    let mut follower = Follower::new(engine.store.clone(), filter.clone(), after);
    let page = wait(&asked.app, &mut follower, limit, timeout).await?;
    // A table may have closed while the poll waited.
    readgate::may_follow(engine, &mut filter, viewer.as_ref()).await?;
    let waited = engine.clock.stopwatch() - began;
    let end = PollEnd {
        count: page.events.len(),
        next_cursor: page.examined,
        waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
        presence,
    };
    Ok(answer::events("events", &page.events, &end))
}

/// Shows that the listener is there. An operator, or a store that takes no writes, may keep it from being seen, but not
/// from listening.
async fn refresh(app: &App, listener: Option<Listening>) -> Result<Option<Presence>, Problem> {
    let Some(listener) = listener else { return Ok(None) };
    match app.engine.execute_in_background(Arc::new(listener)).await {
        Ok(reply) => serde_json::from_slice(&reply.data).map(Some).map_err(|_| Problem::internal()),
        Err(Failure::Refused(_) | Failure::Unavailable(_)) => Ok(None),
        Err(failure @ (Failure::Internal(_) | Failure::Outside(_))) => Err(failure.into()),
    }
}

/// The next events; none if there are none in time, or the server stops.
async fn wait(
    app: &App,
    follower: &mut Follower,
    limit: usize,
    patience: Duration,
) -> Result<EventPage, Problem> {
    let page = follower.read(limit).await?;
    if !page.events.is_empty() {
        return Ok(EventPage { examined: follower.examined(), ..page });
    }
    let waited = tokio::select! {
        () = app.engine.stopping.cancelled() => None,
        waited = timeout(patience, follower.next(limit)) => waited.ok(),
    };
    let events = waited.transpose()?.map_or_else(Vec::new, |page| page.events);
    if events.is_empty() {
        // Nothing matched so far: the cursor moves along with what was looked at.
        follower.has_more();
    }
    Ok(EventPage { events, examined: follower.examined() })
}
