//! The read side on SQLite: connections that read beside the writer, on threads that may block.

use std::path::Path;
use std::sync::Arc;

use agentcafe_eventlog::ReadError;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::now;
use super::open;
use crate::reads::ReadRequest;
use crate::storage_error::StorageError;

/// How many connections read beside the writer.
const READERS: usize = 4;

/// The connections that read.
pub(crate) struct SqliteReader(Arc<Pool>);

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

    /// Answers a request, on one of the connections. An error was logged.
    pub(crate) async fn read<R: ReadRequest>(&self, request: R) -> Result<R::Answer, ReadError> {
        let permit = Arc::clone(&self.0.permits).acquire_owned().await.map_err(|_| ReadError::Unavailable)?;
        let connection = self.0.idle.lock().pop();
        let pooled = PooledConnection { pool: Arc::clone(&self.0), connection, _permit: permit };
        let answered = tokio::task::spawn_blocking(move || {
            let connection = pooled.connection.as_ref().ok_or(ReadError::Unavailable)?;
            now(request.read(connection)).map_err(StorageError::into_read_error)
        });
        answered.await.map_err(|_| ReadError::Unavailable)?
    }
}
