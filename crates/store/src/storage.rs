//! What the commit driver and the read side need from a database. SQLite and PostgreSQL implement these traits.

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::Arc;

use agentcafe_domain::kernel::{
    Clock, CorrelationId, Hash, Heads, Key, LoadedRecords, RecordQuery, Reply, RoomId, Sequence, StoredEvent,
    StoredRecord, Table, TenantId, Timestamp, Trace,
};
use agentcafe_eventlog::{EventPage, EventQuery, LoggedEvent, ReadError, RecentEvents};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::commit::{Needs, Writes};
use crate::envelope::TraceNote;
use crate::reads::ReadConnection;
use crate::rows::{Parameter, Row};
use crate::storage_error::StorageError;
use crate::table_changes::TableVersions;

/// The state that commit batches hand on to each other: each begins with what the one before it left.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogHead {
    /// The last numbers assigned.
    pub(crate) heads: Heads,
    /// The versions of the tables that nodes cache in memory.
    pub(crate) table_versions: TableVersions,
    /// The time of the commit batch. It never decreases along the log.
    pub(crate) at: Timestamp,
}

/// An idempotency key as databases store it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredKey {
    pub(crate) identity: Hash,
    pub(crate) request: Hash,
    pub(crate) expires_at: Timestamp,
    pub(crate) correlation_id: CorrelationId,
    pub(crate) reply: Reply,
}

/// What a commit batch asked for, as far as the database has it.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) records: LoadedRecords,
    pub(crate) keys: Vec<StoredKey>,
}

/// An open transaction, and what was read when it began.
pub(crate) struct Begun<T> {
    pub(crate) transaction: T,
    /// The state that the batch before this one left, with the time of this one.
    pub(crate) head: LogHead,
    pub(crate) found: Found,
}

/// What a commit batch does beside its commands.
pub(crate) struct Maintenance<'b> {
    /// Traces of requests that ended before they were put into a batch.
    pub(crate) notes: &'b [TraceNote],
    /// Whether a caller wants to know that the database accepts writes.
    pub(crate) probe: bool,
    /// Whether to delete rows that are no longer needed.
    pub(crate) purge: bool,
}

/// A commit batch that is in the log.
pub(crate) struct Committed {
    /// Whether there may be more rows to purge.
    pub(crate) more_to_purge: bool,
    /// The round trips to a database outside this process.
    pub(crate) round_trips: u32,
}

/// The write side of a database. The commit driver is its only caller.
pub(crate) trait Storage {
    type Transaction<'s>: Transaction
    where
        Self: 's;

    /// Opens a transaction that no commit batch of any node overlaps, and loads what the batch needs first: together one
    /// round trip.
    ///
    /// # Errors
    /// No transaction is open.
    async fn begin(&mut self, needs: Needs) -> Result<Begun<Self::Transaction<'_>>, StorageError>;

    /// Publishes what other nodes have committed to the recent events. What fails is logged, and tried again later.
    async fn catch_up(&self) {}

    /// Ends what runs beside the writer, after the last batch.
    async fn close(self);
}

/// The transaction of a commit batch. Dropping it rolls it back.
pub(crate) trait Transaction {
    /// Loads more: one round trip.
    async fn load(&mut self, needs: Needs) -> Result<Found, StorageError>;

    /// Writes everything, and commits: one round trip, and two more to purge.
    ///
    /// # Errors
    /// Nothing was written; or everything, if the connection was lost during the commit. A retry with the same idempotency
    /// keys then gets the first answers.
    async fn commit(
        self,
        writes: &Writes,
        head: &LogHead,
        maintenance: &Maintenance<'_>,
    ) -> Result<Committed, StorageError>;
}

/// The answer of a read.
pub(crate) type ReadFuture<'r, T> = BoxFuture<'r, Result<T, ReadError>>;

/// A lock that is released when this is dropped.
pub(crate) type LockGuard = Box<dyn Any + Send + Sync>;

/// The read side of a database: it runs beside the writer. A [`ReadError`] was logged where it occurred.
pub(crate) trait Reader: Send + Sync {
    /// Waits until the recent events have what any node had committed when this was called.
    fn catch_up(&self) -> ReadFuture<'_, ()>;

