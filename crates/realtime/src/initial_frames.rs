//! The first frames of a room's stream: its state, a gap if events are skipped, and the last events from Redis.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{
    ActorId, Cursor, DomainError, EVENT_ACTOR_FILTER, EventType, Fields, LIMIT, STREAM_CURSOR, Sequence,
    TENANT_ID, TYPES, TenantId,
};
use agentcafe_eventlog::EventFilter;
use agentcafe_http::{ApiError, StreamProtocol};
use bytes::{Bytes, BytesMut};
use serde_json::json;
use tokio::time::timeout;

use crate::log_mirror::LogMirror;
use crate::replay_store::ReplayedRoom;
use crate::room::ReplayStart;
use crate::room_cache::RoomKey;
use crate::service::Service;

/// How many events are replayed to a client without a cursor.
const REPLAY: usize = 300;
/// The most events that a client can request.
const MAX_REPLAY: usize = 1_000;
/// How long a client waits while the service receives the log after its start.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// The parameters of a room's stream.
pub(crate) struct RoomStreamQuery {
    pub(crate) room: RoomKey,
    actor: Option<ActorId>,
    types: Vec<String>,
    requested_cursor: Option<Cursor>,
    limit: Option<usize>,
}

impl RoomStreamQuery {
    pub(crate) fn read(fields: &Fields, default_tenant: &TenantId) -> Result<Self, DomainError> {
        let limit = fields.limit(REPLAY, MAX_REPLAY)?;
        let tenant = fields.tenant(TENANT_ID)?.unwrap_or_else(|| default_tenant.clone());
        Ok(Self {
            room: (tenant, fields.room_or_main()?),
            actor: fields.actor(EVENT_ACTOR_FILTER)?,
            types: fields.names(TYPES),
            requested_cursor: fields.cursor(STREAM_CURSOR)?,
            limit: fields.text(LIMIT)?.is_some().then_some(limit),
        })
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

    /// The client's cursor; none if it connects for the first time.
    pub(crate) fn cursor(&self, last_event_id: Option<Sequence>) -> Option<Sequence> {
        let cursor = match self.requested_cursor {
            Some(Cursor::After(cursor)) => Some(cursor),
            Some(Cursor::Latest) | None => None,
        };
        cursor.max(last_event_id).filter(|cursor| *cursor > Sequence::START)
    }
}

/// The first frames of a stream, and where its follower starts.
pub(crate) struct InitialFrames {
    /// The `snapshot`, a `gap`, events.
    pub(crate) frames: VecDeque<Bytes>,
    /// The number of events in the frames.
    pub(crate) replayed: usize,
    /// The cursor of the follower.
    pub(crate) after: Sequence,
    /// The last event before the client connected: after it, the stream is live.
    pub(crate) until: Sequence,
}

/// Renders the first frames of a stream.
///
/// # Errors
/// The log was not received yet, or the API does not answer for an evicted room.
pub(crate) async fn initial_frames(
    service: &Service,
    mirror: &Arc<LogMirror>,
    query: &RoomStreamQuery,
    cursor: Option<Sequence>,
    protocol: StreamProtocol,
) -> Result<InitialFrames, ApiError> {
    let renderer = InitialFrameRenderer { service, query, protocol };
    let mut caught_up = mirror.watch_caught_up();
    if timeout(CATCH_UP_TIMEOUT, caught_up.wait_for(|caught_up| *caught_up)).await.is_err() {
        return renderer.without_log(cursor).await;
    }
    let (state, until) = mirror.state(&query.room).await?;
    let start = match (query.requested_cursor, cursor, query.limit) {
        (Some(Cursor::Latest), None, _) => ReplayStart { after: until, has_gap: false },
        // A cursor without a limit resumes: nothing is skipped.
        (_, Some(after), None) => ReplayStart { after, has_gap: false },
        (_, cursor, limit) => {
            let after = cursor.unwrap_or(Sequence::START);
            mirror.newest(&query.filter(), after, limit.unwrap_or(REPLAY)).await
        }
    };
    let mut frames = renderer.snapshot(state, until);
    if start.has_gap {
        frames.push_back(renderer.gap(cursor, start.after));
    }
    Ok(InitialFrames { frames, replayed: 0, after: start.after, until })
}

struct InitialFrameRenderer<'a> {
    service: &'a Service,
    query: &'a RoomStreamQuery,
    protocol: StreamProtocol,
}

impl InitialFrameRenderer<'_> {
    /// Before the log was received, the room in Redis is replayed. Without it, a client with a cursor gets what follows its cursor,
    /// and a client without one has to retry.
    async fn without_log(&self, cursor: Option<Sequence>) -> Result<InitialFrames, ApiError> {
        let room = self.replayed_room(cursor).await;
        let (room, after) = match (room, cursor) {
            (Some(room), None) => (room, Sequence::START),
            (Some(room), Some(cursor)) if !room.has_gap && room.sequence >= cursor => (room, cursor),
            (_, Some(cursor)) => {
                let frames = self.snapshot(Bytes::from_static(b"null"), cursor);
                return Ok(InitialFrames { frames, replayed: 0, after: cursor, until: cursor });
            }
            (None, None) => {
                let why = "the log was not received yet: the source is not connected, or still read";
                return Err(ApiError::unavailable(why));
            }
        };
        let mut frames = self.snapshot(room.state, room.sequence);
        if room.has_gap {
            let up_to = room.events.first().map_or(room.sequence, |event| Sequence(event.sequence.0 - 1));
            frames.push_back(self.gap(Some(after), up_to));
        }
        let (encoder, mut events) = (self.protocol.encoder(), BytesMut::new());
        room.events.iter().for_each(|event| (encoder.encode)(event, &mut events));
        if !events.is_empty() {
            frames.push_back(events.freeze());
        }
        Ok(InitialFrames { frames, replayed: room.events.len(), after: room.sequence, until: room.sequence })
    }

    async fn replayed_room(&self, cursor: Option<Sequence>) -> Option<ReplayedRoom> {
        let replay_store = self.service.settings.replay_store.as_ref()?;
        let count = match (cursor, self.query.limit) {
            (_, Some(limit)) => limit,
            (None, None) => REPLAY,
            (Some(_), None) => MAX_REPLAY,
        };
        let after = cursor.unwrap_or(Sequence::START);
        replay_store.room(&self.query.room, &self.query.filter(), after, count).await.ok().flatten()
    }

    /// The `snapshot` frame. The room's state is the last member of its data, and clients share its bytes.
    fn snapshot(&self, state: Bytes, at: Sequence) -> VecDeque<Bytes> {
        let RoomStreamQuery { room: (tenant, room), actor, types, .. } = self.query;
        let data = json!({
            "tenantId": tenant, "roomId": room, "actorId": actor, "types": types,
            "lastCursor": at, "sourceConnected": self.service.source_status.is_connected(),
        });
        let data = data.to_string();
        let before = format!(r#"{},"state":"#, data.strip_suffix('}').unwrap_or_default());
        let [head, tail] = self.protocol.control_around("snapshot", before.as_bytes(), state.len(), b"}");
        VecDeque::from([head, state, tail])
    }

    fn gap(&self, from: Option<Sequence>, to: Sequence) -> Bytes {
        let from = from.unwrap_or(Sequence::START);
        self.protocol.control("gap", &json!({ "fromCursor": from, "toCursor": to }))
    }
}
