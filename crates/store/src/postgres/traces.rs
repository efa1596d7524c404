//! The statements of traces.

use agentcafe_domain::kernel::{ActorId, CorrelationId, RoomId, TenantId, Timestamp, Trace};
use tokio_postgres::{Error, Row};

use super::connect::PostgresError;
use super::connection::Connection;
use super::pipeline::{BoundStatement, column};
use crate::envelope::TraceNote;
use crate::trace_attempts::{Attempt, MAX_ATTEMPTS, trace_of};

/// How many of the newest attempts are always kept.
const KEPT: i64 = 20_000;
/// The most attempts that one commit batch deletes, so that none takes long.
const PURGED_AT_ONCE: i64 = 5_000;

/// Writes attempts.
pub(super) fn append<'n>(notes: &'n [&'n TraceNote]) -> BoundStatement<'n> {
    let steps = |note: &&TraceNote| {
        serde_json::to_string(&note.steps).expect("a step has text keys and finite numbers")
    };
    BoundStatement::new(
        "INSERT INTO traces (trace_id, correlation_id, request_id, route, method, tenant_id, room_id, actor_id,
                             started_at_ms, ended_at_ms, succeeded, steps)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                              $8::text[], $9::bigint[], $10::bigint[], $11::boolean[], $12::text[])",
        vec![
            column(notes, |note| note.origin.trace_id),
            column(notes, |note| note.correlation_id.as_str()),
            column(notes, |note| note.origin.request_id.as_str()),
            column(notes, |note| note.origin.route.as_str()),
            column(notes, |note| note.origin.method),
            column(notes, |note| note.origin.tenant_id.as_str()),
            column(notes, |note| note.origin.room_id.as_ref().map(RoomId::as_str)),
            column(notes, |note| note.origin.actor_id.as_ref().map(ActorId::as_str)),
            column(notes, |note| note.origin.started_at.as_millis()),
            column(notes, |note| note.ended_at.as_millis()),
            column(notes, |note| note.succeeded),
            column(notes, steps),
        ],
    )
}

/// Deletes a limited number of the oldest attempts, and returns whether there may be more.
pub(super) async fn purge(connection: &Connection) -> Result<bool, Error> {
    let deleted = connection
        .execute(
            "DELETE FROM traces WHERE id IN
                 (SELECT id FROM traces WHERE id <= (SELECT max(id) FROM traces) - $1 ORDER BY id LIMIT $2)",
            &[&KEPT, &PURGED_AT_ONCE],
        )
        .await?;
    Ok(deleted == PURGED_AT_ONCE.unsigned_abs())
}

/// The newest attempt with this correlation id, with the steps of all its attempts before; of one tenant if given.
pub(super) async fn read(
    connection: &Connection,
    correlation_id: &CorrelationId,
    tenant: Option<&TenantId>,
) -> Result<Option<Trace>, PostgresError> {
    let (correlation, tenant) = (correlation_id.as_str(), tenant.map(TenantId::as_str));
    let rows = connection
        .query(
            "SELECT trace_id, request_id, route, method, tenant_id, room_id, actor_id, started_at_ms, ended_at_ms,
                    succeeded, steps
             FROM traces WHERE correlation_id = $1 AND ($2::text IS NULL OR tenant_id = $2)
             ORDER BY id DESC LIMIT $3",
            &[&correlation, &tenant, &MAX_ATTEMPTS],
        )
        .await?;
    let attempts = rows.iter().map(attempt).collect::<Result<Vec<_>, _>>()?;
    Ok(trace_of(attempts, correlation_id))
}

fn attempt(row: &Row) -> Result<Attempt, PostgresError> {
    let steps: &str = row.try_get(10)?;
    Ok(Attempt {
        trace_id: row.try_get(0)?,
        request_id: row.try_get(1)?,
        route: row.try_get(2)?,
        method: row.try_get(3)?,
        tenant: row.try_get(4)?,
        room: row.try_get(5)?,
        actor: row.try_get(6)?,
        started_at: Timestamp::from_millis(row.try_get(7)?),
        ended_at: Timestamp::from_millis(row.try_get(8)?),
        succeeded: row.try_get(9)?,
        steps: serde_json::from_str(steps).map_err(|error| PostgresError::Corrupt(error.to_string()))?,
    })
}
