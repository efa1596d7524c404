//! Reads when actors were last seen: the newest event of each.

use std::collections::{HashMap, HashSet};

use agentcafe_domain::kernel::{
    ACTOR_FILTER, ActorId, Event, EventType, Field, OperationError, ROOM_FILTER, RecordQuery, RoomId,
    Sequence, TenantId, Timestamp,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::presence::{Presence, Status};
use agentcafe_store::{EventFilter, EventPage, EventQuery, LoggedEvent};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::operation::{Call, Operation, on_blocking_thread, parameters};
use crate::read_access;

const INCLUDE_SYSTEM_ACTORS: Field =
    Field::new("includeSystemActors", "Whether to list the actor `system`. Default: false.", "true");
const SCAN_LIMIT: Field = Field::new("scanLimit", "How many of the newest events to scan.", "1000");

const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;
const MAX_SCANNED: usize = 5_000;
/// How many events are scanned for each requested actor, unless the request has another number.
const SCANNED_PER_ACTOR: usize = 20;

parameters! {
    /// Reads when actors were last seen.
    ReadLastSeen(fields) {
        tenant: TenantId = fields.tenant_or_default()?,
        limit: usize = fields.limit(LIMIT, MAX_LIMIT)?,
        /// How many of the newest events are scanned.
        scanned: Option<i64> = fields.integer(SCAN_LIMIT, 1..=MAX_SCANNED as i64)?,
        room: Option<RoomId> = fields.room(ROOM_FILTER)?,
        actor: Option<ActorId> = fields.actor(ACTOR_FILTER)?,
        viewer: Option<ActorId> = read_access::viewer(fields)?,
        include_system: bool = fields.flag(INCLUDE_SYSTEM_ACTORS)?.unwrap_or(false),
    }
}

/// When an actor was last seen doing something.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ActorLastSeen")]
pub struct LastSeen {
    actor_id: ActorId,
    /// The actor's last event, and when it happened.
    last_seen: Timestamp,
    /// The last event by the actor.
    last_event_id: Uuid,
    /// The type of that event.
    last_event_type: EventType,
    /// The sequence of that event.
    last_sequence: Sequence,
    /// What the actor is doing.
    status: Option<Status>,
    /// Whether the actor is present.
    is_active: Option<bool>,
    /// When the actor last sent a heartbeat.
    last_heartbeat_at: Option<Timestamp>,
}

/// One actor.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OneLastSeen {
    actor_id: ActorId,
    /// The actor's last event, and when it happened.
    last_seen: Option<LastSeen>,
    /// Whether the log has more events than were scanned.
    scan_limit_reached: bool,
}

/// Many actors, the last seen first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastSeenList {
    tenant_id: TenantId,
    room_id: Option<RoomId>,
    /// One entry for each actor.
    actors: Vec<LastSeen>,
    /// The number of entries in this answer.
    count: usize,
    /// Whether the log has more events than were scanned.
    scan_limit_reached: bool,
}

/// One actor, or many.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum LastSeenAnswer {
    /// With an actor.
    One(OneLastSeen),
    /// Otherwise.
    List(LastSeenList),
}

impl Operation for ReadLastSeen {
    type Output = LastSeenAnswer;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<LastSeenAnswer, OperationError> {
        let Self { tenant, limit, scanned, room, actor, viewer, include_system } = self;
        let scanned = scanned.and_then(|scanned| usize::try_from(scanned).ok());
        let scan_limit = scanned.unwrap_or(limit * SCANNED_PER_ACTOR).clamp(limit, MAX_SCANNED);
        call.service.may_list(&tenant, room.as_ref(), viewer.as_ref()).await?;
        let filter = EventFilter {
            tenant: Some(tenant.clone()),
            room: room.clone(),
            actor: actor.clone(),
            ..EventFilter::default()
        };
        let EventPage { events, cut, .. } =
            call.service.store().events(EventQuery::newest(filter, scan_limit)).await?;
        let scan_limit_reached = cut.is_some();
        let mut actors = on_blocking_thread(move || newest_by_actor(&events, include_system, limit)).await?;
        if let Some(room) = &room {
            let present = RecordQuery::all::<Presence>("updated_at", MAX_LIMIT)
                .newest_first()
                .is("tenant_id", &tenant)
                .is("room_id", room)
                .is_if_given("actor_id", actor.as_ref());
            add_presence(&mut actors, call.service.find(present).await?);
        }
        Ok(match actor {
            Some(actor_id) => {
                LastSeenAnswer::One(OneLastSeen { actor_id, last_seen: actors.pop(), scan_limit_reached })
            }
            None => LastSeenAnswer::List(LastSeenList {
                tenant_id: tenant,
                room_id: room,
                count: actors.len(),
                actors,
                scan_limit_reached,
            }),
        })
    }
}

/// The newest event of each actor. An event that the system or an operator made for an actor does not show that the actor
/// was there.
fn newest_by_actor(events: &[LoggedEvent], include_system: bool, limit: usize) -> Vec<LastSeen> {
    let mut actors: Vec<LastSeen> = Vec::new();
    let mut known = HashSet::new();
    for event in events.iter().filter_map(|event| serde_json::from_slice::<Event>(&event.json).ok()) {
        if actors.len() == limit {
            break;
        }
        let source = event.payload.get("source").and_then(serde_json::Value::as_str);
        let by_others = matches!(source, Some("system" | "operator"));
        let hidden = event.actor_id.as_str() == "system" && !include_system;
        if by_others || hidden || !known.insert(event.actor_id.clone()) {
            continue;
        }
        actors.push(LastSeen {
            actor_id: event.actor_id,
            last_seen: event.timestamp,
            last_event_id: event.event_id,
            last_event_type: event.kind,
            last_sequence: event.sequence,
            status: None,
            is_active: None,
            last_heartbeat_at: None,
        });
    }
    actors
}

fn add_presence(actors: &mut [LastSeen], present: Vec<Presence>) {
    let by_actor: HashMap<_, _> =
        present.into_iter().map(|presence| (presence.actor_id.clone(), presence)).collect();
    for actor in actors {
        if let Some(presence) = by_actor.get(&actor.actor_id) {
            actor.status = Some(presence.status);
            actor.is_active = Some(presence.is_active);
            actor.last_heartbeat_at = Some(presence.last_heartbeat_at);
        }
    }
}
