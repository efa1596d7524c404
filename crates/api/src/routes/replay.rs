//! `GET /v1/replay`: what happened in a room in the last minutes, and what the room looks like after it.

use std::collections::BTreeSet;

use agentcafe_domain::{
    kernel::{
        error::DomainError,
        event::{Event, EventType},
        fields::Fields,
        ids::{ActorId, RoomId, Sequence, TenantId},
        time::Timestamp,
    },
    profiles::Profile,
    projection::{
        RoomProjection, RoomSnapshot,
        themed::{ThemedSnapshot, Themes},
    },
};
use agentcafe_store::{EventFilter, LoggedEvent, ReadError, Store};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Number;

use super::events::types;
use crate::{
    answer,
    error::ApiError,
    input::ReadRequest,
    newest::{Newest, Wanted},
    read_access,
};

/// How far back a replay goes, in minutes.
const MINUTES: std::ops::RangeInclusive<f64> = 1.0..=120.0;
const DEFAULT_MINUTES: f64 = 10.0;
const MINUTE_MS: f64 = 60_000.0;
/// The most events of a replay; the newest are kept.
const MAX_EVENTS: usize = 5_000;
/// The most event JSON of a replay, in bytes.
const MAX_BYTES: usize = 16 << 20;
/// How many of the room's newest events are looked at.
const LOOK_BACK: u32 = 50_000;

/// What is to be replayed.
pub(crate) struct ReplayQuery {
    tenant: TenantId,
    room: RoomId,
    actor: Option<ActorId>,
    viewer: Option<ActorId>,
    types: Option<Vec<EventType>>,
    minutes: f64,
}

impl ReplayQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        let actor = query.actor("actorId")?;
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?.unwrap_or_else(RoomId::main),
            viewer: read_access::viewer(query)?.or_else(|| actor.clone()),
            actor,
            types: types(query),
            minutes: query.number("minutes", MINUTES)?.unwrap_or(DEFAULT_MINUTES),
        })
    }

    fn wanted(&self, from: Timestamp, to: Timestamp) -> Wanted {
        let filter =
            EventFilter { actor: self.actor.clone(), types: self.types.clone(), ..EventFilter::default() };
        Wanted {
            tenant: self.tenant.clone(),
            room: self.room.clone(),
            filter,
            from: Some(from),
            to: Some(to),
            limit: MAX_EVENTS,
            max_bytes: MAX_BYTES,
            look_back: LOOK_BACK,
        }
    }
}

/// From when to when, and from which event to which.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Window {
    minutes: Number,
    from_ts: Timestamp,
    to_ts: Timestamp,
    start_cursor: Option<Sequence>,
    end_cursor: Option<Sequence>,
}

/// What a replay tells beside its events.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Replayed {
    tenant_id: TenantId,
    room_id: RoomId,
    window: Window,
    count: usize,
    truncated: bool,
    snapshot: ThemedSnapshot,
}

pub(crate) async fn replay(request: ReadRequest) -> Result<Response, ApiError> {
    let replay = ReplayQuery::read(&request.query)?;
    let engine = &request.app.engine;
    let (tenant, room) = (replay.tenant.clone(), replay.room.clone());
    read_access::may_replay(engine, &tenant, &room, replay.viewer.as_ref()).await?;
    let to_ts = engine.now();
    let from_ts = to_ts.plus_ms(-(replay.minutes * MINUTE_MS).round() as i64);
    let mut newest = Newest::begin(&engine.store, replay.wanted(from_ts, to_ts)).await?;
    let mut events = Vec::new();
    while let Some(page) = newest.page().await? {
        events.extend(page);
    }
    events.reverse();
    let truncated = newest.is_truncated().await?;
    // Thousands of events are parsed and rendered: not on a thread that answers others.
    let folded = tokio::task::spawn_blocking(move || (projection(tenant, room, &events), events)).await;
    let (snapshot, events) = folded.map_err(|_| ApiError::internal())?;
    let themes = themes(&engine.store, &replay.tenant, snapshot.shown_actors()).await?;
    let place = |event: Option<&LoggedEvent>| event.map(|event| event.sequence);
    let window = Window {
        minutes: shortest(replay.minutes),
        from_ts,
        to_ts,
        start_cursor: place(events.first()),
        end_cursor: place(events.last()),
    };
    let rendered = tokio::task::spawn_blocking(move || {
        let (tenant_id, room_id, count) = (replay.tenant, replay.room, events.len());
        let snapshot = snapshot.themed(&themes);
        let rest = Replayed { tenant_id, room_id, window, count, truncated, snapshot };
        answer::events("events", &events, &rest)
    });
    rendered.await.map_err(|_| ApiError::internal())
}

fn projection(tenant: TenantId, room: RoomId, events: &[LoggedEvent]) -> RoomSnapshot {
    let mut projection = RoomProjection::new(tenant, room);
    for event in events.iter().filter_map(|event| serde_json::from_slice::<Event>(&event.json).ok()) {
        projection.apply(&event);
    }
    projection.snapshot()
}

/// The themes of these actors, from their profiles.
async fn themes(store: &Store, tenant: &TenantId, actors: BTreeSet<ActorId>) -> Result<Themes, ReadError> {
    let mut themes = Themes::new();
    for actor in actors {
        let profile: Option<Profile> = store.get(vec![tenant.into(), (&actor).into()]).await?;
        themes.extend(profile.and_then(|profile| profile.theme).map(|theme| (actor, theme)));
    }
    Ok(themes)
}

/// Minutes as they are mostly asked for: without decimals if there are none.
fn shortest(minutes: f64) -> Number {
    let whole = (minutes.fract() == 0.0).then(|| Number::from(minutes as i64));
    whole.or_else(|| Number::from_f64(minutes)).unwrap_or_else(|| Number::from(0))
}
