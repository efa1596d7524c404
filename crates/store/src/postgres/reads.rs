//! What is asked of the database beside the turns.

use std::sync::Arc;

use agentcafe_domain::{
    ids::{CorrelationId, RoomId, Sequence, TenantId},
    record::{Find, Key, StoredRecord, Table},
    trace::Trace,
};
use deadpool_postgres::Pool;
use uuid::Uuid;

use super::{
    connection::Connection, events, listen::Filler, open::Unreadable, records, schema::Schema, traces,
};
use crate::{
    event_query::{EventPage, EventQuery, LoggedEvent},
    store::ReadError,
};

/// The connections that read, and who keeps the tail up to date.
pub(crate) struct PostgresReads {
    pub(super) pool: Pool,
    pub(super) schema: Arc<Schema>,
    pub(super) filler: Filler,
}

/// The reason goes to the process's log.
fn logged(error: impl Into<Unreadable>) -> ReadError {
    tracing::error!(error = %error.into(), "a read failed");
    ReadError
}

impl PostgresReads {
    async fn connection(&self) -> Result<Connection, ReadError> {
        Connection::of(&self.pool, &self.schema).await.map_err(logged)
    }

    pub(crate) async fn catch_up(&self) -> Result<(), ReadError> {
        self.filler.try_fill().await.map_err(logged)
    }

    pub(crate) async fn events(&self, query: &EventQuery) -> Result<EventPage, ReadError> {
        events::read(&self.connection().await?, query).await.map_err(logged)
    }

    pub(crate) async fn sequence_of(&self, event_id: Uuid) -> Result<Option<Sequence>, ReadError> {
        events::sequence_of(&self.connection().await?, event_id).await.map_err(logged)
    }

    pub(crate) async fn before_newest(
        &self,
        tenant: &TenantId,
        room: &RoomId,
        count: u32,
    ) -> Result<Sequence, ReadError> {
        events::before_newest(&self.connection().await?, tenant, room, count).await.map_err(logged)
    }

    pub(crate) async fn events_at(
        &self,
        places: &[Sequence],
        max_bytes: usize,
    ) -> Result<Vec<LoggedEvent>, ReadError> {
        events::at(&self.connection().await?, places, max_bytes).await.map_err(logged)
    }

    pub(crate) async fn get_all(
        &self,
        table: &'static Table,
        keys: Vec<Key>,
    ) -> Result<Vec<Option<StoredRecord>>, ReadError> {
        records::get_all(&self.connection().await?, table, &keys).await.map_err(logged)
    }

    pub(crate) async fn find_within(
        &self,
        find: &Find,
        max_bytes: usize,
    ) -> Result<(Vec<StoredRecord>, bool), ReadError> {
        records::find_within(&self.connection().await?, find, max_bytes).await.map_err(logged)
    }

    pub(crate) async fn get(
        &self,
        table: &'static Table,
        key: Key,
    ) -> Result<Option<StoredRecord>, ReadError> {
        records::get(&self.connection().await?, table, key).await.map_err(logged)
    }

    pub(crate) async fn find(&self, find: &Find) -> Result<Vec<StoredRecord>, ReadError> {
        records::find(&self.connection().await?, find).await.map_err(logged)
    }

    pub(crate) async fn trace(
        &self,
        correlation_id: &CorrelationId,
        tenant: Option<&TenantId>,
    ) -> Result<Option<Trace>, ReadError> {
        traces::read(&self.connection().await?, correlation_id, tenant).await.map_err(logged)
    }
}
