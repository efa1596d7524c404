//! The statements of traces. Two tables take turns, so that deleting old traces costs a commit batch nothing.

use agentcafe_domain::kernel::{ActorId, CorrelationId, RoomId, TenantId, Timestamp, Trace};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use crate::envelope::TraceNote;
use crate::trace_attempts::{Attempt, MAX_ATTEMPTS, trace_of};

/// How many attempts a table holds. At least as many of the newest are kept, and at most twice as many.
const GENERATION: i64 = 20_000;

/// Where the next attempt is written.
pub(super) struct TraceTables {
    next_id: i64,
    /// How many the current commit batch has added; forgotten if it fails.
    added: i64,
}

impl TraceTables {
    /// Continues after the newest attempt.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let newest = |table: &str| -> rusqlite::Result<Option<i64>> {
            connection.query_row(&format!("SELECT max(id) FROM {table}"), [], |row| row.get(0))
        };
        let newest = newest("traces_even")?.max(newest("traces_odd")?);
        Ok(Self { next_id: newest.unwrap_or(0) + 1, added: 0 })
    }

    /// Writes an attempt. The first of a generation empties its table, which holds the generation before the last.
    pub(super) fn append(&mut self, connection: &Connection, note: &TraceNote) -> rusqlite::Result<()> {
        let id = self.next_id + self.added;
        let is_even = (id / GENERATION) % 2 == 0;
        if id % GENERATION == 0 {
            let empty = if is_even { "DELETE FROM traces_even" } else { "DELETE FROM traces_odd" };
            connection.prepare_cached(empty)?.execute([])?;
        }
        let mut statement = connection.prepare_cached(if is_even { INSERT_EVEN } else { INSERT_ODD })?;
        let origin = &note.origin;
        let steps = serde_json::to_vec(&note.steps).expect("a step has text keys and finite numbers");
        statement.execute(params![
            id,
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
        self.added += 1;
        Ok(())
    }

    /// The commit batch is committed: what it added counts.
    pub(super) fn keep_batch(&mut self) {
        self.next_id += std::mem::take(&mut self.added);
    }

    /// The commit batch failed: nothing of it counts.
    pub(super) fn forget_batch(&mut self) {
        self.added = 0;
    }
}

macro_rules! insert_into {
    ($table:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (id, trace_id, correlation_id, request_id, route, method, tenant_id, room_id, actor_id,
               started_at_ms, ended_at_ms, succeeded, steps)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
        )
    };
}
const INSERT_EVEN: &str = insert_into!("traces_even");
const INSERT_ODD: &str = insert_into!("traces_odd");

/// The newest attempt with this correlation id, with the steps of all its attempts before; of one tenant if given.
pub(super) fn read(
    connection: &Connection,
    correlation_id: &CorrelationId,
    tenant: Option<&TenantId>,
) -> rusqlite::Result<Option<Trace>> {
    let mut statement = connection.prepare_cached(
        "SELECT trace_id, request_id, route, method, tenant_id, room_id, actor_id, started_at_ms, ended_at_ms,
                succeeded, steps
         FROM (SELECT * FROM traces_even WHERE correlation_id = ?1
               UNION ALL SELECT * FROM traces_odd WHERE correlation_id = ?1)
         WHERE ?2 IS NULL OR tenant_id = ?2 ORDER BY id DESC LIMIT ?3",
    )?;
    let parameters = params![correlation_id.as_str(), tenant.map(TenantId::as_str), MAX_ATTEMPTS];
    let attempts = statement.query_map(parameters, attempt)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(trace_of(attempts, correlation_id))
}

fn id<T, E: std::error::Error + Send + Sync + 'static>(
    at: usize,
    parsed: Result<T, E>,
) -> rusqlite::Result<T> {
    parsed.map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let steps = row.get_ref(10)?.as_blob().map_err(rusqlite::Error::from)?;
    Ok(Attempt {
        trace_id: id(0, Uuid::from_slice(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?))?,
        request_id: row.get(1)?,
        route: row.get(2)?,
        method: row.get(3)?,
        tenant: row.get(4)?,
        room: row.get(5)?,
        actor: row.get(6)?,
        started_at: Timestamp::from_millis(row.get(7)?),
        ended_at: Timestamp::from_millis(row.get(8)?),
        succeeded: row.get(9)?,
        steps: id(10, serde_json::from_slice(steps))?,
    })
}
