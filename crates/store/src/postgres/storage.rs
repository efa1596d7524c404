//! The write side on PostgreSQL: a commit batch is one transaction behind the row of the heads. It takes one round trip for each
//! read stage, and one more.

use std::sync::Arc;

use agentcafe_domain::kernel::{Hash, Heads, Key, Query, RecordQuery, Table, Timestamp};
use deadpool_postgres::Pool;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::Row;

use super::catch_up::CatchUp;
use super::connect::{Retry, TIMEOUT};
use super::connection::Connection;
use super::idempotency_keys::{KEYS, OVERWRITE};
use super::pipeline::{self, BoundStatement};
use super::reader::PostgresReader;
use super::schema::Schema;
use super::search_index::PostgresIndex;
use super::{events, idempotency_keys, records, traces};
use crate::commit::{MissingReads, Writes};
use crate::envelope::TraceNote;
use crate::rows::{ATTEMPTS, EVENTS, stored_key};
use crate::sql::number;
use crate::steady_clock::SteadyClock;
use crate::storage::{BegunTransaction, Committed, LoadedBatch, LogHead, Maintenance, Storage, Transaction};
use crate::storage_error::StorageError;

/// Locks the row that serialises the transactions of all nodes.
const LOCK_HEAD: &str = "SELECT sequence, watched, inbox, audit, at_ms FROM log_head FOR UPDATE";
const UPDATE_HEAD: &str =
    "UPDATE log_head SET sequence = $1, watched = $2, inbox = $3, audit = $4, at_ms = $5";
/// Wakes the other nodes, with the name of this one. A hint: the log is the truth.
const NOTIFY: &str = "SELECT pg_notify('agentcafe_log', $1)";

/// The connection that writes.
pub(crate) struct PostgresStorage {
    pub(super) pool: Pool,
    pub(super) schema: Arc<Schema>,
    pub(super) clock: Arc<SteadyClock>,
    /// The payload of this node's notifications.
    pub(super) node: String,
    pub(super) catch_up: CatchUp,
    pub(super) listener: JoinHandle<()>,
    pub(super) stop_listening: Arc<Notify>,
}

impl PostgresStorage {
    /// Begins the transaction, and reads what is needed first. Nothing is decided yet, so a lost connection is no harm: the
    /// next one tries again.
    async fn begin_reading(&self, stage: &ReadStage) -> Result<(Connection, Vec<Vec<Row>>), StorageError> {
        let mut retry = Retry::default();
        loop {
            let error = match Connection::from_pool(&self.pool, &self.schema).await {
                Err(error) => error,
                Ok(connection) => {
                    let begin = ["BEGIN", LOCK_HEAD].map(|sql| BoundStatement::new(sql, Vec::new()));
                    let statements: Vec<_> =
                        begin.into_iter().chain(stage.statements(&self.schema)).collect();
                    let reading = async { Ok(pipeline::run(&connection, &statements).await?) };
                    match connection.with_timeout(reading).await {
                        Ok(rows) => return Ok((connection, rows)),
                        Err(error) => {
                            connection.discard();
                            error
                        }
                    }
                }
            };
            if !retry.should_retry(&error).await {
                let is_lost = error.is_lost();
                return Err(if is_lost { StorageError::Unreachable(error.to_string()) } else { error });
            }
        }
    }
}

impl Storage for PostgresStorage {
    type Reader = PostgresReader;
    type Index = PostgresIndex;
    type Transaction<'s> = PostgresTransaction<'s>;

    async fn begin(
        &mut self,
        needs: MissingReads,
    ) -> Result<BegunTransaction<PostgresTransaction<'_>>, StorageError> {
        let stage = ReadStage::new(needs);
        let (connection, mut rows) = self.begin_reading(&stage).await?;
        let deadline = Instant::now() + TIMEOUT;
        let transaction = PostgresTransaction { storage: self, connection: Some(connection), deadline };
        let storage = &transaction.storage;
        // The first two are the answers to BEGIN and LOCK_HEAD.
        let found = stage.found(rows.split_off(2))?;
        let head = locked_head(rows[1].first(), &storage.clock)?;
        Ok(BegunTransaction { transaction, head, found })
    }

    async fn catch_up(&self) {
        self.catch_up.run().await;
    }

    async fn close(self) {
        self.stop_listening.notify_one();
        if let Err(error) = self.listener.await {
            tracing::error!(%error, "listening ended with a panic");
        }
    }
}

/// The head in the answer to [`LOCK_HEAD`], with the time of the batch.
fn locked_head(row: Option<&Row>, clock: &SteadyClock) -> Result<LogHead, StorageError> {
    let row = row.ok_or_else(|| StorageError::Corrupt("no row of heads".to_owned()))?;
    let last_at = row.try_get(4)?;
    Ok(LogHead {
        heads: events::heads(row, [0, 2, 3])?,
        table_versions: events::table_versions(row.try_get(1)?),
        at: clock.now_after(Timestamp::from_millis(last_at)),
    })
}

/// A transaction that holds the lock on the head.
pub(crate) struct PostgresTransaction<'s> {
    storage: &'s PostgresStorage,
    /// None once it is committed.
    connection: Option<Connection>,
    deadline: Instant,
}

