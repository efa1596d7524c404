//! `GET /v1/events`, `/v1/timeline` and `/v1/mentions`: pages of the log.

use agentcafe_domain::kernel::{
    error::{Code, DomainError},
    event::EventType,
    fields::Fields,
    ids::{ActorId, Sequence},
    time::Timestamp,
};
use agentcafe_store::{EventFilter, EventPage, EventQuery, Store};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{answer, error::ApiError, input::ReadRequest, read_access};

pub(crate) const LIMIT: usize = 100;
pub(crate) const MAX_LIMIT: usize = 5_000;

/// The types that a `types` parameter names; a name that no event has matches nothing.
pub(crate) fn types(query: &Fields) -> Option<Vec<EventType>> {
    let names = query.names("types");
    let mut types: Vec<_> = names.iter().filter_map(|name| EventType::parse(name)).collect();
    types.sort_unstable();
    types.dedup();
    (!names.is_empty()).then_some(types)
}

/// Tenant, room, author and types; what is missing matches all.
pub(crate) fn filter(query: &Fields, author: &'static str) -> Result<EventFilter, DomainError> {
    Ok(EventFilter {
        tenant: query.tenant("tenantId")?,
        room: query.room("roomId")?,
        actor: query.actor(author)?,
        mentioned: None,
        types: types(query),
    })
}

/// The place of the event that `afterEventId` names; none if the parameter is missing.
pub(crate) async fn place_of(store: &Store, id: Option<String>) -> Result<Option<Sequence>, ApiError> {
    let Some(id) = id else { return Ok(None) };
    let found = match Uuid::parse_str(&id) {
        Ok(event_id) => store.sequence_of(event_id).await?,
        Err(_) => None,
    };
    match found {
        Some(sequence) => Ok(Some(sequence)),
        None => Err(DomainError::new(Code::NotFound).with("afterEventId", id).into()),
    }
}

/// Where a page ends.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageEnd {
    count: usize,
    next_cursor: Sequence,
}

/// A page of `/v1/events`.
pub(crate) struct EventsQuery {
    filter: EventFilter,
    viewer: Option<ActorId>,
    cursor: Option<Sequence>,
    after_event_id: Option<String>,
    limit: usize,
}

impl EventsQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            filter: filter(query, "actorId")?,
            viewer: read_access::viewer(query)?,
            cursor: query.sequence("cursor")?,
            after_event_id: query.trimmed_text("afterEventId")?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }
}

pub(crate) async fn events(request: ReadRequest) -> Result<Response, ApiError> {
    let EventsQuery { mut filter, viewer, cursor, after_event_id, limit } =
        EventsQuery::read(&request.query)?;
    read_access::may_follow(&request.app.engine, &mut filter, viewer.as_ref()).await?;
    let store = &request.app.engine.store;
    let after = match cursor {
        Some(cursor) => cursor,
        None => place_of(store, after_event_id).await?.unwrap_or(Sequence::START),
    };
    let page = store.events(EventQuery::after(filter, after, limit)).await?;
    let next_cursor = page.events.last().map_or(after, |event| event.sequence);
    Ok(answer::events("events", &page.events, &PageEnd { count: page.events.len(), next_cursor }))
}

/// A page of `/v1/timeline`.
pub(crate) struct TimelineQuery {
    filter: EventFilter,
    viewer: Option<ActorId>,
    cursor: Option<Sequence>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    echo: (Option<String>, Option<String>),
    descending: bool,
    limit: usize,
}

impl TimelineQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            filter: filter(query, "actorId")?,
            viewer: read_access::viewer(query)?,
            cursor: query.sequence("cursor")?,
            from: query.timestamp("fromTs")?,
            to: query.timestamp("toTs")?,
            echo: (query.text("fromTs")?, query.text("toTs")?),
            descending: query.is_descending(),
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    fn query(&self) -> EventQuery {
        let (after, before) = match (self.descending, self.cursor) {
            (true, before) => (Sequence::START, before),
            (false, after) => (after.unwrap_or(Sequence::START), None),
        };
        EventQuery {
            before,
            from: self.from,
            to: self.to,
            descending: self.descending,
            ..EventQuery::after(self.filter.clone(), after, self.limit)
        }
    }
}

/// Where a page of the timeline ends, and what it was asked for.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TimelineEnd {
    count: usize,
    order: &'static str,
    next_cursor: Sequence,
    from_ts: Option<String>,
    to_ts: Option<String>,
}

pub(crate) async fn timeline(request: ReadRequest) -> Result<Response, ApiError> {
    let mut timeline = TimelineQuery::read(&request.query)?;
    read_access::may_follow(&request.app.engine, &mut timeline.filter, timeline.viewer.as_ref()).await?;
    let page = request.app.engine.store.events(timeline.query()).await?;
    let given = timeline.cursor.unwrap_or(Sequence::START);
    let end = TimelineEnd {
        count: page.events.len(),
        order: if timeline.descending { "desc" } else { "asc" },
        next_cursor: page.events.last().map_or(given, |event| event.sequence),
        from_ts: timeline.echo.0,
        to_ts: timeline.echo.1,
    };
    Ok(answer::events("events", &page.events, &end))
}

/// A page of `/v1/mentions`.
pub(crate) struct MentionsQuery {
    filter: EventFilter,
    viewer: Option<ActorId>,
    cursor: Option<Sequence>,
    limit: usize,
}

impl MentionsQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        let filter = EventFilter {
            tenant: query.tenant("tenantId")?,
            room: query.room("roomId")?,
            actor: None,
            mentioned: query.actor("mentionedActorId")?,
            types: Some(vec![EventType::MentionCreated]),
        };
        let viewer = read_access::viewer(query)?;
        Ok(Self { filter, viewer, cursor: query.sequence("cursor")?, limit: query.limit(LIMIT, MAX_LIMIT)? })
    }
}

pub(crate) async fn mentions(request: ReadRequest) -> Result<Response, ApiError> {
    let MentionsQuery { mut filter, viewer, cursor, limit } = MentionsQuery::read(&request.query)?;
    read_access::may_follow(&request.app.engine, &mut filter, viewer.as_ref()).await?;
    let after = cursor.unwrap_or(Sequence::START);
    let page = request.app.engine.store.events(EventQuery::after(filter, after, limit)).await?;
    let EventPage { events, scanned_to } = page;
    Ok(answer::events("mentions", &events, &PageEnd { count: events.len(), next_cursor: scanned_to }))
}
