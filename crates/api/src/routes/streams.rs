//! `GET /v1/streams/market-events` and `GET /v1/ws`: the log as server-sent events, and over a WebSocket.

use std::sync::Arc;

use agentcafe_domain::{
    fields::{Cursor, Fields},
    ids::{ActorId, Sequence},
    refusal::Refusal,
};
use agentcafe_engine::Follower;
use agentcafe_http::{Wire, sse, websocket::Upgrade};
use agentcafe_store::EventFilter;
use axum::{http::HeaderMap, response::Response};
use serde_json::json;

use super::events::filter;
use crate::{following::Following, input::Asked, problem::Problem, readgate};

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

/// The log as server-sent events.
pub(crate) async fn market_events(asked: Asked, headers: HeaderMap) -> Result<Response, Problem> {
    Ok(sse::response(follow(&asked, &headers, Wire::EventStream).await?))
}

/// The same over a WebSocket.
pub(crate) async fn socket(asked: Asked, headers: HeaderMap, upgrade: Upgrade) -> Result<Response, Problem> {
    upgrade.admit(&asked.app.door.token)?;
    let following = follow(&asked, &headers, Wire::WebSocket).await?;
    Ok(upgrade.response(following, asked.app.settings.stream_heartbeat))
}

async fn follow(asked: &Asked, headers: &HeaderMap, wire: Wire) -> Result<Following, Problem> {
    let StreamAsked { mut filter, viewer, cursor, backlog_limit, types } = StreamAsked::read(&asked.query)?;
    let engine = &asked.app.engine;
    readgate::may_follow(engine, &mut filter, viewer.as_ref()).await?;
    let head = engine.store.tail().head();
    let last_event_id = sse::last_event_id(headers)?;
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
    let follower = Follower::new(Arc::clone(&engine.store), filter, after);
    let telling = asked.app.teller.begin(follower, wire, place);
    Ok(Following::new(Arc::clone(engine), telling, viewer, backlog_limit, ready))
}
