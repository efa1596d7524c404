//! `GET /v1/events/poll`: the next events, as soon as there are any.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::{
    kernel::{
        actor::ActorInRoom,
        error::DomainError,
        fields::{Cursor, Fields},
        ids::{ActorId, Sequence},
    },
    presence::{Listening, Presence, Status, TTL_MS},
};
use agentcafe_eventlog::Follower;
use agentcafe_store::{EventFilter, EventPage, Failure};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::events::{filter, place_of};
use crate::{answer, app::App, error::ApiError, input::ReadRequest, read_access};

const LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;
const TIMEOUT_MS: i64 = 25_000;
const MAX_TIMEOUT_MS: i64 = 30_000;

/// What a poll asks for.
pub(crate) struct PollQuery {
    filter: EventFilter,
    viewer: Option<ActorId>,
    cursor: Option<Cursor>,
    after_event_id: Option<String>,
    limit: usize,
    timeout: Duration,
    listener: Option<Listening>,
}

impl PollQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        let filter = filter(query, "authorId")?;
        let timeout_ms = query.integer("timeoutMs", 0..=MAX_TIMEOUT_MS)?.unwrap_or(TIMEOUT_MS);
        Ok(Self {
            viewer: read_access::viewer(query)?.or(query.actor("actorId")?),
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
fn listener(query: &Fields, filter: &EventFilter) -> Result<Option<Listening>, DomainError> {
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

pub(crate) async fn poll(request: ReadRequest) -> Result<Response, ApiError> {
    let PollQuery { mut filter, viewer, cursor, after_event_id, limit, timeout, listener } =
        PollQuery::read(&request.query)?;
    let engine = &request.app.engine;
    read_access::may_follow(engine, &mut filter, viewer.as_ref()).await?;
    let began = engine.clock.stopwatch();
    let after = match cursor {
        Some(Cursor::Latest) => engine.store.recent_events().head(),
        Some(Cursor::After(cursor)) => cursor,
        None => place_of(&engine.store, after_event_id).await?.unwrap_or(Sequence::START),
    };
    let presence = refresh(&request.app, listener).await?;
    let mut follower = Follower::new(engine.store.clone(), filter.clone(), after);
    let page = wait(&request.app, &mut follower, limit, timeout).await?;
    // A table may have closed while the poll waited.
    read_access::may_follow(engine, &mut filter, viewer.as_ref()).await?;
    let waited = engine.clock.stopwatch() - began;
    let end = PollEnd {
        count: page.events.len(),
        next_cursor: page.scanned_to,
        waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
        presence,
    };
    Ok(answer::events("events", &page.events, &end))
}

/// Shows that the listener is there. An operator, or a store that takes no writes, may keep it from being seen, but not
/// from listening.
async fn refresh(app: &App, listener: Option<Listening>) -> Result<Option<Presence>, ApiError> {
    let Some(listener) = listener else { return Ok(None) };
    match app.engine.execute_in_background(Arc::new(listener)).await {
        Ok(reply) => serde_json::from_slice(&reply.data).map(Some).map_err(|_| ApiError::internal()),
        Err(Failure::Refused(_) | Failure::Unavailable(_)) => Ok(None),
        Err(failure @ (Failure::Internal(_) | Failure::External(_))) => Err(failure.into()),
    }
}

/// The next events; none if there are none in time, or the server stops.
async fn wait(
    app: &App,
    follower: &mut Follower,
    limit: usize,
    timeout: Duration,
) -> Result<EventPage, ApiError> {
    let page = follower.read(limit).await?;
    if !page.events.is_empty() {
        return Ok(EventPage { scanned_to: follower.scanned_to(), ..page });
    }
    let waited = tokio::select! {
        () = app.engine.stopping.cancelled() => None,
        waited = tokio::time::timeout(timeout, follower.next(limit)) => waited.ok(),
    };
    let events = waited.transpose()?.map_or_else(Vec::new, |page| page.events);
    if events.is_empty() {
        // Nothing matched so far: the cursor moves along with what was looked at.
        follower.has_more();
    }
    Ok(EventPage { events, scanned_to: follower.scanned_to() })
}
