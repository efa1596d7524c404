//! The statements of traces.

use agentcafe_domain::{
    ids::{ActorId, CorrelationId, RoomId, TenantId},
    time::Timestamp,
    trace::{MAX_STEPS, Status, Step, StepCode, Trace},
};
use rusqlite::{Connection, Row, params};
use serde_json::json;
use uuid::Uuid;

use crate::envelope::TraceNote;

/// The most attempts that are put together into one trace.
const MAX_ATTEMPTS: usize = 40;

/// Keeps what became of an attempt.
pub(crate) fn append(connection: &Connection, note: &TraceNote) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO traces (trace_id, correlation_id, request_id, route, method, tenant_id, room_id, actor_id,
                             started_at_ms, ended_at_ms, succeeded, steps)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    let origin = &note.origin;
    let steps = serde_json::to_vec(&note.steps).expect("a step has text keys and finite numbers");
    statement.execute(params![
        origin.trace_id.as_bytes(),
        note.correlation_id.as_str(),
        origin.request_id,
        origin.route,
        origin.method,
        origin.tenant_id.as_str(),
        origin.room_id.as_ref().map(RoomId::as_str),
        origin.actor_id.as_ref().map(ActorId::as_str),
        origin.started_at.as_millis(),
        note.ended_at.as_millis(),
        note.succeeded,
        steps,
    ])?;
    Ok(())
}

/// The newest attempt with this correlation id, with the steps of all its attempts before; of one tenant if given.
pub(crate) fn read(
    connection: &Connection,
    correlation_id: &CorrelationId,
    tenant: Option<&TenantId>,
) -> rusqlite::Result<Option<Trace>> {
    let mut statement = connection.prepare_cached(
        "SELECT trace_id, request_id, route, method, tenant_id, room_id, actor_id, started_at_ms, ended_at_ms,
                succeeded, steps
         FROM traces WHERE correlation_id = ?1 AND (?2 IS NULL OR tenant_id = ?2) ORDER BY id DESC LIMIT ?3",
    )?;
    let parameters =
        params![correlation_id.as_str(), tenant.map(TenantId::as_str), i64::try_from(MAX_ATTEMPTS).unwrap_or(1)];
    let mut attempts = statement
        .query_map(parameters, |row| attempt(row, correlation_id))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    attempts.reverse();
    let Some(mut newest) = attempts.pop() else { return Ok(None) };
    let mut steps: Vec<Step> = attempts.into_iter().flat_map(|attempt| attempt.steps).collect();
    steps.append(&mut newest.steps);
    newest.steps = steps.split_off(steps.len().saturating_sub(MAX_STEPS));
    Ok(Some(newest))
}

fn id<T, E: std::error::Error + Send + Sync + 'static>(
    at: usize,
    parsed: Result<T, E>,
) -> rusqlite::Result<T> {
    parsed.map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn attempt(row: &Row<'_>, correlation_id: &CorrelationId) -> rusqlite::Result<Trace> {
    let trace_id = id(0, Uuid::from_slice(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?))?;
    let tenant: String = row.get(4)?;
    let room: Option<String> = row.get(5)?;
    let actor: Option<String> = row.get(6)?;
    let (route, method): (String, String) = (row.get(2)?, row.get(3)?);
    let started_at = Timestamp::from_millis(row.get(7)?);
    let received = Step {
        ts: started_at,
        code: StepCode::RequestReceived,
        details: json!({
            "route": route, "method": method, "actorId": actor, "roomId": room, "tenantId": tenant,
            "traceId": trace_id,
        }),
    };
    let later: Vec<Step> =
        id(10, serde_json::from_slice(row.get_ref(10)?.as_blob().map_err(rusqlite::Error::from)?))?;
    Ok(Trace {
        trace_id,
        correlation_id: correlation_id.clone(),
        request_id: row.get(1)?,
        route,
        method,
        actor_id: actor.and_then(|text| ActorId::parse(&text).ok()),
        tenant_id: TenantId::parse(&tenant).ok(),
        room_id: room.and_then(|text| RoomId::parse(&text).ok()),
        status: if row.get(9)? { Status::Success } else { Status::Error },
        started_at,
        ended_at: Some(Timestamp::from_millis(row.get(8)?)),
        steps: [received].into_iter().chain(later).collect(),
    })
}
