//! Follows the log: what is stored after a cursor, then what comes.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{
    ActorId, Code, Cursor, DomainError, EVENT_ACTOR_FILTER, EVENT_TENANT_FILTER, Field, Fields, LIMIT,
    LOG_ID, OperationError, ROOM_FILTER, Record, STREAM_CURSOR, Sequence, TYPES, VIEWER_ACTOR_ID,
};
use agentcafe_domain::keys::{ApiKey, Principal, Scope};
use agentcafe_eventlog::{
    Backlog, EventFilter, LastEventId, LogStream, OpenKey, ReaderPosition, StreamItem, StreamStart,
    Subscriber,
};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::task::AbortOnDropHandle;

use super::listener::Listener;
use super::{filter, wants_bodies};
use crate::operation::{Call, Operation, parameters};
use crate::read_access;
use crate::service::Service;

const HEARTBEAT: Field = Field::new(
    "heartbeat",
    "Whether the stream keeps its actor (viewerActorId) present in the room while it is open. Default: false.",
    "true",
);

const MAX_BACKLOG: usize = 5_000;
/// How often it is checked whether the subscriber may still read what it follows: tables close, and keys are revoked, while
/// streams are open.
pub(super) const CHECK_ACCESS_EVERY: Duration = Duration::from_secs(5);

parameters! {
    /// Follows the log.
    FollowEvents(fields, input) {
        /// The most events of the backlog, if the caller sets a limit.
        backlog_limit: Option<usize> = {
            let limit = fields.limit(MAX_BACKLOG, MAX_BACKLOG)?;
            fields.text(LIMIT)?.map(|_| limit)
        },
        filter: EventFilter = filter(fields, EVENT_ACTOR_FILTER)?,
        viewer: Option<ActorId> = read_access::viewer(fields)?,
        cursor: Option<Cursor> = fields.cursor(STREAM_CURSOR)?,
        types: Vec<String> = fields.names(TYPES),
        last_event_id: LastEventId = input.last_event_id,
        log_id: Option<String> = fields.trimmed_text(LOG_ID)?,
        bodies: bool = wants_bodies(fields)?,
        continues_after_reset: bool = fields.continues_after_reset()?,
        listener: Option<Listener> = listener(fields, &filter)?,
    }
}

/// Reads whose presence the stream keeps up.
fn listener(fields: &Fields, filter: &EventFilter) -> Result<Option<Listener>, DomainError> {
    let shown = fields.flag(HEARTBEAT)?.unwrap_or(false);
    let listener = Listener::read(fields, filter, VIEWER_ACTOR_ID, shown)?;
    if shown && listener.is_none() {
        let missing = match (&filter.tenant, &filter.room) {
            (None, _) => EVENT_TENANT_FILTER,
            (_, None) => ROOM_FILTER,
            _ => VIEWER_ACTOR_ID,
        };
        let message = "heartbeat=true needs tenantId, roomId and viewerActorId";
        return Err(DomainError::missing(missing.name).saying(message));
    }
    Ok(listener)
}

/// The events that an operation follows.
pub type FollowedEvents = LogStream<LogSubscriber>;

/// The owner of an open stream.
pub struct LogSubscriber {
    service: Arc<Service>,
    principal: Principal,
    viewer: Option<ActorId>,
    /// When access was checked last, on the engine's stopwatch; none: it is due.
    checked_at: Option<Duration>,
    /// The changes of API keys: the first one ends what was open to everybody.
    key_changes: watch::Receiver<u64>,
    /// There is a limit on how many streams are open.
    _permit: OwnedSemaphorePermit,
    /// And on how many of an API key are.
    _key: OpenKey,
    /// Keeps the actor present.
    _presence: Option<AbortOnDropHandle<()>>,
}

impl Subscriber for LogSubscriber {
    async fn check_access(&mut self, filter: &EventFilter) -> Result<(), Code> {
        let now = self.service.engine.clock.stopwatch();
        let is_due = |checked_at| now.saturating_sub(checked_at) >= CHECK_ACCESS_EVERY;
        if self.checked_at.is_none_or(is_due) {
            let allowed =
                self.service.may_follow(&self.principal, &mut filter.clone(), self.viewer.as_ref()).await;
            allowed.map_err(|error| error.error.code)?;
            self.checked_at = Some(now);
        }
        Ok(())
    }

    async fn access_changed(&mut self) {
        // The store outlives its streams, and holds the sender.
        if self.key_changes.changed().await.is_ok() { self.checked_at = None } else { pending().await }
    }
}

impl Operation for FollowEvents {
    type Output = FollowedEvents;

    /// `listen` or `follow`: it depends on what is followed.
    const SCOPES: &'static [Scope] = &[];

    const SUFFICIENT_SCOPE: Option<Scope> = Some(Scope::Follow);

    async fn run(self, call: &Call<'_>) -> Result<FollowedEvents, OperationError> {
        let Self {
            mut filter,
            viewer,
            cursor,
            backlog_limit,
            types,
            last_event_id,
            log_id,
            bodies,
            listener,
            ..
        } = self;
        let service = Arc::clone(call.service);
        let principal = call.caller.principal.clone();
        service.may_follow(&principal, &mut filter, viewer.as_ref()).await?;
        let log = service.store().log_position();
        let head = log.head;
        let (given, start) = match cursor {
            Some(Cursor::Latest) => (None, head),
            Some(Cursor::After(cursor)) => (Some(cursor), cursor),
            None => (None, Sequence::START),
        };
        let reader = ReaderPosition { cursor: given.max(last_event_id.sequence()), log_id };
        let reset = log.reset_reason(&reader);
        let after = if reset.is_some() { head } else { reader.cursor.unwrap_or(start) };
        let key = service.open_keys.take(&principal)?;
        let permit = Arc::clone(&service.streams).try_acquire_owned().map_err(|_| {
            let limit = service.settings.max_streams;
            OperationError::unavailable(&format!("all {limit} streams are taken (API_STREAM_MAX_CLIENTS)"))
        })?;
        let presence = match listener.and_then(|listener| listener.permitted(call)) {
            Some(listener) => Some(listener.keep_shown(&service).await?),
            None => None,
        };
        let ready = StreamItem::Ready(json!({
            "tenantId": filter.tenant, "roomId": filter.room, "actorId": filter.actor,
            "cursor": after, "types": types, "head": head, "logId": log.log_id,
            "lastEventIdIgnored": last_event_id == LastEventId::Foreign,
        }));
        let items = match reset {
            None => VecDeque::from([ready]),
            Some(reason) if self.continues_after_reset => [StreamItem::Reset { log, reason }, ready].into(),
            Some(reason) => StreamItem::reset(log, reason).into(),
        };
        let backlog = backlog_limit.map(|limit| Backlog { until: head, limit: Some(limit), ready: None });
        let bodies = super::bodies(&service, bodies);
        let start = StreamStart { items, after, backlog, bodies, ..StreamStart::default() };
        let (hub, log) = (service.stream_hub(), Arc::clone(&service.engine.store));
        let checked_at = Some(service.engine.clock.stopwatch());
        let key_changes = service.store().changed(ApiKey::TABLE);
        let subscriber = LogSubscriber {
            principal,
            viewer,
            checked_at,
            key_changes,
            service,
            _permit: permit,
            _key: key,
            _presence: presence,
        };
        Ok(LogStream::open(hub, log, filter, start, subscriber))
    }
}
