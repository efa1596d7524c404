//! The write side on PostgreSQL: a commit batch is one transaction behind the row of the heads. It takes one round trip for each
//! read stage, and one more.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    command::Loaded,
    record::{Key, Query, Table},
    time::Timestamp,
};
use deadpool_postgres::Pool;
use tokio::{sync::Notify, task::JoinHandle, time::Instant};
use tokio_postgres::Row;

use super::{
    catch_up::CatchUp,
    clock::SharedClock,
    connect::{PostgresError, Retry, TIMEOUT},
    connection::Connection,
    events, idempotency_keys,
    pipeline::{self, BoundStatement},
    records::{Get, RecordSelect, RecordWrite},
    schema::Schema,
    traces,
};
use crate::{
    commit::{Needs, Writes},
    envelope::TraceNote,
    sql::number,
    storage::{Begun, Committed, Found, LogHead, Maintenance, Storage, StorageError, Transaction},
};

/// Locks the row that serialises the transactions of all nodes.
const LOCK_HEAD: &str =
    "SELECT sequence, watched, (extract(epoch from clock_timestamp()) * 1000)::bigint, inbox, audit, at_ms
     FROM log_head FOR UPDATE";
const UPDATE_HEAD: &str =
    "UPDATE log_head SET sequence = $1, watched = $2, inbox = $3, audit = $4, at_ms = $5";
/// Wakes the other nodes, with the name of this one. A hint: the log is the truth.
const NOTIFY: &str = "SELECT pg_notify('agentcafe_log', $1)";

/// The connection that writes.
pub(crate) struct PostgresStorage {
    pub(super) pool: Pool,
    pub(super) schema: Arc<Schema>,
    pub(super) clock: Arc<SharedClock>,
    /// The payload of this node's notifications.
    pub(super) node: String,
    pub(super) catch_up: CatchUp,
    pub(super) listener: JoinHandle<()>,
    pub(super) stop_listening: Arc<Notify>,
}

impl PostgresStorage {
    /// Begins the transaction, and reads what is needed first. Nothing is decided yet, so a lost connection is no harm: the
    /// next one tries again.
    async fn begin_reading(&self, stage: &ReadStage) -> Result<(Connection, Vec<Vec<Row>>), PostgresError> {
        let mut retry = Retry::default();
        loop {
            let error = match Connection::from_pool(&self.pool, &self.schema).await {
                Err(error) => error,
                Ok(connection) => {
                    let statements = stage.statements(true);
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
                return Err(if is_lost { PostgresError::Unreachable(error.to_string()) } else { error });
            }
        }
    }
}

impl Storage for PostgresStorage {
    type Transaction<'s> = PostgresTransaction<'s>;

