//! Pages of the log: events after a cursor, mentions, and the timeline, which goes by time and in either order.

use agentcafe_domain::kernel::{
    AFTER_EVENT_ID, ActorId, CURSOR, DomainError, EVENT_ACTOR_FILTER, EVENT_TENANT_FILTER, EventType,
    FROM_TS, Field, Fields, LOG_ID, OperationError, ROOM_FILTER, Sequence, TO_TS, Timestamp,
};
use agentcafe_domain::keys::Scope;
use agentcafe_eventlog::{LogPosition, ReaderPosition};
use agentcafe_store::{Cut, EventFilter, EventPage, EventQuery, ReadError};
use schemars::JsonSchema;
use serde::Serialize;

use super::{filter, sequence_of, wants_bodies};
use crate::operation::{Call, EventList, MAX_HELD_BYTES, Operation, parameters};
use crate::read_access;

const MENTIONED_ACTOR_ID: Field = Field::new("mentionedActorId", "Only mentions of this actor.", "Kai");

const LIMIT: usize = 100;
const MAX_LIMIT: usize = 5_000;

/// Which events are listed, who reads them, and where the page begins.
struct EventSelector {
    filter: EventFilter,
    viewer: Option<ActorId>,
    position: ReaderPosition,
}

impl EventSelector {
    fn read(fields: &Fields, filter: EventFilter) -> Result<Self, DomainError> {
        let position =
            ReaderPosition { cursor: fields.sequence(CURSOR)?, log_id: fields.trimmed_text(LOG_ID)? };
        Ok(Self { filter, viewer: read_access::viewer(fields)?, position })
    }

    /// The filter, if the viewer may read what it matches and the cursor is of this log.
    async fn readable(mut self, call: &Call<'_>) -> Result<EventFilter, OperationError> {
        call.service.may_follow(&call.caller.principal, &mut self.filter, self.viewer.as_ref()).await?;
        call.service.store().log_position().check(&self.position)?;
        Ok(self.filter)
    }
}

/// Where a page ends.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageEnd {
    /// The number of entries in this answer.
    count: usize,
    /// The cursor to continue from; unchanged if nothing was found, unless `scanLimitReached`.
    next_cursor: Sequence,
    /// Whether the page ends early, after about 100,000 events that do not match: more may follow `nextCursor`.
    scan_limit_reached: bool,
    #[serde(flatten)]
    log: LogPosition,
}

impl PageEnd {
    fn list(call: &Call<'_>, page: EventPage, next_cursor: Sequence) -> EventList<Self> {
        let scan_limit_reached = page.cut == Some(Cut::Scan);
        let log = call.service.store().log_position();
        let rest = Self { count: page.len(), next_cursor, scan_limit_reached, log };
        EventList { events: page.events, later: page.later, rest }
    }
}

async fn page(call: &Call<'_>, query: EventQuery, bodies: bool) -> Result<EventPage, ReadError> {
    let store = call.service.store();
    if bodies { store.events_with_bodies(query).await } else { store.events(query).await }
}

/// The last event of a page, or where a page that ended early continues; `given` if neither.
fn next_cursor(page: &EventPage, given: Sequence) -> Sequence {
    match page.cut {
        Some(Cut::Scan) => page.scanned_to,
        _ => page.last().unwrap_or(given),
    }
}

parameters! {
    /// Lists events after a cursor.
    ListEvents(fields) {
        events: EventSelector = EventSelector::read(fields, filter(fields, EVENT_ACTOR_FILTER)?)?,
        after_event_id: Option<String> = fields.trimmed_text(AFTER_EVENT_ID)?,
        limit: usize = fields.limit(LIMIT, MAX_LIMIT)?,
        bodies: bool = wants_bodies(fields)?,
    }
}

impl Operation for ListEvents {
    type Output = EventList<PageEnd>;

    /// `listen` or `follow`: it depends on what is followed.
    const SCOPES: &'static [Scope] = &[];

    const SUFFICIENT_SCOPE: Option<Scope> = Some(Scope::Follow);

    async fn run(self, call: &Call<'_>) -> Result<EventList<PageEnd>, OperationError> {
        let cursor = self.events.position.cursor;
        let filter = self.events.readable(call).await?;
        let after = match cursor {
            Some(cursor) => cursor,
            None => sequence_of(call.service, self.after_event_id).await?,
        };
        let query = EventQuery::after(filter, after, self.limit).holding(MAX_HELD_BYTES);
        let page = page(call, query, self.bodies).await?;
        let next_cursor = next_cursor(&page, after);
        Ok(PageEnd::list(call, page, next_cursor))
    }
}

