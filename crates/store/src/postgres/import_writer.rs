//! Imports into an empty database in one transaction.

use std::time::Duration;

use agentcafe_domain::kernel::{Heads, Table, Timestamp};
use tokio::time::sleep;

use super::blocking::{self, BlockingPostgres};
use super::connect::PostgresOptions;
use super::connection::Connection;
use super::idempotency_keys::KEYS;
use super::listener::IN_USE;
use super::open::{LOG_ID, migrate_or_check, open_error};
use super::pipeline::{self, BoundStatement};
use super::records;
use super::schema::Schema;
use crate::open_error::OpenError;
use crate::rows::EVENTS;
use crate::sql::number;
use crate::storage::{BlockingConnection, ImportRow, ImportTarget, PreviousImport};
use crate::storage_error::StorageError;

/// How often, and with which pause, the import waits for servers to disconnect: the sessions of a killed one end in a moment.
const ATTEMPTS: usize = 25;
const PAUSE: Duration = Duration::from_millis(200);

/// Begins a new epoch of the log.
const BEGIN_EPOCH: &str = "UPDATE log_identity SET epoch = left(gen_random_uuid()::text, 8)";

impl BlockingPostgres {
    /// A database that no other process uses: takes the exclusive lock on it; creates the schema if it is missing. Unless the
    /// import is finished, it stays empty.
    pub(crate) fn import(options: &PostgresOptions) -> Result<Self, OpenError> {
        let (runtime, connection) = blocking::run(options, "imports", async |client| {
            migrate_or_check(&client, options).await?;
            // The input may be slow.
            let timeout = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";
            client.batch_execute(timeout).await.map_err(open_error)?;
            let schema = Schema::read(&client).await.map_err(open_error)?;
            for _ in 0..ATTEMPTS {
                let locked = client.query_one("SELECT pg_try_advisory_lock($1)", &[&IN_USE]).await;
                if locked.and_then(|row| row.try_get(0)).map_err(open_error)? {
                    return Ok(Connection::new(client, schema.into()));
                }
                sleep(PAUSE).await;
            }
            Err(OpenError::Database("it is in use by another process; stop all servers first".to_owned()))
        })?;
        Ok(Self { runtime, connection })
    }

    /// Begins a new epoch of the log. Returns its new id.
    pub(crate) fn begin_epoch(options: &PostgresOptions) -> Result<String, OpenError> {
        let database = Self::import(options)?;
        let updated = format!("{BEGIN_EPOCH} RETURNING {LOG_ID}");
        let row = database.wait(database.connection.client.query_one(&updated, &[])).map_err(open_error)?;
        row.try_get(0).map_err(open_error)
    }

    fn run(&self, sql: &str) -> Result<(), StorageError> {
        Ok(self.wait(self.connection.client.batch_execute(sql))?)
    }

    /// Writes all of these rows, or none; one statement for those of one kind that follow each other.
    fn write_all(&self, rows: &[ImportRow]) -> Result<(), StorageError> {
        let savepoint = BoundStatement::new("SAVEPOINT rows", Vec::new());
        let chunks = rows.chunk_by(is_same_kind).map(|chunk| self.insert(chunk));
        let statements: Vec<_> = std::iter::once(savepoint).chain(chunks).collect();
        self.wait(pipeline::run(&self.connection, &statements))?;
        Ok(())
    }

    /// Inserts rows of one kind.
    fn insert<'r>(&self, rows: &'r [ImportRow]) -> BoundStatement<'r> {
        macro_rules! those {
            ($kind:pat => $row:ident) => {
                rows.iter().filter_map(|row| if let $kind = row { Some($row) } else { None })
            };
        }
        match &rows[0] {
            ImportRow::Event(_) => BoundStatement::insert(&EVENTS, those!(ImportRow::Event(row) => row), ""),
            ImportRow::Key(_) => BoundStatement::insert(&KEYS, those!(ImportRow::Key(row) => row), ""),
            ImportRow::Record(table, _) => {
                let records: Vec<_> = those!(ImportRow::Record(_, row) => row).collect();
                records::insert(&self.connection.schema, table, &records)
            }
        }
    }
}

fn is_same_kind(one: &ImportRow, next: &ImportRow) -> bool {
    match (one, next) {
        (ImportRow::Event(_), ImportRow::Event(_)) | (ImportRow::Key(_), ImportRow::Key(_)) => true,
        (ImportRow::Record(one, _), ImportRow::Record(next, _)) => one == next,
        _ => false,
    }
}

impl ImportTarget for BlockingPostgres {
    fn begin(&mut self, replaced: &[&Table]) -> Result<(), StorageError> {
        self.run("BEGIN; SELECT FROM log_head FOR UPDATE")?;
        replaced.iter().try_for_each(|table| self.run(&format!("DELETE FROM {}", table.name)))
    }

    fn write(&mut self, rows: &[ImportRow]) -> Result<(), (usize, StorageError)> {
        match self.write_all(rows) {
            // Writes them one by one, to find the row.
            Err(error) if error.is_duplicate() => {
                self.run("ROLLBACK TO SAVEPOINT rows").map_err(|error| (0, error))?;
                let mut singles = rows.chunks(1).enumerate();
                singles.try_for_each(|(at, row)| self.write_all(row).map_err(|error| (at, error)))
            }
            written => written.map_err(|error| (0, error)),
        }
    }

    fn finish(self, import: &PreviousImport, heads: Heads, last_at: Timestamp) -> Result<(), StorageError> {
        let [sequence, inbox, audit] = [heads.sequence, heads.inbox, heads.audit].map(number);
        let (last_at, imported_at) = (last_at.as_millis(), import.imported_at.as_millis());
        let statements = [
            BoundStatement::new(
                "INSERT INTO import_origin (sha256, imported_at_ms) VALUES ($1, $2)",
                vec![Box::new(&import.sha256), Box::new(imported_at)],
            ),
            BoundStatement::new(
                "UPDATE log_head SET sequence = $1, inbox = $2, audit = $3, at_ms = $4",
                vec![Box::new(sequence), Box::new(inbox), Box::new(audit), Box::new(last_at)],
            ),
            BoundStatement::new(BEGIN_EPOCH, Vec::new()),
            BoundStatement::new("COMMIT", Vec::new()),
        ];
        self.wait(pipeline::run(&self.connection, &statements))?;
        // So that the first queries are planned well. If it fails, PostgreSQL does it by itself later.
        let _ = self.run("ANALYZE");
        Ok(())
    }
}
