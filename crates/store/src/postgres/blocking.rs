//! A connection for a thread that waits, as exports, imports and migrations do.

use deadpool_postgres::Object;
use tokio::runtime::{Builder, Runtime};

use super::connect::{Address, PostgresOptions};
use super::connection::Connection;
use super::open::{connect, open_error};
use crate::open_error::OpenError;
use crate::storage::BlockingConnection;

/// A connection on a runtime of its own.
pub(crate) struct BlockingPostgres {
    pub(super) runtime: Runtime,
    pub(super) connection: Connection,
}

/// Connects, and waits until the work with this connection is done. `what` is its name in PostgreSQL.
pub(super) fn run<T>(
    options: &PostgresOptions,
    what: &str,
    work: impl AsyncFnOnce(Object) -> Result<T, OpenError>,
) -> Result<(Runtime, T), OpenError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(open_error)?;
    let done = runtime.block_on(async {
        let address = Address::parse(options.url.expose()).map_err(OpenError::Database)?;
        work(connect(&address, what).await?).await
    })?;
    Ok((runtime, done))
}

impl BlockingConnection for BlockingPostgres {
    type Connection = Connection;

    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }
}