parameters! {
    /// Lists mentions after a cursor.
    ListMentions(fields) {
        mentions: EventSelector = EventSelector::read(
            fields,
            EventFilter {
                tenant: fields.tenant(EVENT_TENANT_FILTER)?,
                room: fields.room(ROOM_FILTER)?,
                actor: None,
                mentioned: fields.actor(MENTIONED_ACTOR_ID)?,
                types: Some(vec![EventType::MentionCreated]),
            },
        )?,
        limit: usize = fields.limit(LIMIT, MAX_LIMIT)?,
    }
}

impl Operation for ListMentions {
    type Output = EventList<PageEnd>;

    /// `listen` or `follow`: it depends on what is followed.
    const SCOPES: &'static [Scope] = &[];

    async fn run(self, call: &Call<'_>) -> Result<EventList<PageEnd>, OperationError> {
        let after = self.mentions.position.cursor.unwrap_or(Sequence::START);
        let query =
            EventQuery::after(self.mentions.readable(call).await?, after, self.limit).holding(MAX_HELD_BYTES);
        let page = call.service.store().events(query).await?;
        let scanned_to = page.scanned_to;
        Ok(PageEnd::list(call, page, scanned_to))
    }
}

parameters! {
    /// Lists events by time, in either order.
    ReadTimeline(fields) {
        events: EventSelector = EventSelector::read(fields, filter(fields, EVENT_ACTOR_FILTER)?)?,
        from: Option<Timestamp> = fields.timestamp(FROM_TS)?,
        to: Option<Timestamp> = fields.timestamp(TO_TS)?,
        /// `fromTs` and `toTs` as the caller wrote them.
        as_written: (Option<String>, Option<String>) = (fields.text(FROM_TS)?, fields.text(TO_TS)?),
        descending: bool = fields.is_descending(),
        limit: usize = fields.limit(LIMIT, MAX_LIMIT)?,
        bodies: bool = wants_bodies(fields)?,
    }
}

/// Where a page of the timeline ends, and the period that it is of.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEnd {
    /// The number of entries in this answer.
    count: usize,
    /// The order of the list: asc or desc.
    order: &'static str,
    /// The cursor to continue from; unchanged if nothing was found, unless `scanLimitReached`.
    next_cursor: Sequence,
    /// Whether the page ends early, after about 100,000 events that do not match: more may follow `nextCursor`.
    scan_limit_reached: bool,
    /// The start of the time span; null: the beginning of the log.
    from_ts: Option<String>,
    /// The end of the time span; null: the end of the log.
    to_ts: Option<String>,
    #[serde(flatten)]
    log: LogPosition,
}

impl Operation for ReadTimeline {
    type Output = EventList<TimelineEnd>;

    /// `listen` or `follow`: it depends on what is followed.
    const SCOPES: &'static [Scope] = &[];

    const SUFFICIENT_SCOPE: Option<Scope> = Some(Scope::Follow);

    async fn run(self, call: &Call<'_>) -> Result<EventList<TimelineEnd>, OperationError> {
        let Self { mut events, from, to, as_written: (from_ts, to_ts), descending, limit, bodies } = self;
        let cursor = events.position.cursor;
        let given = cursor.unwrap_or(Sequence::START);
        if descending {
            // The page ends before the cursor, which may be the next sequence.
            events.position.cursor = cursor.map(|before| Sequence(before.0.saturating_sub(1)));
        }
        let (after, before) = if descending { (Sequence::START, cursor) } else { (given, None) };
        let selected = EventQuery::after(events.readable(call).await?, after, limit).holding(MAX_HELD_BYTES);
        let query = EventQuery { before, from, to, descending, ..selected };
        let page = page(call, query, bodies).await?;
        let next_cursor = next_cursor(&page, given);
        let order = if descending { "desc" } else { "asc" };
        let log = call.service.store().log_position();
        let (scan_limit_reached, count) = (page.cut == Some(Cut::Scan), page.len());
        let rest = TimelineEnd { count, order, next_cursor, scan_limit_reached, from_ts, to_ts, log };
        Ok(EventList { events: page.events, later: page.later, rest })
    }
}
