//! Lists events by time, in either order.

use agentcafe_domain::kernel::{
    ActorId, CURSOR, DomainError, EVENT_ACTOR_FILTER, FROM_TS, OperationError, Rules, Sequence, TO_TS,
    Timestamp,
};
use agentcafe_store::{EventFilter, EventQuery};
use schemars::JsonSchema;
use serde::Serialize;

use super::filter::filter;
use super::list::{LIMIT, MAX_LIMIT};
use crate::operation::{Call, EventList, Input, Operation};
use crate::read_access;

/// Lists events by time, in either order.
pub struct ReadTimeline {
    filter: EventFilter,
    viewer: Option<ActorId>,
    cursor: Option<Sequence>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    /// `fromTs` and `toTs` as the caller wrote them.
    as_written: (Option<String>, Option<String>),
    descending: bool,
    limit: usize,
}

/// Where a page of the timeline ends, and the period that it is of.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEnd {
    /// The number of entries in this answer.
    count: usize,
    /// The order of the list: asc or desc.
    order: &'static str,
    /// The cursor of the next page; null if this is the last one.
    next_cursor: Sequence,
    /// The start of the time span; null: the beginning of the log.
    from_ts: Option<String>,
    /// The end of the time span; null: the end of the log.
    to_ts: Option<String>,
}

impl Operation for ReadTimeline {
    type Output = EventList<TimelineEnd>;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            filter: filter(fields, EVENT_ACTOR_FILTER)?,
            viewer: read_access::viewer(fields)?,
            cursor: fields.sequence(CURSOR)?,
            from: fields.timestamp(FROM_TS)?,
            to: fields.timestamp(TO_TS)?,
            as_written: (fields.text(FROM_TS)?, fields.text(TO_TS)?),
            descending: fields.is_descending(),
            limit: fields.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(mut self, call: &Call<'_>) -> Result<EventList<TimelineEnd>, OperationError> {
        call.service.may_follow(&mut self.filter, self.viewer.as_ref()).await?;
        let given = self.cursor.unwrap_or(Sequence::START);
        let (after, before) = if self.descending { (Sequence::START, self.cursor) } else { (given, None) };
        let query = EventQuery {
            before,
            from: self.from,
            to: self.to,
            descending: self.descending,
            ..EventQuery::after(self.filter, after, self.limit)
        };
        let events = call.service.store().events(query).await?.events;
        let rest = TimelineEnd {
            count: events.len(),
            order: if self.descending { "desc" } else { "asc" },
            next_cursor: events.last().map_or(given, |event| event.sequence),
            from_ts: self.as_written.0,
            to_ts: self.as_written.1,
        };
        Ok(EventList { events, rest })
    }
}
