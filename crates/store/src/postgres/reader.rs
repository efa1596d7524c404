//! The read side on PostgreSQL: a pool of connections that read beside the writer, and one of connections that hold locks.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    CorrelationId, Key, RecordQuery, RoomId, Sequence, StoredRecord, Table, TenantId, Trace,
};
use agentcafe_eventlog::{EventPage, EventQuery, LoggedEvent, ReadError};
use deadpool_postgres::{Object, Pool};
use futures_util::future::{BoxFuture, FutureExt};
use uuid::Uuid;

use super::catch_up::CatchUp;
use super::connect::Retry;
use super::connection::Connection;
use super::schema::Schema;
use super::{events, records};
use crate::reads;
use crate::storage::{LockGuard, ReadFuture, Reader};
use crate::storage_error::StorageError;

/// The connections that read and lock, and what keeps the recent events up to date.
pub(super) struct PostgresReader {
    pub(super) pool: Pool,
    pub(super) locks: Pool,
    pub(super) schema: Arc<Schema>,
    pub(super) catch_up: CatchUp,
}

/// Reads what a query asks for on a connection.
type Read<Q, T> = for<'q> fn(&'q Connection, &'q Q) -> BoxFuture<'q, Result<T, StorageError>>;

fn logged(error: StorageError) -> ReadError {
    tracing::error!(%error, "a read failed");
    ReadError
}

/// A connection with a session that holds an advisory lock. The lock ends with the session.
struct AdvisoryLock(Option<Object>);

impl Drop for AdvisoryLock {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}

impl PostgresReader {
    /// Reads; again if the answer was lost with its connection, as all are when the database restarts.
    fn read<'r, Q, T>(&'r self, query: Q, read: Read<Q, T>) -> ReadFuture<'r, T>
    where
        Q: Send + Sync + 'r,
        T: Send + 'r,
    {
        Box::pin(async move {
            let mut retry = Retry::default();
            loop {
                match self.read_once(&query, read).await {
                    Err(error) if retry.should_retry(&error).await => {}
                    answered => return answered.map_err(logged),
                }
            }
        })
    }

    async fn read_once<Q, T>(&self, query: &Q, read: Read<Q, T>) -> Result<T, StorageError> {
        let connection = Connection::from_pool(&self.pool, &self.schema).await?;
        let answered = connection.with_timeout(read(&connection, query)).await;
        connection.discard_if_lost(answered)
    }

    async fn lock(&self, name: i64) -> Result<LockGuard, StorageError> {
        let connection = Connection::from_pool(&self.locks, &self.schema).await?;
        let locking = async {
            connection.query("SELECT pg_advisory_lock($1)", &[&name]).await?;
            Ok(())
        };
        let locked = connection.with_timeout(locking).await;
        // Also if that failed, the session ends: it may have the lock, or get it later.
        let lock = AdvisoryLock(Some(connection.client));
        locked.map(|()| Box::new(lock) as LockGuard)
    }
}

impl Reader for PostgresReader {
    fn catch_up(&self) -> ReadFuture<'_, ()> {
        Box::pin(async { self.catch_up.try_run().await.map_err(logged) })
    }

    fn lock(&self, name: i64) -> ReadFuture<'_, LockGuard> {
        Box::pin(async move { self.lock(name).await.map_err(logged) })
    }

    fn events(&self, query: EventQuery) -> ReadFuture<'_, EventPage> {
        self.read(query, |connection, query| reads::events(connection, query).boxed())
    }

    fn events_at(&self, sequences: Vec<Sequence>, max_bytes: usize) -> ReadFuture<'_, Vec<LoggedEvent>> {
        self.read((sequences, max_bytes), |connection, (sequences, max_bytes)| {
            events::at(connection, sequences, *max_bytes).boxed()
        })
    }

    fn sequence_of(&self, event_id: Uuid) -> ReadFuture<'_, Option<Sequence>> {
        self.read(event_id, |connection, event_id| reads::sequence_of(connection, *event_id).boxed())
    }

    fn before_newest(&self, tenant: TenantId, room: RoomId, count: u32) -> ReadFuture<'_, Sequence> {
        self.read((tenant, room, count), |connection, (tenant, room, count)| {
            reads::before_newest(connection, tenant, room, *count).boxed()
        })
    }

    fn get(&self, table: &'static Table, keys: Vec<Key>) -> ReadFuture<'_, Vec<Option<StoredRecord>>> {
        self.read((table, keys), |connection, (table, keys)| records::get(connection, table, keys).boxed())
    }

    fn find(&self, query: RecordQuery, max_bytes: usize) -> ReadFuture<'_, (Vec<StoredRecord>, bool)> {
        self.read((query, max_bytes), |connection, (query, max_bytes)| {
            let select = records::select(&connection.schema, query);
            reads::records(connection, query, select, *max_bytes).boxed()
        })
    }

    fn trace(&self, id: CorrelationId, tenant: Option<TenantId>) -> ReadFuture<'_, Option<Trace>> {
        self.read((id, tenant), |connection, (id, tenant)| {
            reads::trace(connection, id, tenant.as_ref()).boxed()
        })
    }
}
