//! How a room's stream begins: with its state, a gap if events are left out, and its last events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{
    ActorId, Cursor, DomainError, EVENT_ACTOR_FILTER, EventType, Field, Fields, LIMIT, LOG_ID, STREAM_CURSOR,
    Sequence, TENANT_ID, TYPES, TenantId,
};
use agentcafe_eventlog::{
    Backlog, EventFilter, LastEventId, ReaderPosition, ResetReason, StreamItem, StreamStart,
};
use agentcafe_http::{ApiError, KnownNames, StreamProtocol};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::log_mirror::LogMirror;
use crate::replay_store::ReplayedRoom;
use crate::room::ReplayStart;
use crate::room_cache::RoomKey;
use crate::service::{RealtimeSettings, Service};

/// How many events are replayed to a client without a cursor.
const REPLAY: usize = 300;
/// The most events that a client can request.
const MAX_REPLAY: usize = 1_000;
/// The largest state, in bytes, that a WebSocket sends without a request for it: with the rest of its message it stays within
/// 1 MiB, which is the most that common clients take by default.
const MAX_STATE_BYTES: usize = 1_000_000;
/// The state of a snapshot without one.
static NO_STATE: Bytes = Bytes::from_static(b"null");
/// Whether the snapshot has the state of the room.
const STATE: Field = Field::new(
    "state",
    "Whether the snapshot has the room's state. Default: true; over a WebSocket, only a state of at most 1,000,000 bytes.",
    "false",
);
/// How long a client waits while the service receives the log after its start.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an event that the API has already shown may take to arrive.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(2);

/// The parameters of a room's stream.
pub(crate) struct RoomStreamQuery {
    pub(crate) room: RoomKey,
    actor: Option<ActorId>,
    types: Vec<String>,
    requested_cursor: Option<Cursor>,
    limit: Option<usize>,
    log_id: Option<String>,
    continues_after_reset: bool,
    /// The largest state that the snapshot has, in bytes.
    max_state_bytes: usize,
}

impl RoomStreamQuery {
    /// The tenant, the room and the actor, for the span of the request.
    pub(crate) fn ids(&self) -> [Option<String>; 3] {
        let (tenant, room) = &self.room;
        [Some(tenant.to_string()), Some(room.to_string()), self.actor.as_ref().map(ToString::to_string)]
    }

    pub(crate) fn read(
        fields: &Fields,
        default_tenant: &TenantId,
        protocol: StreamProtocol,
    ) -> Result<Self, DomainError> {
        let limit = fields.limit(REPLAY, MAX_REPLAY)?;
        let max_state_bytes =
            match (fields.text_choice(STATE, &[("true", true), ("false", false)])?, protocol) {
                (Some(false), _) => 0,
                (None, StreamProtocol::WebSocket) => MAX_STATE_BYTES,
                (Some(true), _) | (None, StreamProtocol::EventStream) => usize::MAX,
            };
        let tenant = fields.tenant(TENANT_ID)?.unwrap_or_else(|| default_tenant.clone());
        Ok(Self {
            room: (tenant, fields.room_or_main()?),
            actor: fields.actor(EVENT_ACTOR_FILTER)?,
            types: fields.names(TYPES),
            requested_cursor: fields.cursor(STREAM_CURSOR)?,
            limit: fields.text(LIMIT)?.is_some().then_some(limit),
            log_id: fields.trimmed_text(LOG_ID)?,
            continues_after_reset: fields.continues_after_reset()?,
            max_state_bytes,
        })
    }

    /// The names of its parameters.
    pub(crate) fn known_names(settings: &RealtimeSettings) -> KnownNames {
        let fields = Fields::describing();
        let _ = Self::read(&fields, &settings.default_tenant, StreamProtocol::EventStream);
        KnownNames::new(&fields.described(), &[], &settings.token.query_param)
    }

    pub(crate) fn filter(&self) -> EventFilter {
        let types: Vec<EventType> = self.types.iter().filter_map(|name| EventType::parse(name)).collect();
        EventFilter {
            tenant: Some(self.room.0.clone()),
            room: Some(self.room.1.clone()),
            actor: self.actor.clone(),
            mentioned: None,
            types: (!self.types.is_empty()).then_some(types),
        }
    }

    /// The client's position; without a cursor if it connects for the first time.
    pub(crate) fn reader(&self, last_event_id: LastEventId) -> ReaderPosition {
        let cursor = match self.requested_cursor {
            Some(Cursor::After(cursor)) => Some(cursor),
            Some(Cursor::Latest) | None => None,
        };
        let cursor = cursor.max(last_event_id.sequence()).filter(|cursor| *cursor > Sequence::START);
        ReaderPosition { cursor, log_id: self.log_id.clone() }
    }
}

