//! Lists events after a cursor.

use agentcafe_domain::kernel::{
    AFTER_EVENT_ID, ActorId, CURSOR, DomainError, EVENT_ACTOR_FILTER, OperationError, Rules, Sequence,
};
use agentcafe_store::{EventFilter, EventQuery};
use schemars::JsonSchema;
use serde::Serialize;

use super::filter::{filter, sequence_of};
use crate::operation::{Call, EventList, Input, Operation};
use crate::read_access;

pub(super) const LIMIT: usize = 100;
pub(super) const MAX_LIMIT: usize = 5_000;

/// Lists events after a cursor.
pub struct ListEvents {
    filter: EventFilter,
    viewer: Option<ActorId>,
    cursor: Option<Sequence>,
    after_event_id: Option<String>,
    limit: usize,
}

/// Where a page ends.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageEnd {
    /// The number of entries in this answer.
    pub(super) count: usize,
    /// The cursor of the next page; null if this is the last one.
    pub(super) next_cursor: Sequence,
}

impl Operation for ListEvents {
    type Output = EventList<PageEnd>;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            filter: filter(fields, EVENT_ACTOR_FILTER)?,
            viewer: read_access::viewer(fields)?,
            cursor: fields.sequence(CURSOR)?,
            after_event_id: fields.trimmed_text(AFTER_EVENT_ID)?,
            limit: fields.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<EventList<PageEnd>, OperationError> {
        let Self { mut filter, viewer, cursor, after_event_id, limit } = self;
        call.service.may_follow(&mut filter, viewer.as_ref()).await?;
        let after = match cursor {
            Some(cursor) => cursor,
            None => sequence_of(call.service, after_event_id).await?,
        };
        let events = call.service.store().events(EventQuery::after(filter, after, limit)).await?.events;
        let next_cursor = events.last().map_or(after, |event| event.sequence);
        Ok(EventList { rest: PageEnd { count: events.len(), next_cursor }, events })
    }
}
