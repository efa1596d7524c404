//! The read side on SQLite: connections that read beside the writer, on threads that may block.

use std::path::Path;
use std::sync::Arc;

use agentcafe_domain::kernel::{
    CorrelationId, Key, RecordQuery, RoomId, Sequence, StoredRecord, Table, TenantId, Trace,
};
use agentcafe_eventlog::{EventPage, EventQuery, LoggedEvent, ReadError};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::connection::now;
use super::{events, open, records};
use crate::reads;
use crate::storage::{LockGuard, ReadFuture, Reader};
use crate::storage_error::StorageError;

/// How many connections read beside the writer.
const READERS: usize = 4;

/// The connections that read.
pub(super) struct SqliteReader(Arc<Pool>);

struct Pool {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

/// A connection taken out of the pool. It goes back however the read ends, also when its caller is gone.
struct PooledConnection {
    pool: Arc<Pool>,
    connection: Option<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        self.pool.idle.lock().extend(self.connection.take());
    }
}

impl SqliteReader {
    /// Opens all connections.
    pub(super) fn open(database: &Path) -> rusqlite::Result<Self> {
        let idle = (0..READERS).map(|_| open::open_reader(database)).collect::<Result<Vec<_>, _>>()?;
        let permits = Arc::new(Semaphore::new(READERS));
        Ok(Self(Arc::new(Pool { idle: Mutex::new(idle), permits })))
    }

    /// Reads on one of the connections, on this thread; none while all are in use.
    pub(super) fn read_now<T>(&self, read: impl FnOnce(&Connection) -> T) -> Option<T> {
        self.0.idle.lock().first().map(read)
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StorageError> + Send + 'static,
    ) -> ReadFuture<'_, T> {
        Box::pin(async {
            let permit = Arc::clone(&self.0.permits).acquire_owned().await.map_err(|_| ReadError)?;
            let connection = self.0.idle.lock().pop();
            let pooled = PooledConnection { pool: Arc::clone(&self.0), connection, _permit: permit };
            let answered = tokio::task::spawn_blocking(move || {
                let connection = pooled.connection.as_ref().ok_or(ReadError)?;
                read(connection).map_err(|error| {
                    tracing::error!(%error, "a read failed");
                    ReadError
                })
            });
            answered.await.map_err(|_| ReadError)?
        })
    }
}

impl Reader for SqliteReader {
    /// This process is the only writer: its events are there before its answers.
    fn catch_up(&self) -> ReadFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// There is no other node to exclude.
    fn lock(&self, _: i64) -> ReadFuture<'_, LockGuard> {
        Box::pin(std::future::ready(Ok(Box::new(()) as LockGuard)))
    }

    fn events(&self, query: EventQuery) -> ReadFuture<'_, EventPage> {
        self.read(move |connection| {
            // What is read is of one moment.
            let transaction = connection.unchecked_transaction()?;
            now(reads::events(&*transaction, &query))
        })
    }

    fn events_at(&self, sequences: Vec<Sequence>, max_bytes: usize) -> ReadFuture<'_, Vec<LoggedEvent>> {
        self.read(move |connection| events::at(connection, &sequences, max_bytes))
    }

    fn sequence_of(&self, event_id: Uuid) -> ReadFuture<'_, Option<Sequence>> {
        self.read(move |connection| now(reads::sequence_of(connection, event_id)))
    }

    fn before_newest(&self, tenant: TenantId, room: RoomId, count: u32) -> ReadFuture<'_, Sequence> {
        self.read(move |connection| now(reads::before_newest(connection, &tenant, &room, count)))
    }

    fn get(&self, table: &'static Table, keys: Vec<Key>) -> ReadFuture<'_, Vec<Option<StoredRecord>>> {
        self.read(move |connection| keys.iter().map(|key| records::get(connection, table, key)).collect())
    }

    fn find(&self, query: RecordQuery, max_bytes: usize) -> ReadFuture<'_, (Vec<StoredRecord>, bool)> {
        self.read(move |connection| records::find(connection, &query, max_bytes))
    }

    fn trace(&self, id: CorrelationId, tenant: Option<TenantId>) -> ReadFuture<'_, Option<Trace>> {
        self.read(move |connection| now(reads::trace(connection, &id, tenant.as_ref())))
    }
}
