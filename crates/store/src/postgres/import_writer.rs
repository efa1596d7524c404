//! Imports into an empty database in one transaction.

use std::time::Duration;

use agentcafe_domain::kernel::{Heads, StoredEvent, StoredRecord, Table, Timestamp};
use tokio::runtime::Runtime;
use tokio::time::sleep;
use tokio_postgres::error::SqlState;

use super::connect::{Address, PostgresError, PostgresOptions};
use super::connection::Connection;
use super::listener::IN_USE;
use super::open::{connect_and_migrate, open_error};
use super::pipeline::{self, BoundStatement};
use super::schema::Schema;
use super::{events, idempotency_keys, records};
use crate::import::{
    DUPLICATE, ImportError, ImportTarget, LineError, PreviousImport, REPLACED_TABLES, must_be_empty,
};
use crate::open_error::OpenError;
use crate::sql::{number, sequence};
use crate::storage::StoredKey;

/// How often, and with which pause, the import waits for servers to disconnect: the sessions of a killed one end in a moment.
const ATTEMPTS: usize = 25;
const PAUSE: Duration = Duration::from_millis(200);
/// The most rows that one statement writes, and about how many bytes.
const ROWS_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 4 << 20;

/// Rows of one kind that are not written yet.
enum Buffer {
    Events(Vec<StoredEvent>),
    Records(&'static Table, Vec<StoredRecord>),
    Keys(Vec<StoredKey>),
}

/// A database that no other process uses. Unless the import is finished, it stays empty.
pub(crate) struct PostgresImport {
    runtime: Runtime,
    connection: Connection,
    buffer: Buffer,
    /// The numbers of the lines in the buffer.
    lines: Vec<u64>,
    bytes: usize,
    last_at: Timestamp,
}

impl PostgresImport {
    /// Takes the exclusive lock on the database; creates the schema if it is missing.
    pub(crate) fn open(options: &PostgresOptions) -> Result<Self, OpenError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(open_error)?;
        let connection = runtime.block_on(async {
            let address = Address::parse(options.url.expose()).map_err(OpenError::Database)?;
            let client = connect_and_migrate(&address, "imports", options).await?;
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
        let (buffer, last_at) = (Buffer::Events(Vec::new()), Timestamp::default());
        Ok(Self { runtime, connection, buffer, lines: Vec::new(), bytes: 0, last_at })
    }

    /// Writes the buffer if it is full, or the next row is of another kind.
    fn buffer_line(&mut self, line: u64, bytes: usize, is_same_kind: bool) -> Result<(), LineError> {
        if !is_same_kind || self.lines.len() >= ROWS_AT_ONCE || self.bytes >= BYTES_AT_ONCE {
            self.write_buffer()?;
        }
        self.lines.push(line);
        self.bytes += bytes;
        Ok(())
    }

    fn write_buffer(&mut self) -> Result<(), LineError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let all = 0..self.lines.len();
        let written = self.write(all.clone());
        if written.as_ref().is_err_and(is_duplicate) {
            // Writes them one by one, to find the line.
            self.run("ROLLBACK TO SAVEPOINT rows")?;
            for at in all {
                match self.write(at..at + 1) {
                    Err(error) if is_duplicate(&error) => {
                        return Err(LineError::Earlier(self.lines[at], DUPLICATE.to_owned()));
                    }
                    written => written?,
                }
            }
        }
        written?;
        self.lines.clear();
        self.bytes = 0;
        match &mut self.buffer {
            Buffer::Events(events) => events.clear(),
            Buffer::Records(_, records) => records.clear(),
            Buffer::Keys(keys) => keys.clear(),
        }
        Ok(())
    }

    fn run(&self, sql: &str) -> Result<(), PostgresError> {
        Ok(self.runtime.block_on(self.connection.client.batch_execute(sql))?)
    }

    /// Writes some rows of the buffer.
    fn write(&self, rows: std::ops::Range<usize>) -> Result<(), PostgresError> {
        let connection = &self.connection;
        let write = |statement: BoundStatement<'_>| {
            let statements = [BoundStatement::new("SAVEPOINT rows", Vec::new()), statement];
            self.runtime.block_on(pipeline::run(connection, &statements))
        };
        match &self.buffer {
            Buffer::Events(events) => {
                write(events::append(&events[rows]))?;
            }
            Buffer::Records(table, records) => {
                let rows: Vec<&StoredRecord> = records[rows].iter().collect();
                write(records::insert(&connection.schema, table, &rows))?;
            }
            Buffer::Keys(keys) => {
                write(idempotency_keys::insert(&keys[rows]))?;
            }
        }
        Ok(())
    }

