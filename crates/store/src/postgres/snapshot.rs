//! Reads what a database holds at one moment: one transaction that lasts as long as this does.

use agentcafe_domain::kernel::Heads;

use super::blocking::{self, BlockingPostgres};
use super::connect::PostgresOptions;
use super::connection::Connection;
use super::events;
use super::open::open_error;
use super::schema::Schema;
use crate::open_error::OpenError;
use crate::storage::{BlockingConnection, Snapshot};
use crate::storage_error::StorageError;

impl BlockingPostgres {
    /// What the database holds now. None if it was never a store.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) fn snapshot(options: &PostgresOptions) -> Result<Option<Self>, OpenError> {
        let (runtime, connection) = blocking::run(options, "exports", async |client| {
            // It lasts as long as what is read takes to be written.
            let begin = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
                         BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
            client.batch_execute(begin).await.map_err(open_error)?;
            let table = client.query_one("SELECT to_regclass('log_head') IS NOT NULL", &[]).await;
            let exists: bool = table.and_then(|row| row.try_get(0)).map_err(open_error)?;
            Ok(exists.then(|| Connection::new(client, Schema::default().into())))
        })?;
        Ok(connection.map(|connection| Self { runtime, connection }))
    }
}

impl Snapshot for BlockingPostgres {
    const KEYS: &'static str = "SELECT identity, request, expires_at_ms, correlation_id, success, reply
                                FROM idempotency_keys ORDER BY id";
    const READS_ON: bool = false;
    const UNINDEXED: &'static str = "";

    fn heads(&self) -> Result<Heads, StorageError> {
        let rows = self.wait(self.connection.query("SELECT sequence, inbox, audit FROM log_head", &[]))?;
        let row = rows.first().ok_or_else(|| StorageError::Corrupt("no row of heads".to_owned()))?;
        Ok(events::heads(row, [0, 1, 2])?)
    }
}
