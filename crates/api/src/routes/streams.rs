//! `GET /v1/streams/market-events` and `GET /v1/ws`: the log as server-sent events, and over a WebSocket.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    error::DomainError,
    fields::{Cursor, Fields},
    ids::{ActorId, Sequence},
};
use agentcafe_eventlog::Follower;
use agentcafe_http::{StreamProtocol, sse, websocket::Upgrade};
use agentcafe_store::EventFilter;
use axum::{http::HeaderMap, response::Response};
use serde_json::json;

use super::events::filter;
use crate::{error::ApiError, event_stream::EventStream, input::ReadRequest, read_access};

const MAX_BACKLOG: usize = 5_000;

/// What a stream is asked for.
pub(crate) struct StreamQuery {
    filter: EventFilter,
    viewer: Option<ActorId>,
    cursor: Option<Cursor>,
    backlog_limit: Option<usize>,
    types: Vec<String>,
}

impl StreamQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        let limit = query.limit(MAX_BACKLOG, MAX_BACKLOG)?;
        let limited = query.text("limit")?.is_some();
        Ok(Self {
            filter: filter(query, "actorId")?,
            viewer: read_access::viewer(query)?,
            cursor: query.cursor("cursor")?,
            backlog_limit: limited.then_some(limit),
            types: query.names("types"),
        })
    }
}

/// The log as server-sent events.
pub(crate) async fn market_events(request: ReadRequest, headers: HeaderMap) -> Result<Response, ApiError> {
    Ok(sse::response(follow(&request, &headers, StreamProtocol::EventStream).await?))
}

/// The same over a WebSocket.
pub(crate) async fn socket(
    request: ReadRequest,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Result<Response, ApiError> {
    upgrade.admit(&request.app.door.token)?;
    let stream = follow(&request, &headers, StreamProtocol::WebSocket).await?;
    Ok(upgrade.response(stream, request.app.settings.stream_heartbeat))
}

async fn follow(
    request: &ReadRequest,
    headers: &HeaderMap,
    protocol: StreamProtocol,
) -> Result<EventStream, ApiError> {
    let StreamQuery { mut filter, viewer, cursor, backlog_limit, types } = StreamQuery::read(&request.query)?;
    let engine = &request.app.engine;
    read_access::may_follow(engine, &mut filter, viewer.as_ref()).await?;
    let head = engine.store.recent_events().head();
    let last_event_id = sse::last_event_id(headers)?;
    let after = match cursor {
        Some(Cursor::Latest) => last_event_id.unwrap_or(head),
        Some(Cursor::After(cursor)) => cursor.max(last_event_id.unwrap_or(cursor)),
        None => last_event_id.unwrap_or(Sequence::START),
    };
    let place = Arc::clone(&request.app.streams).try_acquire_owned();
    let place = place.map_err(|_| {
        let limit = request.app.settings.stream_max_clients;
        ApiError::unavailable(&format!("all {limit} streams are taken (API_STREAM_MAX_CLIENTS)"))
    })?;
    let ready = json!({
        "tenantId": filter.tenant, "roomId": filter.room, "actorId": filter.actor,
        "cursor": after, "types": types, "head": head,
    });
    let follower = Follower::new(Arc::clone(&engine.store), filter, after);
    let session = request.app.stream_hub.open(follower, protocol, place);
    Ok(EventStream::new(Arc::clone(engine), session, viewer, backlog_limit, ready))
}