/// How the stream of a client begins, and whether its cursor was checked. `ready` is the data of its `ready` message.
///
/// # Errors
/// The log was not received yet, or the API does not answer for an evicted room.
pub(crate) async fn stream_start(
    service: &Service,
    mirror: &Arc<LogMirror>,
    query: &RoomStreamQuery,
    reader: &ReaderPosition,
    mut ready: Value,
) -> Result<(StreamStart, bool), ApiError> {
    let cursor = reader.cursor;
    let mut caught_up = mirror.watch_caught_up();
    let is_late = timeout(CATCH_UP_TIMEOUT, caught_up.wait_for(|caught_up| *caught_up)).await.is_err();
    let log = mirror.log_position();
    (ready["head"], ready["logId"]) = (log.head.0.into(), mirror.log_id().into());
    let backlog = |until| Some(Backlog { until, limit: None, ready: Some(ready) });
    if is_late {
        let start = without_log(service, query, cursor).await?;
        return Ok((StreamStart { backlog: backlog(start.after), ..start }, false));
    }
    let reset = reset_reason(service, mirror, reader).await?;
    if let Some(reason) = reset.filter(|_| !query.continues_after_reset) {
        let items = StreamItem::reset(log, reason).into();
        return Ok((StreamStart { items, ..StreamStart::default() }, true));
    }
    let (state, until) = mirror.state(&query.room).await?;
    let start = match (query.requested_cursor, cursor, query.limit) {
        _ if reset.is_some() => ReplayStart { after: until, has_gap: false },
        (Some(Cursor::Latest), None, _) => ReplayStart { after: until, has_gap: false },
        // A cursor without a limit resumes: nothing is skipped.
        (_, Some(after), None) => ReplayStart { after, has_gap: false },
        (_, cursor, limit) => {
            let after = cursor.unwrap_or(Sequence::START);
            mirror.newest(&query.filter(), after, limit.unwrap_or(REPLAY)).await
        }
    };
    let mut items = VecDeque::from([snapshot(service, query, state, until)]);
    if let Some(reason) = reset {
        items.push_front(StreamItem::Reset { log, reason });
    }
    if start.has_gap {
        items.push_back(StreamItem::Gap {
            from: cursor.unwrap_or(Sequence::START),
            to: start.after,
            is_damaged: false,
        });
    }
    Ok((
        StreamStart { items, events: Vec::new(), after: start.after, backlog: backlog(until), bodies: None },
        true,
    ))
}

/// Why the client's cursor is not of the log.
///
/// # Errors
/// The source is not connected: its log may have the cursor by now.
async fn reset_reason(
    service: &Service,
    mirror: &LogMirror,
    reader: &ReaderPosition,
) -> Result<Option<ResetReason>, ApiError> {
    let reason = mirror.log_position().reset_reason(reader);
    let (Some(ResetReason::CursorAhead), Some(cursor)) = (reason, reader.cursor) else { return Ok(reason) };
    if timeout(ARRIVAL_TIMEOUT, mirror.wait_for(cursor)).await.is_ok() {
        return Ok(None);
    }
    if service.source_status.is_connected() {
        return Ok(reason);
    }
    Err(ApiError::unavailable(
        "the log was received up to an event before the cursor, and the source is not connected",
    ))
}

/// Before the log was received, the room in Redis is replayed. Without it, a client with a cursor gets what follows its cursor,
/// and a client without one has to retry.
async fn without_log(
    service: &Service,
    query: &RoomStreamQuery,
    cursor: Option<Sequence>,
) -> Result<StreamStart, ApiError> {
    let room = replayed_room(service, query, cursor).await;
    let (room, from) = match (room, cursor) {
        (Some(room), None) => (room, Sequence::START),
        (Some(room), Some(cursor)) if !room.has_gap && room.sequence >= cursor => (room, cursor),
        (_, Some(after)) => {
            let items = [snapshot(service, query, NO_STATE.clone(), after)].into();
            return Ok(StreamStart { items, after, ..StreamStart::default() });
        }
        (None, None) => {
            let why = "the log was not received yet: the source is not connected, or still read";
            return Err(ApiError::unavailable(why));
        }
    };
    let ReplayedRoom { state, sequence: after, events, has_gap } = room;
    let mut items = VecDeque::from([snapshot(service, query, state, after)]);
    if has_gap {
        let to = events.first().map_or(after, |event| Sequence(event.sequence.0 - 1));
        items.push_back(StreamItem::Gap { from, to, is_damaged: false });
    }
    Ok(StreamStart { items, events, after, ..StreamStart::default() })
}

async fn replayed_room(
    service: &Service,
    query: &RoomStreamQuery,
    cursor: Option<Sequence>,
) -> Option<ReplayedRoom> {
    let replay_store = service.settings.replay_store.as_ref()?;
    let count = match (cursor, query.limit) {
        (_, Some(limit)) => limit,
        (None, None) => REPLAY,
        (Some(_), None) => MAX_REPLAY,
    };
    let after = cursor.unwrap_or(Sequence::START);
    replay_store.room(&query.room, &query.filter(), after, count).await.ok().flatten()
}

fn snapshot(service: &Service, query: &RoomStreamQuery, state: Bytes, at: Sequence) -> StreamItem {
    let RoomStreamQuery { room: (tenant, room), actor, types, .. } = query;
    let mut data = json!({
        "tenantId": tenant, "roomId": room, "actorId": actor, "types": types,
        "lastCursor": at, "sourceConnected": service.source_status.is_connected(),
    });
    if state.len() <= query.max_state_bytes || state == NO_STATE {
        return StreamItem::Snapshot { data, state };
    }
    data["omittedStateBytes"] = state.len().into();
    StreamItem::Snapshot { data, state: NO_STATE.clone() }
}
