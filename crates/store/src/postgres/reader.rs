//! The read side on PostgreSQL: a pool of connections that read beside the writer, and one of connections that hold locks.

use std::sync::Arc;

use agentcafe_eventlog::ReadError;
use deadpool_postgres::{Object, Pool};

use super::catch_up::CatchUp;
use super::connect::Retry;
use super::connection::Connection;
use super::schema::Schema;
use crate::reads::ReadRequest;
use crate::storage_error::StorageError;

/// The connections that read and lock, and what keeps the recent events up to date.
pub(crate) struct PostgresReader {
    pub(super) pool: Pool,
    pub(super) locks: Pool,
    pub(super) schema: Arc<Schema>,
    pub(super) catch_up: CatchUp,
}

/// A connection with a session that holds an advisory lock. The lock ends with the session.
pub(crate) struct AdvisoryLock(Option<Object>);

impl Drop for AdvisoryLock {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}

impl PostgresReader {
    /// Answers a request; again if the answer was lost with its connection, as all are when the database restarts. An error was
    /// logged.
    pub(crate) async fn read<R: ReadRequest>(&self, request: R) -> Result<R::Answer, ReadError> {
        let mut retry = Retry::default();
        loop {
            match self.read_once(&request).await {
                Err(error) if retry.should_retry(&error).await => {}
                answered => return answered.map_err(StorageError::into_read_error),
            }
        }
    }

    async fn read_once<R: ReadRequest>(&self, request: &R) -> Result<R::Answer, StorageError> {
        let connection = Connection::from_pool(&self.pool, &self.schema).await?;
        let answered = connection.with_timeout(request.read(&connection)).await;
        connection.discard_if_lost(answered)
    }

    /// Waits until the recent events have what any node had committed when this was called.
    pub(crate) async fn catch_up(&self) -> Result<(), ReadError> {
        self.catch_up.try_run().await.map_err(StorageError::into_read_error)
    }

    /// Waits for the lock with this name, which one holder on all nodes can have at a time.
    pub(crate) async fn lock(&self, name: i64) -> Result<AdvisoryLock, ReadError> {
        let connection =
            Connection::from_pool(&self.locks, &self.schema).await.map_err(StorageError::into_read_error)?;
        let locking = async {
            connection.query("SELECT pg_advisory_lock($1)", &[&name]).await?;
            Ok(())
        };
        let locked = connection.with_timeout(locking).await;
        // Also if that failed, the session ends: it may have the lock, or get it later.
        let lock = AdvisoryLock(Some(connection.client));
        locked.map(|()| lock).map_err(StorageError::into_read_error)
    }
}