impl PostgresTransaction<'_> {
    /// Runs statements before the deadline of the transaction.
    async fn before_deadline<T>(
        &self,
        work: impl AsyncFnOnce(&Connection) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let connection = self.connection.as_ref().expect("it is not committed yet");
        connection.with_deadline(self.deadline, work(connection)).await
    }
}

impl Transaction for PostgresTransaction<'_> {
    async fn load(&mut self, needs: MissingReads) -> Result<LoadedBatch, StorageError> {
        let stage = ReadStage::new(needs);
        let rows = self
            .before_deadline(async |connection| {
                Ok(pipeline::run(connection, &stage.statements(&self.storage.schema)).await?)
            })
            .await?;
        stage.found(rows)
    }

    async fn commit(
        mut self,
        writes: &Writes,
        head: &LogHead,
        maintenance: &Maintenance<'_>,
    ) -> Result<Committed, StorageError> {
        let committed = self
            .before_deadline(async |connection| {
                let more_to_purge = maintenance.purge
                    && (idempotency_keys::purge(connection, head.at).await?
                        | traces::purge(connection).await?);
                // It always updates the head, which is all that a probe needs.
                write(connection, &self.storage.node, writes, head, maintenance.notes).await?;
                Ok(Committed { more_to_purge, round_trips: connection.round_trips() })
            })
            .await?;
        // Back to the pool.
        drop(self.connection.take());
        Ok(committed)
    }
}

impl Drop for PostgresTransaction<'_> {
    fn drop(&mut self) {
        // The connection may still be inside the transaction, which ends with it.
        if let Some(connection) = self.connection.take() {
            connection.discard();
        }
    }
}

/// What is read in one round trip.
struct ReadStage {
    queries: Vec<RecordQuery>,
    gets: Vec<(&'static Table, Vec<Key>)>,
    keys: Vec<Hash>,
}

impl ReadStage {
    fn new(needs: MissingReads) -> Self {
        let (mut queries, mut gets) = (Vec::new(), Vec::<(&'static Table, Vec<Key>)>::new());
        for query in needs.queries {
            match query {
                Query::One(table, key) => match gets.iter_mut().find(|(known, _)| *known == table) {
                    Some((_, keys)) => keys.push(key),
                    None => gets.push((table, vec![key])),
                },
                Query::Many(query) => queries.push(query),
            }
        }
        Self { queries, gets, keys: needs.keys }
    }

    fn statements(&self, schema: &Schema) -> Vec<BoundStatement<'_>> {
        let queries = self.queries.iter().map(|query| records::select_many(schema, query));
        let gets = self.gets.iter().map(|(table, keys)| records::select_keys(schema, table, keys));
        let keys = (!self.keys.is_empty()).then(|| idempotency_keys::read(&self.keys));
        queries.chain(gets).chain(keys).collect()
    }

    fn found(self, rows: Vec<Vec<Row>>) -> Result<LoadedBatch, StorageError> {
        let mut rows = rows.into_iter();
        let mut next = || rows.next().unwrap_or_default();
        let mut found = LoadedBatch::default();
        for query in self.queries {
            let records = records::found(query.table, &next())?;
            found.records.insert(Query::Many(query), records);
        }
        for (table, keys) in self.gets {
            let mut records = records::found_by_key(table, &next())?;
            for key in keys {
                let record = records.remove(&key);
                found.records.insert(Query::One(table, key), record.into_iter().collect());
            }
        }
        // No rows if there are no keys: then there is no statement either.
        found.keys = next().iter().map(|row| stored_key(row)).collect::<Result<_, _>>()?;
        Ok(found)
    }
}

/// Writes everything, and commits: one round trip.
async fn write(
    connection: &Connection,
    node: &str,
    writes: &Writes,
    head: &LogHead,
    notes: &[TraceNote],
) -> Result<(), StorageError> {
    let mut notes = writes.traces.iter().chain(notes).peekable();
    let tables = writes.records.tables();
    let mut statements: Vec<BoundStatement<'_>> =
        tables.flat_map(|(table, written)| records::write(&connection.schema, table, written)).collect();
    let writes_records = !statements.is_empty();
    if !writes.events.is_empty() {
        statements.push(BoundStatement::insert(&EVENTS, &writes.events, ""));
    }
    if !writes.events.is_empty() || writes_records {
        statements.push(BoundStatement::new(NOTIFY, vec![Box::new(node)]));
    }
    if !writes.keys.is_empty() {
        statements.push(BoundStatement::insert(&KEYS, &writes.keys, OVERWRITE));
    }
    if notes.peek().is_some() {
        statements.push(BoundStatement::insert(&ATTEMPTS, notes, ""));
    }
    let Heads { sequence, inbox, audit } = head.heads;
    statements.push(BoundStatement::new(
        UPDATE_HEAD,
        vec![
            Box::new(number(sequence)),
            Box::new(head.table_versions.as_slice()),
            Box::new(number(inbox)),
            Box::new(number(audit)),
            Box::new(head.at.as_millis()),
        ],
    ));
    statements.push(BoundStatement::new("COMMIT", Vec::new()));
    pipeline::run(connection, &statements).await?;
    Ok(())
}