    /// Waits for the lock with this name, which one holder on all nodes can have at a time.
    fn lock(&self, name: i64) -> ReadFuture<'_, LockGuard>;

    /// A page of the log.
    fn events(&self, query: EventQuery) -> ReadFuture<'_, EventPage>;

    /// The events with these sequences, in this order; after the first, only as many as `max_bytes` of JSON hold.
    fn events_at(&self, sequences: Vec<Sequence>, max_bytes: usize) -> ReadFuture<'_, Vec<LoggedEvent>>;

    /// The sequence of the event with this id, if there is one.
    fn sequence_of(&self, event_id: Uuid) -> ReadFuture<'_, Option<Sequence>>;

    /// The sequence of the room's event before its newest `count`; the start of the log if the room has no more.
    fn before_newest(&self, tenant: TenantId, room: RoomId, count: u32) -> ReadFuture<'_, Sequence>;

    /// The records with these keys, in the order of the keys.
    fn get(&self, table: &'static Table, keys: Vec<Key>) -> ReadFuture<'_, Vec<Option<StoredRecord>>>;

    /// The records that a query selects; after the first, only as many as `max_bytes` of JSON hold. And whether a limit may
    /// have cut off more.
    fn find(&self, query: RecordQuery, max_bytes: usize) -> ReadFuture<'_, (Vec<StoredRecord>, bool)>;

    /// What became of the requests with this correlation id; of one tenant if given.
    fn trace(&self, id: CorrelationId, tenant: Option<TenantId>) -> ReadFuture<'_, Option<Trace>>;
}

/// An open database.
pub(crate) struct Opened<S> {
    pub(crate) storage: S,
    pub(crate) view: View,
}

/// What everything above the writer sees of an open database.
pub(crate) struct View {
    pub(crate) reader: Arc<dyn Reader>,
    pub(crate) recent_events: Arc<RecentEvents>,
    /// The time that all nodes share.
    pub(crate) clock: Arc<dyn Clock>,
}

/// A connection that one thread uses alone, and waits for.
pub(crate) trait BlockingConnection {
    type Connection: ReadConnection;

    fn connection(&self) -> &Self::Connection;

    /// Waits for an answer.
    fn wait<T>(&self, answer: impl Future<Output = T>) -> T;

    /// Passes all rows that a statement returns to `take`.
    fn rows<E: From<StorageError>>(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        mut take: impl FnMut(&dyn Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let next = |row: &dyn Row| take(row).map(ControlFlow::Continue);
        self.wait(self.connection().read(sql, parameters, next))
    }
}

/// What a store holds at one moment: a transaction that lasts as long as this does.
pub(crate) trait Snapshot: BlockingConnection {
    /// The idempotency keys as [`stored_key`](crate::rows::stored_key) reads them, in order of arrival.
    const KEYS: &'static str;
    /// What keeps a database from using an index on the column behind it.
    const UNINDEXED: &'static str;

    /// The last numbers assigned.
    fn heads(&self) -> Result<Heads, StorageError>;
}

/// An import that was finished.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PreviousImport {
    pub(crate) sha256: String,
    pub(crate) imported_at: Timestamp,
}

/// A row that is imported.
pub(crate) enum ImportRow {
    Event(StoredEvent),
    Record(&'static Table, StoredRecord),
    Key(StoredKey),
}

/// A store that no other process uses. Unless the import is finished, it stays empty.
pub(crate) trait ImportTarget: BlockingConnection {
    /// Begins the transaction, and empties these tables.
    fn begin(&mut self, replaced: &[&Table]) -> Result<(), StorageError>;

    /// Adds rows after those before them.
    ///
    /// # Errors
    /// The index of the row that has the key of another, if that is the reason. The import cannot go on.
    fn write(&mut self, rows: &[ImportRow]) -> Result<(), (usize, StorageError)>;

    /// Records this import, the last numbers assigned and the time of the last event, and commits.
    fn finish(self, import: &PreviousImport, heads: Heads, last_at: Timestamp) -> Result<(), StorageError>;
}
