//! Replays the last minutes of a room, and reads the room's state after them.

use std::collections::BTreeSet;

use agentcafe_domain::kernel::{
    ActorId, EVENT_ACTOR_FILTER, Event, EventType, Field, OperationError, RoomId, Sequence, TenantId,
    Timestamp, VIEWER_ACTOR_ID,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::profiles::Profile;
use agentcafe_domain::projection::themed::{ThemedSnapshot, Themes};
use agentcafe_domain::projection::{RoomProjection, RoomSnapshot};
use agentcafe_store::{EventFilter, EventQuery, LoggedEvent};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Number;

use crate::events::types;
use crate::newest_events::NewestEvents;
use crate::operation::{Call, EventList, Operation, on_blocking_thread, parameters};
use crate::read_access;
use crate::service::Service;

const MINUTES: Field = Field::new("minutes", "How far back to replay, in minutes.", "10");

/// How far back a replay goes, in minutes.
const MINUTES_RANGE: std::ops::RangeInclusive<f64> = 1.0..=120.0;
const DEFAULT_MINUTES: f64 = 10.0;
const MINUTE_MS: f64 = 60_000.0;
/// The most events of a replay; the newest are kept.
const MAX_EVENTS: usize = 5_000;
/// The most event JSON of a replay, in bytes.
const MAX_BYTES: usize = 8 << 20;
/// How many of the room's newest events are scanned.
const SCANNED: u32 = 50_000;

parameters! {
    /// Replays the last minutes of a room.
    ReplayRoom(fields) {
        actor: Option<ActorId> = fields.actor(EVENT_ACTOR_FILTER)?,
        tenant: TenantId = fields.tenant_or_default()?,
        room: RoomId = fields.room_or_main()?,
        // With an API key, the reader is never another actor by whom the request filters.
        viewer: Option<ActorId> = read_access::viewer(fields)?
            .or_else(|| fields.check_actor(VIEWER_ACTOR_ID, actor.clone()?).ok()),
        types: Option<Vec<EventType>> = types(fields),
        minutes: f64 = fields.number(MINUTES, MINUTES_RANGE)?.unwrap_or(DEFAULT_MINUTES),
    }
}

/// The period of a replay, and its first and last event.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReplayWindow {
    /// How far back the replay goes, in minutes.
    minutes: Number,
    /// The start of the time span.
    from_ts: Timestamp,
    /// The end of the time span.
    to_ts: Timestamp,
    /// The sequence of the first event; null if there is none.
    start_cursor: Option<Sequence>,
    /// The sequence of the last event; null if there is none.
    end_cursor: Option<Sequence>,
}

/// A replay, beside its events.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    tenant_id: TenantId,
    room_id: RoomId,
    /// The period of the replay.
    window: ReplayWindow,
    /// The number of entries in this answer.
    count: usize,
    /// Whether there was more than this answer holds.
    truncated: bool,
    /// The state of the room after the events.
    snapshot: ThemedSnapshot,
}

impl Operation for ReplayRoom {
    type Output = EventList<Replay>;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<EventList<Replay>, OperationError> {
        let Self { tenant: tenant_id, room: room_id, actor, viewer, types, minutes } = self;
        let service = call.service;
        service.may_replay(&tenant_id, &room_id, viewer.as_ref()).await?;
        let to_ts = service.engine.now();
        let from_ts = to_ts.plus_ms(-(minutes * MINUTE_MS).round() as i64);
        let query = EventQuery {
            from: Some(from_ts),
            to: Some(to_ts),
            max_bytes: MAX_BYTES,
            ..EventQuery::newest(EventFilter { actor, types, ..EventFilter::default() }, MAX_EVENTS)
        };
        let place = (&tenant_id, &room_id);
        let mut newest = NewestEvents::begin(service.store(), place, SCANNED, query).await?;
        let mut events = Vec::new();
        while let Some(page) = newest.page().await? {
            events.extend(page);
        }
        events.reverse();
        let truncated = newest.is_truncated().await?;
        let (tenant, room) = (tenant_id.clone(), room_id.clone());
        let (snapshot, events) = on_blocking_thread(move || (state(tenant, room, &events), events)).await?;
        let themes = themes(service, &tenant_id, snapshot.shown_actors()).await?;
        let snapshot = on_blocking_thread(move || snapshot.themed(&themes)).await?;
        let sequence = |event: Option<&LoggedEvent>| event.map(|event| event.sequence);
        let window = ReplayWindow {
            minutes: shortest(minutes),
            from_ts,
            to_ts,
            start_cursor: sequence(events.first()),
            end_cursor: sequence(events.last()),
        };
        let rest = Replay { tenant_id, room_id, window, count: events.len(), truncated, snapshot };
        Ok(EventList { events, later: Vec::new(), rest })
    }
}

/// The state of the room after these events.
fn state(tenant: TenantId, room: RoomId, events: &[LoggedEvent]) -> RoomSnapshot {
    let mut projection = RoomProjection::new(tenant, room);
    for event in events.iter().filter_map(|event| serde_json::from_slice::<Event>(&event.json).ok()) {
        projection.apply(&event);
    }
    projection.snapshot()
}

/// The themes of these actors, from their profiles.
async fn themes(
    service: &Service,
    tenant: &TenantId,
    actors: BTreeSet<ActorId>,
) -> Result<Themes, OperationError> {
    let mut themes = Themes::new();
    for actor in actors {
        let profile: Option<Profile> = service.get(vec![tenant.into(), (&actor).into()]).await?;
        themes.extend(profile.and_then(|profile| profile.theme).map(|theme| (actor, theme)));
    }
    Ok(themes)
}

/// Minutes without decimals where there are none.
fn shortest(minutes: f64) -> Number {
    let whole = (minutes.fract() == 0.0).then(|| Number::from(minutes as i64));
    whole.or_else(|| Number::from_f64(minutes)).unwrap_or_else(|| Number::from(0))
}
