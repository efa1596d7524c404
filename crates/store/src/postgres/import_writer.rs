//! Fills an empty database in one transaction: all of it, or nothing.

use std::time::Duration;

use agentcafe_domain::kernel::{
    command::Heads,
    event::StoredEvent,
    record::{StoredRecord, Table},
    time::Timestamp,
};
use tokio::{runtime::Runtime, time::sleep};
use tokio_postgres::error::SqlState;

use super::{
    connection::Connection,
    events,
    in_order::{self, Order},
    keys,
    listen::AT_WORK,
    open::{Address, PostgresOptions, Unreadable},
    records,
    schema::Schema,
    start::{ready, unfit},
};
use crate::{
    commit::StoredKey,
    import::{Filled, GIVING_WAY, ImportError, Origin, TAKEN, Wrong, must_be_empty},
    sqlite::open::OpenError,
};

/// How often, and with which pause, one waits for servers to let go of the database: one that was killed does in a moment.
const ATTEMPTS: usize = 25;
const PAUSE: Duration = Duration::from_millis(200);
/// The most that is written with one statement: rows, and about as many bytes.
const ROWS_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 4 << 20;

/// What waits to be written, of one kind, each with the number of its line.
enum Waiting {
    Events(Vec<StoredEvent>),
    Records(&'static Table, Vec<StoredRecord>),
    Keys(Vec<StoredKey>),
}

/// A database that nobody else works on, being filled. Unless it is finished, it stays empty.
pub(crate) struct ImportWriter {
    runtime: Runtime,
    connection: Connection,
    waiting: Waiting,
    lines: Vec<u64>,
    bytes: usize,
    last_at: Timestamp,
}

impl ImportWriter {
    /// Takes the database for itself; makes its schema if it is missing.
    pub(crate) fn open(options: &PostgresOptions) -> Result<Self, OpenError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unfit)?;
        let connection = runtime.block_on(async {
            let address = Address::read(options.url.expose()).map_err(OpenError::Database)?;
            let client = ready(&address, "imports", options).await?;
            // What is read may come slowly.
            let timeout = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";
            client.batch_execute(timeout).await.map_err(unfit)?;
            let schema = Schema::read(&client).await.map_err(unfit)?;
            for _ in 0..ATTEMPTS {
                let taken = client.query_one("SELECT pg_try_advisory_lock($1)", &[&AT_WORK]).await;
                if taken.and_then(|row| row.try_get(0)).map_err(unfit)? {
                    return Ok(Connection::new(client, schema.into()));
                }
                sleep(PAUSE).await;
            }
            Err(OpenError::Database("it is in use by another process; stop all servers first".to_owned()))
        })?;
        let (waiting, last_at) = (Waiting::Events(Vec::new()), Timestamp::default());
        Ok(Self { runtime, connection, waiting, lines: Vec::new(), bytes: 0, last_at })
    }

    /// Writes what waits, if something of another kind comes, or enough is there.
    fn make_room(&mut self, line: u64, bytes: usize, is_same_kind: bool) -> Result<(), Wrong> {
        if !is_same_kind || self.lines.len() >= ROWS_AT_ONCE || self.bytes >= BYTES_AT_ONCE {
            self.flush()?;
        }
        self.lines.push(line);
        self.bytes += bytes;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Wrong> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let all = 0..self.lines.len();
        let written = self.write(all.clone());
        if written.as_ref().is_err_and(is_taken) {
            // Which of them is it?
            self.run("ROLLBACK TO SAVEPOINT rows")?;
            for at in all {
                match self.write(at..at + 1) {
                    Err(error) if is_taken(&error) => {
                        return Err(Wrong::Earlier(self.lines[at], TAKEN.to_owned()));
                    }
                    written => written?,
                }
            }
        }
        written?;
        self.lines.clear();
        self.bytes = 0;
        match &mut self.waiting {
            Waiting::Events(events) => events.clear(),
            Waiting::Records(_, records) => records.clear(),
            Waiting::Keys(keys) => keys.clear(),
        }
        Ok(())
    }

    fn run(&self, sql: &str) -> Result<(), Unreadable> {
        Ok(self.runtime.block_on(self.connection.client.batch_execute(sql))?)
    }

    /// Writes some of what waits.
    fn write(&self, rows: std::ops::Range<usize>) -> Result<(), Unreadable> {
        let connection = &self.connection;
        let write = |order: Order<'_>| {
            let save = [Order::new("SAVEPOINT rows", &[]), order];
            self.runtime.block_on(in_order::run(connection, &save))
        };
        match &self.waiting {
            Waiting::Events(events) => {
                let columns = events::Columns::of(&events[rows]);
                write(Order::new(events::APPEND, &columns.parameters()))?;
            }
            Waiting::Records(table, records) => {
                let records: Vec<&StoredRecord> = records[rows].iter().collect();
                write(records::insert(&connection.schema, table, &records).order())?;
            }
            Waiting::Keys(keys) => {
                let columns = keys::Columns::of(&keys[rows]);
                write(Order::new(keys::INSERT, &columns.parameters()))?;
            }
        }
        Ok(())
    }

    fn number(&self, sql: &str) -> Result<i64, Unreadable> {
        let rows = self.runtime.block_on(self.connection.query(sql, &[]))?;
        let number: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
        Ok(number.unwrap_or_default())
    }
}

