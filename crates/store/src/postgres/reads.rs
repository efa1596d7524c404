//! What is asked of the database beside the turns.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    ids::{CorrelationId, RoomId, Sequence, TenantId},
    record::{Key, RecordQuery, StoredRecord, Table},
    trace::Trace,
};
use agentcafe_eventlog::{EventPage, EventQuery, LoggedEvent, ReadError};
use deadpool_postgres::Pool;
use uuid::Uuid;

use super::{
    connection::Connection,
    events,
    listen::TailCatchUp,
    open::{Attempts, Unreadable},
    records,
    schema::Schema,
    traces,
};

/// The connections that read, and who keeps the tail up to date.
pub(crate) struct PostgresReads {
    pub(super) pool: Pool,
    /// Those that hold what only one node may have at a time.
    pub(super) locks: Pool,
    pub(super) schema: Arc<Schema>,
    pub(super) catch_up: TailCatchUp,
}

/// The reason goes to the process's log.
pub(super) fn logged(error: Unreadable) -> ReadError {
    tracing::error!(%error, "a read failed");
    ReadError
}

/// Asks a question; again if the answer was lost with its connection, as all are when the database restarts. (A function that
/// takes the question would make futures that cannot be sent.)
macro_rules! ask {
    ($reads:expr, |$connection:ident| $question:expr) => {{
        let mut attempts = Attempts::default();
        loop {
            let answered = match Connection::of(&$reads.pool, &$reads.schema).await {
                Err(error) => Err(error),
                Ok(held) => {
                    let $connection = &held;
                    let answered = held.in_time(async { Ok($question?) }).await;
                    held.adapt(answered)
                }
            };
            match answered {
                Err(error) if attempts.goes_on(&error).await => {}
                answered => break answered.map_err(logged),
            }
        }
    }};
}

impl PostgresReads {
    pub(crate) async fn catch_up(&self) -> Result<(), ReadError> {
        self.catch_up.try_fill().await.map_err(logged)
    }

    pub(crate) async fn events(&self, query: &EventQuery) -> Result<EventPage, ReadError> {
        ask!(self, |connection| events::read(connection, query).await)
    }

    pub(crate) async fn sequence_of(&self, event_id: Uuid) -> Result<Option<Sequence>, ReadError> {
        ask!(self, |connection| events::sequence_of(connection, event_id).await)
    }

    pub(crate) async fn before_newest(
        &self,
        tenant: &TenantId,
        room: &RoomId,
        count: u32,
    ) -> Result<Sequence, ReadError> {
        ask!(self, |connection| events::before_newest(connection, tenant, room, count).await)
    }

    pub(crate) async fn events_at(
        &self,
        places: &[Sequence],
        max_bytes: usize,
    ) -> Result<Vec<LoggedEvent>, ReadError> {
        ask!(self, |connection| events::at(connection, places, max_bytes).await)
    }

    pub(crate) async fn get_all(
        &self,
        table: &'static Table,
        keys: Vec<Key>,
    ) -> Result<Vec<Option<StoredRecord>>, ReadError> {
        ask!(self, |connection| records::get_all(connection, table, &keys).await)
    }

    pub(crate) async fn find_within(
        &self,
        find: &RecordQuery,
        max_bytes: usize,
    ) -> Result<(Vec<StoredRecord>, bool), ReadError> {
        ask!(self, |connection| records::find_within(connection, find, max_bytes).await)
    }

    pub(crate) async fn get(
        &self,
        table: &'static Table,
        key: Key,
    ) -> Result<Option<StoredRecord>, ReadError> {
        ask!(self, |connection| records::get(connection, table, key.clone()).await)
    }

    pub(crate) async fn find(&self, find: &RecordQuery) -> Result<Vec<StoredRecord>, ReadError> {
        ask!(self, |connection| records::find(connection, find).await)
    }

    pub(crate) async fn trace(
        &self,
        correlation_id: &CorrelationId,
        tenant: Option<&TenantId>,
    ) -> Result<Option<Trace>, ReadError> {
        ask!(self, |connection| traces::read(connection, correlation_id, tenant).await)
    }
}
