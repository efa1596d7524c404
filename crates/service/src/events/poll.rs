//! Long poll: the next events, as soon as there are any.

use std::time::Duration;

use agentcafe_domain::kernel::{
    AFTER_EVENT_ID, ActorId, Cursor, Field, LOG_ID, OperationError, Record, STREAM_CURSOR, Sequence,
};
use agentcafe_domain::keys::{ApiKey, Scope};
use agentcafe_domain::presence::Presence;
use agentcafe_eventlog::{Follower, LogPosition, ReaderPosition};
use agentcafe_store::{EventFilter, EventPage};
use schemars::JsonSchema;
use serde::Serialize;

use super::follow::CHECK_ACCESS_EVERY;
use super::listener::Listener;
use super::{filter, sequence_of, wants_bodies};
use crate::operation::{Call, EventList, MAX_HELD_BYTES, Operation, parameters};
use crate::read_access;

const ACTOR_ID: Field =
    Field::new("actorId", "The actor that polls. To filter by author, use authorId.", "Nova").of_caller();
const AUTHOR_ID: Field = Field::new("authorId", "Only events by this actor.", "Kai");
const HEARTBEAT: Field =
    Field::new("heartbeat", "Whether the poll keeps the actor present in the room. Default: true.", "true");
const TIMEOUT_MS: Field =
    Field::new("timeoutMs", "How long to wait for an event, in milliseconds.", "1000").in_example();
const POLL_INTERVAL_MS: Field =
    Field::new("pollIntervalMs", "Ignored: an event ends the wait at once.", "1000");
const LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;
const DEFAULT_TIMEOUT_MS: i64 = 25_000;
const MAX_TIMEOUT_MS: i64 = 30_000;

parameters! {
    /// Waits for the next events.
    PollEvents(fields) {
        filter: EventFilter = filter(fields, AUTHOR_ID)?,
        timeout_ms: i64 = fields.integer(TIMEOUT_MS, 0..=MAX_TIMEOUT_MS)?.unwrap_or(DEFAULT_TIMEOUT_MS),
        viewer: Option<ActorId> = read_access::viewer(fields)?.or(fields.actor(ACTOR_ID)?),
        cursor: Option<Cursor> = fields.cursor(STREAM_CURSOR)?,
        log_id: Option<String> = fields.trimmed_text(LOG_ID)?,
        after_event_id: Option<String> = fields.trimmed_text(AFTER_EVENT_ID)?,
        limit: usize = fields.limit(LIMIT, MAX_LIMIT)?,
        bodies: bool = wants_bodies(fields)?,
        listener: Option<Listener> = {
            let _ = fields.integer(POLL_INTERVAL_MS, 0..=i64::MAX);
            let shown = fields.flag(HEARTBEAT)?.unwrap_or_else(|| fields.has(ACTOR_ID.name));
            Listener::read(fields, &filter, ACTOR_ID, shown)?
        },
    }
}

/// Where a poll ends.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PollEnd {
    /// The number of entries in this answer.
    count: usize,
    /// The cursor to continue from; unchanged if nothing was found.
    next_cursor: Sequence,
    /// How long the poll waited, in milliseconds.
    waited_ms: u64,
    /// The presence of the actor.
    presence: Option<Presence>,
    #[serde(flatten)]
    log: LogPosition,
}

impl Operation for PollEvents {
    type Output = EventList<PollEnd>;

    /// `listen` or `follow`: it depends on what is followed.
    const SCOPES: &'static [Scope] = &[];

    async fn run(self, call: &Call<'_>) -> Result<EventList<PollEnd>, OperationError> {
        let Self {
            mut filter,
            mut timeout_ms,
            viewer,
            cursor,
            log_id,
            after_event_id,
            limit,
            bodies,
            listener,
        } = self;
        if call.caller.transport.is_probe {
            timeout_ms = 0;
        }
        let timeout = Duration::from_millis(timeout_ms.unsigned_abs());
        let (service, engine) = (call.service, &call.service.engine);
        service.may_follow(&call.caller.principal, &mut filter, viewer.as_ref()).await?;
        let began = engine.clock.stopwatch();
        let log = service.store().log_position();
        let after = match cursor {
            Some(Cursor::Latest) => log.head,
            Some(Cursor::After(cursor)) => {
                log.check(&ReaderPosition { cursor: Some(cursor), log_id })?;
                cursor
            }
            None => sequence_of(service, after_event_id).await?,
        };
        let presence = match listener.and_then(|listener| listener.permitted(call)) {
            Some(listener) => listener.show(service).await?,
            None => None,
        };
        let follower = Follower::new(engine.store.clone(), filter.clone(), after);
        let mut follower = follower.with_bodies(super::bodies(service, bodies));
        let page = wait(call, &mut follower, limit, timeout).await?;
        // The table may have closed while the poll waited.
        service.may_follow(&call.caller.principal, &mut filter, viewer.as_ref()).await?;
        let waited = engine.clock.stopwatch() - began;
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let log = service.store().log_position();
        let rest =
            PollEnd { count: page.len(), next_cursor: follower.scanned_to(), waited_ms, presence, log };
        Ok(EventList { events: page.events, later: page.later, rest })
    }
}

/// The next events; none if there are none before the timeout, or the process stops.
async fn wait(
    call: &Call<'_>,
    follower: &mut Follower,
    limit: usize,
    timeout: Duration,
) -> Result<EventPage, OperationError> {
    let page = follower.read_held(limit, MAX_HELD_BYTES).await?;
    if !page.is_empty() || timeout.is_zero() {
        return Ok(page);
    }
    let _open = call.service.open_keys.take(&call.caller.principal)?;
    let waited = tokio::select! {
        () = call.service.engine.stopping.cancelled() => None,
        waited = tokio::time::timeout(timeout, follower.next(limit, MAX_HELD_BYTES)) => waited.ok(),
        ended = access_ended(call) => return Err(ended),
    };
    if let Some(page) = waited.transpose()? {
        return Ok(page);
    }
    // Nothing matched so far: the cursor moves past what was scanned.
    follower.has_more();
    Ok(EventPage::empty(follower.scanned_to()))
}

/// Waits until what the caller came in with counts no more.
async fn access_ended(call: &Call<'_>) -> OperationError {
    let Call { service, caller, .. } = call;
    let mut changes = service.store().changed(ApiKey::TABLE);
    loop {
        // The store outlives its polls, and holds the sender. A key expires without a change.
        let _ = tokio::time::timeout(CHECK_ACCESS_EVERY, changes.changed()).await;
        if let Err(error) = service.require_live(&caller.principal).await {
            return error;
        }
    }
}
