//! `GET /v1/streams/market-events`: the log as server-sent events.

use std::sync::Arc;

use agentcafe_domain::{
    fields::{Cursor, Fields},
    ids::{ActorId, Sequence},
    refusal::Refusal,
};
use agentcafe_store::EventFilter;
use axum::{http::HeaderMap, response::Response};
use serde_json::json;

use super::events::filter;
use crate::{
    input::Asked,
    problem::Problem,
    readgate,
    sse::{self, Subscription},
};

const MAX_BACKLOG: usize = 5_000;

/// What a stream is asked for.
pub(crate) struct StreamAsked {
    filter: EventFilter,
    viewer: Option<ActorId>,
    cursor: Option<Cursor>,
    backlog_limit: Option<usize>,
    types: Vec<String>,
}

impl StreamAsked {
    pub(crate) fn read(query: &Fields) -> Result<Self, Refusal> {
        let limit = query.limit(MAX_BACKLOG, MAX_BACKLOG)?;
        let limited = query.text("limit")?.is_some();
        Ok(Self {
            filter: filter(query, "actorId")?,
            viewer: readgate::viewer(query)?,
            cursor: query.cursor("cursor")?,
            backlog_limit: limited.then_some(limit),
            types: query.names("types"),
        })
    }
}

pub(crate) async fn market_events(asked: Asked, headers: HeaderMap) -> Result<Response, Problem> {
    let StreamAsked { mut filter, viewer, cursor, backlog_limit, types } = StreamAsked::read(&asked.query)?;
    let engine = &asked.app.engine;
    readgate::may_follow(engine, &mut filter, viewer.as_ref()).await?;
    let head = engine.store.tail().head();
    let last_event_id = last_event_id(&headers)?;
    let after = match cursor {
        Some(Cursor::Latest) => last_event_id.unwrap_or(head),
        Some(Cursor::After(cursor)) => cursor.max(last_event_id.unwrap_or(cursor)),
        None => last_event_id.unwrap_or(Sequence::START),
    };
    let place = Arc::clone(&asked.app.streams).try_acquire_owned();
    let place = place.map_err(|_| {
        let limit = asked.app.settings.stream_max_clients;
        Problem::unavailable(&format!("all {limit} streams are taken (API_STREAM_MAX_CLIENTS)"))
    })?;
    let ready = json!({
        "tenantId": filter.tenant, "roomId": filter.room, "actorId": filter.actor,
        "cursor": after, "types": types, "head": head,
    });
    let subscription = Subscription { filter, viewer, after, backlog_limit, ready };
    Ok(sse::response(Arc::clone(engine), subscription, asked.app.settings.stream_heartbeat, place))
}

/// Where a browser that reconnects by itself was.
fn last_event_id(headers: &HeaderMap) -> Result<Option<Sequence>, Refusal> {
    let text = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::trim);
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let invalid =
        || Refusal::invalid("last-event-id", "Last-Event-ID must be a sequence").with("value", text);
    text.parse().map(|sequence| Some(Sequence(sequence))).map_err(|_| invalid())
}