    async fn begin(&mut self, needs: Needs) -> Result<Begun<PostgresTransaction<'_>>, StorageError> {
        let stage = ReadStage::new(&self.schema, needs);
        let (connection, mut rows) = self.begin_reading(&stage).await?;
        let deadline = Instant::now() + TIMEOUT;
        let transaction = PostgresTransaction { storage: self, connection: Some(connection), deadline };
        let storage = &transaction.storage;
        // The first two are the answers to BEGIN and LOCK_HEAD.
        let found = stage.found(&storage.schema, rows.split_off(2))?;
        let head = locked_head(rows[1].first(), &storage.clock)?;
        Ok(Begun { transaction, head, found })
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
fn locked_head(row: Option<&Row>, clock: &SharedClock) -> Result<LogHead, PostgresError> {
    let row = row.ok_or_else(|| PostgresError::Corrupt("no row of heads".to_owned()))?;
    let (now, last_at) = (row.try_get(2)?, row.try_get(5)?);
    Ok(LogHead {
        heads: events::heads(row, [0, 3, 4])?,
        table_versions: events::table_versions(row.try_get(1)?),
        at: clock.learn(Timestamp::from_millis(now)).max(Timestamp::from_millis(last_at)),
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
        work: impl AsyncFnOnce(&Connection) -> Result<T, PostgresError>,
    ) -> Result<T, PostgresError> {
        let connection = self.connection.as_ref().expect("it is not committed yet");
        connection.with_deadline(self.deadline, work(connection)).await
    }
}

impl Transaction for PostgresTransaction<'_> {
    async fn load(&mut self, needs: Needs) -> Result<Found, StorageError> {
        let stage = ReadStage::new(&self.storage.schema, needs);
        let rows = self
            .before_deadline(
                async |connection| Ok(pipeline::run(connection, &stage.statements(false)).await?),
            )
            .await?;
        Ok(stage.found(&self.storage.schema, rows)?)
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
    lists: Vec<(Query, RecordSelect)>,
    gets: Vec<(&'static Table, Vec<Key>, Get)>,
    keys: Option<Vec<Vec<u8>>>,
}

impl ReadStage {
    fn new(schema: &Schema, needs: Needs) -> Self {
        let mut by_table: Vec<(&'static Table, Vec<Key>)> = Vec::new();
        let mut lists = Vec::new();
        for query in needs.queries {
            match query {
                Query::One(table, key) => match by_table.iter_mut().find(|(known, _)| *known == table) {
                    Some((_, keys)) => keys.push(key),
                    None => by_table.push((table, vec![key])),
                },
                Query::Many(query) => {
                    let select = RecordSelect::new(schema, &query);
                    lists.push((Query::Many(query), select));
                }
            }
        }
        let get = |(table, keys): (&'static Table, Vec<Key>)| {
            let get = Get::new(schema, table, &keys);
            (table, keys, get)
        };
        let keys: Vec<Vec<u8>> = needs.keys.iter().map(|identity| identity.to_vec()).collect();
        let gets = by_table.into_iter().map(get).collect();
        Self { lists, gets, keys: (!keys.is_empty()).then_some(keys) }
    }

    fn statements(&self, is_first: bool) -> Vec<BoundStatement<'_>> {
        let begin = [BoundStatement::new("BEGIN", &[]), BoundStatement::new(LOCK_HEAD, &[])];
        let begin = begin.into_iter().filter(|_| is_first);
        let lists = self.lists.iter().map(|(_, select)| select.statement());
        let gets = self.gets.iter().map(|(.., get)| get.statement());
        let keys =
            self.keys.iter().map(|identities| BoundStatement::new(idempotency_keys::READ, &[identities]));
        begin.chain(lists).chain(gets).chain(keys).collect()
    }

    fn found(self, schema: &Schema, rows: Vec<Vec<Row>>) -> Result<Found, PostgresError> {
        let mut rows = rows.into_iter();
        let mut next = || rows.next().unwrap_or_default();
        let mut records = Loaded::new();
        for (query, select) in self.lists {
            records.insert(query, select.found(schema, &next())?);
        }
        for (table, keys, get) in self.gets {
            let mut found = get.found(schema, &next())?;
            for key in keys {
                let record = found.remove(&key);
                records.insert(Query::One(table, key), record.into_iter().collect());
            }
        }
        let keys = match self.keys {
            Some(_) => next().iter().map(idempotency_keys::stored_key).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        Ok(Found { records, keys })
    }
}

/// Writes everything, and commits: one round trip.
async fn write(
    connection: &Connection,
    node: &str,
    writes: &Writes,
    head: &LogHead,
    notes: &[TraceNote],
) -> Result<(), PostgresError> {
    let log = events::Columns::new(&writes.events);
    let keys = idempotency_keys::Columns::new(&writes.keys);
    let notes: Vec<&TraceNote> = writes.traces.iter().chain(notes).collect();
    let traces = traces::Columns::new(&notes);
    let [sequence, inbox, audit] = [head.heads.sequence, head.heads.inbox, head.heads.audit].map(number);
    let (table_versions, at_ms) = (head.table_versions.as_slice(), head.at.as_millis());
    let records: Vec<_> = writes
        .records
        .tables()
        .flat_map(|(table, written)| RecordWrite::all(&connection.schema, table, written))
        .collect();
    let mut statements: Vec<BoundStatement<'_>> = records.iter().map(RecordWrite::statement).collect();
    if !writes.events.is_empty() {
        statements.push(BoundStatement::new(events::APPEND, &log.parameters()));
    }
    if !writes.events.is_empty() || !records.is_empty() {
        statements.push(BoundStatement::new(NOTIFY, &[&node]));
    }
    if !writes.keys.is_empty() {
        statements.push(BoundStatement::new(idempotency_keys::WRITE, &keys.parameters()));
    }
    if !notes.is_empty() {
        statements.push(BoundStatement::new(traces::APPEND, &traces.parameters()));
    }
    statements.push(BoundStatement::new(UPDATE_HEAD, &[&sequence, &table_versions, &inbox, &audit, &at_ms]));
    statements.push(BoundStatement::new("COMMIT", &[]));
    pipeline::run(connection, &statements).await?;
    Ok(())
}