fn is_taken(error: &Unreadable) -> bool {
    matches!(error, Unreadable::Database(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
}

impl Filled for ImportWriter {
    fn origin(&self) -> Result<Option<Origin>, ImportError> {
        let read = async {
            let sql = "SELECT sha256, imported_at_ms FROM import_origin";
            let rows = self.connection.query(sql, &[]).await?;
            let Some(row) = rows.first() else { return Ok(None) };
            let imported_at = Timestamp::from_millis(row.try_get(1)?);
            Ok::<_, Unreadable>(Some(Origin { sha256: row.try_get(0)?, imported_at }))
        };
        Ok(self.runtime.block_on(read)?)
    }

    fn is_empty(&self) -> Result<bool, ImportError> {
        for table in must_be_empty() {
            if self.number(&format!("SELECT count(*) FROM (SELECT FROM {table} LIMIT 1) AS one"))? > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn begin(&mut self) -> Result<(), ImportError> {
        let leave = GIVING_WAY.map(|table| format!("DELETE FROM {}", table.name)).join("; ");
        Ok(self.run(&format!("BEGIN; SELECT FROM log_head FOR UPDATE; {leave}"))?)
    }

    fn event(&mut self, line: u64, event: StoredEvent) -> Result<(), Wrong> {
        let same = matches!(self.waiting, Waiting::Events(_));
        self.make_room(line, event.json.len(), same)?;
        self.last_at = event.timestamp;
        match &mut self.waiting {
            Waiting::Events(events) => events.push(event),
            other => *other = Waiting::Events(vec![event]),
        }
        Ok(())
    }

    fn record(&mut self, line: u64, table: &'static Table, record: StoredRecord) -> Result<(), Wrong> {
        let same = matches!(self.waiting, Waiting::Records(known, _) if known == table);
        self.make_room(line, record.json.len(), same)?;
        match &mut self.waiting {
            Waiting::Records(known, records) if *known == table => records.push(record),
            other => *other = Waiting::Records(table, vec![record]),
        }
        Ok(())
    }

    fn key(&mut self, line: u64, key: StoredKey) -> Result<(), Wrong> {
        let same = matches!(self.waiting, Waiting::Keys(_));
        self.make_room(line, key.reply.data.len(), same)?;
        match &mut self.waiting {
            Waiting::Keys(keys) => keys.push(key),
            other => *other = Waiting::Keys(vec![key]),
        }
        Ok(())
    }

    fn adapt(&mut self) -> Result<Heads, Wrong> {
        self.flush()?;
        let head = |sql| self.number(sql).map(events::sequence);
        Ok(Heads {
            sequence: head("SELECT max(sequence) FROM events")?,
            inbox: head("SELECT max(inbox_seq) FROM inbox_items")?,
            audit: head("SELECT max(audit_seq) FROM audit_entries")?,
        })
    }

    fn finish(self, origin: &Origin, heads: Heads) -> Result<(), ImportError> {
        let [sequence, inbox, audit] = [heads.sequence, heads.inbox, heads.audit].map(events::number);
        let (last_at, imported_at) = (self.last_at.as_millis(), origin.imported_at.as_millis());
        let orders = [
            Order::new(
                "INSERT INTO import_origin (sha256, imported_at_ms) VALUES ($1, $2)",
                &[&origin.sha256, &imported_at],
            ),
            Order::new(
                "UPDATE log_head SET sequence = $1, inbox = $2, audit = $3, at_ms = $4",
                &[&sequence, &inbox, &audit, &last_at],
            ),
            Order::new("COMMIT", &[]),
        ];
        self.runtime.block_on(in_order::run(&self.connection, &orders)).map_err(Unreadable::from)?;
        // So that the first questions are planned well. If it fails, PostgreSQL does it by itself later.
        let _ = self.run("ANALYZE");
        Ok(())
    }
}
