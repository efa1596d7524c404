//! What a client is told first: what the room looks like, and what happened last.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use agentcafe_domain::kernel::{
    error::DomainError,
    event::EventType,
    fields::{Cursor, Fields},
    ids::{ActorId, RoomId, Sequence, TenantId},
};
use agentcafe_eventlog::EventFilter;
use agentcafe_http::{ApiError, StreamProtocol};
use bytes::{Bytes, BytesMut};
use serde_json::json;
use tokio::time::timeout;

use crate::{archive::Left, hub::Hub, room::Beginning, rooms::RoomKey, service::Service};

/// How many events of a room are replayed to a client that does not say where it was.
const REPLAY: usize = 300;
/// The most that a client can ask for.
const MAX_REPLAY: usize = 1_000;
/// How long a client waits while the service takes in the log after its start.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// What a client asks for.
pub(crate) struct StreamQuery {
    pub(crate) room: RoomKey,
    actor: Option<ActorId>,
    types: Vec<String>,
    cursor: Option<Cursor>,
    limit: Option<usize>,
}

impl StreamQuery {
    pub(crate) fn read(query: &Fields, default_tenant: &TenantId) -> Result<Self, DomainError> {
        let limit = query.limit(REPLAY, MAX_REPLAY)?;
        let tenant = query.tenant("tenantId")?.unwrap_or_else(|| default_tenant.clone());
        Ok(Self {
            room: (tenant, query.room("roomId")?.unwrap_or_else(RoomId::main)),
            actor: query.actor("actorId")?,
            types: query.names("types"),
            cursor: query.cursor("cursor")?,
            limit: query.text("limit")?.is_some().then_some(limit),
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

    /// Where the client was; none if it comes for the first time.
    pub(crate) fn place(&self, last_event_id: Option<Sequence>) -> Option<Sequence> {
        let cursor = match self.cursor {
            Some(Cursor::After(cursor)) => Some(cursor),
            Some(Cursor::Latest) | None => None,
        };
        cursor.max(last_event_id).filter(|place| *place > Sequence::START)
    }
}

/// What a client is told before everything that comes.
pub(crate) struct Introduction {
    /// What is said at once, in pieces: the `snapshot`, a `gap`, events.
    pub(crate) pieces: VecDeque<Bytes>,
    /// How many events are in the pieces.
    pub(crate) replayed: usize,
    /// Where what follows begins.
    pub(crate) after: Sequence,
    /// Up to where it is told what happened before it came.
    pub(crate) until: Sequence,
}

/// Finds out what a client is told first.
///
/// # Errors
/// The log is not known yet, or what was forgotten of it cannot be asked for.
pub(crate) async fn introduce(
    service: &Service,
    hub: &Arc<Hub>,
    asked: &StreamQuery,
    place: Option<Sequence>,
    protocol: StreamProtocol,
) -> Result<Introduction, ApiError> {
    let opening = Opening { service, asked, protocol };
    let mut catching_up = hub.watch_catching_up();
    if timeout(CATCH_UP_TIMEOUT, catching_up.wait_for(|caught_up| *caught_up)).await.is_err() {
        return opening.without_log(place).await;
    }
    let (state, until) = hub.state(&asked.room).await?;
    let beginning = match (asked.cursor, place, asked.limit) {
        (Some(Cursor::Latest), None, _) => Beginning { after: until, leaves_out: false },
        // Whoever says where it was and not how much it wants is told everything.
        (_, Some(place), None) => Beginning { after: place, leaves_out: false },
        (_, place, limit) => {
            let after = place.unwrap_or(Sequence::START);
            hub.newest(&asked.filter(), after, limit.unwrap_or(REPLAY)).await
        }
    };
    let mut pieces = opening.snapshot(state, until);
    if beginning.leaves_out {
        pieces.push_back(opening.gap(place, beginning.after));
    }
    Ok(Introduction { pieces, replayed: 0, after: beginning.after, until })
}

struct Opening<'a> {
    service: &'a Service,
    asked: &'a StreamQuery,
    protocol: StreamProtocol,
}

impl Opening<'_> {
    /// Before the log is known there is what the projector left. Without that, one that was here before is told what comes
    /// behind its place, and others come back later.
    async fn without_log(&self, place: Option<Sequence>) -> Result<Introduction, ApiError> {
        let left = self.left(place).await;
        let (left, after) = match (left, place) {
            (Some(left), None) => (left, Sequence::START),
            (Some(left), Some(place)) if !left.leaves_out && left.at >= place => (left, place),
            (_, Some(place)) => {
                let pieces = self.snapshot(Bytes::from_static(b"null"), place);
                return Ok(Introduction { pieces, replayed: 0, after: place, until: place });
            }
            (None, None) => {
                let why = "the log is not known yet: the source is not connected, or still read";
                return Err(ApiError::unavailable(why));
            }
        };
        let mut pieces = self.snapshot(left.state, left.at);
        if left.leaves_out {
            let up_to = left.events.first().map_or(left.at, |event| Sequence(event.sequence.0 - 1));
            pieces.push_back(self.gap(Some(after), up_to));
        }
        let (encoder, mut frames) = (self.protocol.encoder(), BytesMut::new());
        left.events.iter().for_each(|event| (encoder.encode)(event, &mut frames));
        if !frames.is_empty() {
            pieces.push_back(frames.freeze());
        }
        Ok(Introduction { pieces, replayed: left.events.len(), after: left.at, until: left.at })
    }

    async fn left(&self, place: Option<Sequence>) -> Option<Left> {
        let archive = self.service.settings.archive.as_ref()?;
        let count = match (place, self.asked.limit) {
            (_, Some(limit)) => limit,
            (None, None) => REPLAY,
            (Some(_), None) => MAX_REPLAY,
        };
        let after = place.unwrap_or(Sequence::START);
        archive.left(&self.asked.room, &self.asked.filter(), after, count).await.ok().flatten()
    }

    /// The `snapshot` frame: its data, with the room's state as a last member, which all who ask for it share.
    fn snapshot(&self, state: Bytes, at: Sequence) -> VecDeque<Bytes> {
        let StreamQuery { room: (tenant, room), actor, types, .. } = self.asked;
        let data = json!({
            "tenantId": tenant, "roomId": room, "actorId": actor, "types": types,
            "lastCursor": at, "sourceConnected": self.service.standing.is_connected(),
        });
        let data = data.to_string();
        let before = format!(r#"{},"state":"#, data.strip_suffix('}').unwrap_or_default());
        let [head, foot] = self.protocol.control_around("snapshot", before.as_bytes(), state.len(), b"}");
        VecDeque::from([head, state, foot])
    }

    fn gap(&self, from: Option<Sequence>, to: Sequence) -> Bytes {
        let from = from.unwrap_or(Sequence::START);
        self.protocol.control("gap", &json!({ "fromCursor": from, "toCursor": to }))
    }
}
