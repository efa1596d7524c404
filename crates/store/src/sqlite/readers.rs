//! The connections that read beside the writer.

use std::{path::Path, sync::Arc};

use agentcafe_eventlog::ReadError;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::open;

/// How many connections read beside the writer.
const READERS: usize = 4;

/// Connections that nobody needs right now.
pub(crate) struct Readers {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

/// A reading connection on loan: it goes back however the reading ends, also when nobody waits for the answer any more.
struct Loan {
    readers: Arc<Readers>,
    connection: Option<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.readers.idle.lock().extend(self.connection.take());
    }
}

impl Readers {
    /// Opens them all.
    pub(crate) fn open(database: &Path) -> rusqlite::Result<Self> {
        let idle = (0..READERS).map(|_| open::open_reader(database)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { idle: Mutex::new(idle), permits: Arc::new(Semaphore::new(READERS)) })
    }

    /// Asks something on one of them, before anybody else does.
    pub(crate) fn first<T>(&self, question: impl FnOnce(&Connection) -> T) -> Option<T> {
        self.idle.lock().first().map(question)
    }

    /// Asks something, on a thread that may wait.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| ReadError)?;
        let connection = self.idle.lock().pop();
        let loan = Loan { readers: Arc::clone(self), connection, _permit: permit };
        let answered = tokio::task::spawn_blocking(move || {
            let connection = loan.connection.as_ref().ok_or(ReadError)?;
            question(connection).map_err(|error| {
                tracing::error!(%error, "a read failed");
                ReadError
            })
        });
        answered.await.map_err(|_| ReadError)?
    }
}
