//! `GET /v1/collaboration/score`: how much those in a room have done together.

use agentcafe_domain::{
    collaboration::{COUNTED, CollaborationCounter, CollaborationScore},
    kernel::{
        error::DomainError,
        fields::Fields,
        ids::{ActorId, RoomId, TenantId},
        time::Timestamp,
    },
};
use agentcafe_store::{EventFilter, LoggedEvent};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    answer,
    error::ApiError,
    input::ReadRequest,
    newest::{Newest, Wanted},
    read_access,
};

const LIMIT: usize = 5_000;
const MAX_LIMIT: usize = 10_000;
/// How many of the room's newest events are looked at.
const LOOK_BACK: u32 = 50_000;

/// Of what the score is asked for.
pub(crate) struct ScoreQuery {
    tenant: TenantId,
    room: RoomId,
    viewer: Option<ActorId>,
    window: Window,
    limit: usize,
}

/// From when to when.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Window {
    from_ts: Option<Timestamp>,
    to_ts: Option<Timestamp>,
}

impl ScoreQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?.unwrap_or_else(RoomId::main),
            viewer: read_access::viewer(query)?,
            window: Window { from_ts: query.timestamp("fromTs")?, to_ts: query.timestamp("toTs")? },
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            tenant: self.tenant.clone(),
            room: self.room.clone(),
            filter: EventFilter { types: Some(COUNTED.to_vec()), ..EventFilter::default() },
            from: self.window.from_ts,
            to: self.window.to_ts,
            limit: self.limit,
            max_bytes: usize::MAX,
            look_back: LOOK_BACK,
        }
    }
}

/// The score, and of what it is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Scored {
    tenant_id: TenantId,
    room_id: RoomId,
    window: Window,
    events_considered: usize,
    truncated: bool,
    collaboration: CollaborationScore,
}

pub(crate) async fn score(request: ReadRequest) -> Result<Response, ApiError> {
    let scored = ScoreQuery::read(&request.query)?;
    let engine = &request.app.engine;
    read_access::may_read(engine, &scored.tenant, &scored.room, scored.viewer.as_ref()).await?;
    let mut newest = Newest::begin(&engine.store, scored.wanted()).await?;
    let (mut tally, mut events_considered) = (CollaborationCounter::default(), 0);
    while let Some(page) = newest.page().await? {
        events_considered += page.len();
        // Thousands of events are parsed: not on a thread that answers others.
        let counted = tokio::task::spawn_blocking(move || count(tally, &page)).await;
        tally = counted.map_err(|_| ApiError::internal())?;
    }
    Ok(answer::found(&Scored {
        truncated: newest.is_truncated().await?,
        tenant_id: scored.tenant,
        room_id: scored.room,
        window: scored.window,
        events_considered,
        collaboration: tally.collaboration(),
    }))
}

/// All that counts of an event, beside its type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authored {
    actor_id: ActorId,
}

fn count(mut tally: CollaborationCounter, page: &[LoggedEvent]) -> CollaborationCounter {
    for event in page {
        if let Ok(Authored { actor_id }) = serde_json::from_slice(&event.json) {
            tally.count(event.kind, actor_id);
        }
    }
    tally
}
