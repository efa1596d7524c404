//! Reads how much the actors in a room have done together.

use agentcafe_domain::collaboration::{Collaboration, CollaborationCounter, counted_types};
use agentcafe_domain::kernel::{ActorId, FROM_TS, OperationError, RoomId, TO_TS, TenantId, Timestamp};
use agentcafe_domain::keys::Scope;
use agentcafe_store::{EventFilter, EventQuery, LoggedEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::newest_events::NewestEvents;
use crate::operation::{Call, Operation, on_blocking_thread, parameters};
use crate::read_access;

const LIMIT: usize = 5_000;
const MAX_LIMIT: usize = 10_000;
/// How many of the room's newest events are scanned.
const SCANNED: u32 = 50_000;

parameters! {
    /// Reads how much the actors in a room have done together.
    ReadScore(fields) {
        tenant: TenantId = fields.tenant_or_default()?,
        room: RoomId = fields.room_or_main()?,
        viewer: Option<ActorId> = read_access::viewer(fields)?,
        window: ScoreWindow =
            ScoreWindow { from_ts: fields.timestamp(FROM_TS)?, to_ts: fields.timestamp(TO_TS)? },
        limit: usize = fields.limit(LIMIT, MAX_LIMIT)?,
    }
}

/// The period that a score is of; null: no bound.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ScoreWindow {
    /// The start of the time span; null: the beginning of the log.
    from_ts: Option<Timestamp>,
    /// The end of the time span; null: the end of the log.
    to_ts: Option<Timestamp>,
}

/// The score, and what it was computed from.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollaborationScore {
    tenant_id: TenantId,
    room_id: RoomId,
    /// The period that the score is of.
    window: ScoreWindow,
    /// The number of events that were counted.
    events_considered: usize,
    /// Whether there was more than this answer holds.
    truncated: bool,
    /// The score.
    collaboration: Collaboration,
}

impl Operation for ReadScore {
    type Output = CollaborationScore;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<CollaborationScore, OperationError> {
        let Self { tenant: tenant_id, room: room_id, viewer, window, limit } = self;
        call.service.may_read(&tenant_id, &room_id, viewer.as_ref()).await?;
        let filter = EventFilter { types: Some(counted_types()), ..EventFilter::default() };
        let (ScoreWindow { from_ts: from, to_ts: to }, max_bytes) = (window, usize::MAX);
        let query = EventQuery { from, to, max_bytes, ..EventQuery::newest(filter, limit) };
        let place = (&tenant_id, &room_id);
        let mut newest = NewestEvents::begin(call.service.store(), place, SCANNED, query).await?;
        let (mut tally, mut events_considered) = (CollaborationCounter::default(), 0);
        while let Some(page) = newest.page().await? {
            events_considered += page.len();
            tally = on_blocking_thread(move || count(tally, &page)).await?;
        }
        let (truncated, collaboration) = (newest.is_truncated().await?, tally.collaboration());
        Ok(CollaborationScore { tenant_id, room_id, window, events_considered, truncated, collaboration })
    }
}

/// All that counts of an event, beside its type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Author {
    actor_id: ActorId,
}

fn count(mut tally: CollaborationCounter, page: &[LoggedEvent]) -> CollaborationCounter {
    for event in page {
        if let Ok(Author { actor_id }) = serde_json::from_slice(&event.json) {
            tally.count(event.kind, actor_id);
        }
    }
    tally
}