    /// The number that a statement returns; 0 if none.
    fn read_number(&self, sql: &str) -> Result<i64, PostgresError> {
        let rows = self.runtime.block_on(self.connection.query(sql, &[]))?;
        let number: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
        Ok(number.unwrap_or_default())
    }
}

fn is_duplicate(error: &PostgresError) -> bool {
    matches!(error, PostgresError::Database(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
}

impl ImportTarget for PostgresImport {
    fn previous(&self) -> Result<Option<PreviousImport>, ImportError> {
        let read = async {
            let sql = "SELECT sha256, imported_at_ms FROM import_origin";
            let rows = self.connection.query(sql, &[]).await?;
            let Some(row) = rows.first() else { return Ok(None) };
            let imported_at = Timestamp::from_millis(row.try_get(1)?);
            Ok::<_, PostgresError>(Some(PreviousImport { sha256: row.try_get(0)?, imported_at }))
        };
        Ok(self.runtime.block_on(read)?)
    }

    fn is_empty(&self) -> Result<bool, ImportError> {
        for table in must_be_empty() {
            if self.read_number(&format!("SELECT count(*) FROM (SELECT FROM {table} LIMIT 1) AS one"))? > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn begin(&mut self) -> Result<(), ImportError> {
        let delete = REPLACED_TABLES.map(|table| format!("DELETE FROM {}", table.name)).join("; ");
        Ok(self.run(&format!("BEGIN; SELECT FROM log_head FOR UPDATE; {delete}"))?)
    }

    fn event(&mut self, line: u64, event: StoredEvent) -> Result<(), LineError> {
        let same = matches!(self.buffer, Buffer::Events(_));
        self.buffer_line(line, event.json.len(), same)?;
        self.last_at = event.timestamp;
        match &mut self.buffer {
            Buffer::Events(events) => events.push(event),
            other => *other = Buffer::Events(vec![event]),
        }
        Ok(())
    }

    fn record(&mut self, line: u64, table: &'static Table, record: StoredRecord) -> Result<(), LineError> {
        let same = matches!(self.buffer, Buffer::Records(known, _) if known == table);
        self.buffer_line(line, record.json.len(), same)?;
        match &mut self.buffer {
            Buffer::Records(known, records) if *known == table => records.push(record),
            other => *other = Buffer::Records(table, vec![record]),
        }
        Ok(())
    }

    fn key(&mut self, line: u64, key: StoredKey) -> Result<(), LineError> {
        let same = matches!(self.buffer, Buffer::Keys(_));
        self.buffer_line(line, key.reply.data.len(), same)?;
        match &mut self.buffer {
            Buffer::Keys(keys) => keys.push(key),
            other => *other = Buffer::Keys(vec![key]),
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<Heads, LineError> {
        self.write_buffer()?;
        let head = |sql| self.read_number(sql).map(sequence);
        Ok(Heads {
            sequence: head("SELECT max(sequence) FROM events")?,
            inbox: head("SELECT max(inbox_seq) FROM inbox_items")?,
            audit: head("SELECT max(audit_seq) FROM audit_entries")?,
        })
    }

    fn finish(self, import: &PreviousImport, heads: Heads) -> Result<(), ImportError> {
        let [sequence, inbox, audit] = [heads.sequence, heads.inbox, heads.audit].map(number);
        let (last_at, imported_at) = (self.last_at.as_millis(), import.imported_at.as_millis());
        let statements = [
            BoundStatement::new(
                "INSERT INTO import_origin (sha256, imported_at_ms) VALUES ($1, $2)",
                vec![Box::new(&import.sha256), Box::new(imported_at)],
            ),
            BoundStatement::new(
                "UPDATE log_head SET sequence = $1, inbox = $2, audit = $3, at_ms = $4",
                vec![Box::new(sequence), Box::new(inbox), Box::new(audit), Box::new(last_at)],
            ),
            BoundStatement::new("COMMIT", Vec::new()),
        ];
        self.runtime.block_on(pipeline::run(&self.connection, &statements)).map_err(PostgresError::from)?;
        // So that the first queries are planned well. If it fails, PostgreSQL does it by itself later.
        let _ = self.run("ANALYZE");
        Ok(())
    }
}
