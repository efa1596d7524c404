//! What the commit driver and the read side need from a database. SQLite and PostgreSQL implement these traits.

use std::ops::ControlFlow;
use std::sync::Arc;

use agentcafe_domain::kernel::{
    CorrelationId, Hash, Heads, LoadedRecords, Reply, StoredEvent, StoredRecord, Table, Timestamp,
};
use agentcafe_eventlog::RecentEvents;

use crate::commit::{MissingReads, Writes};
use crate::envelope::TraceNote;
use crate::reads::ReadConnection;
use crate::rows::{Parameter, Row};
use crate::steady_clock::SteadyClock;
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

/// What the database has of the records and keys that a commit batch reads.
#[derive(Debug, Default)]
pub(crate) struct LoadedBatch {
    pub(crate) records: LoadedRecords,
    pub(crate) keys: Vec<StoredKey>,
}

/// An open transaction, and what was read when it began.
pub(crate) struct BegunTransaction<T> {
    pub(crate) transaction: T,
    /// The state that the batch before this one left, with the time of this one.
    pub(crate) head: LogHead,
    pub(crate) found: LoadedBatch,
}

/// What a commit batch does beside its commands.
pub(crate) struct Maintenance<'b> {
    /// Traces of requests that ended before they were put into a batch.
    pub(crate) notes: &'b [TraceNote],
    /// Whether to check that the database accepts writes.
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
    /// What reads beside the writer.
    type Reader: Send + 'static;
    /// The index beside the log.
    type Index: Send + 'static;
    type Transaction<'s>: Transaction
    where
        Self: 's;

    /// Opens a transaction that no commit batch of any node overlaps, and loads what the batch needs first: together one
    /// round trip.
    ///
    /// # Errors
    /// No transaction is open.
    async fn begin(
        &mut self,
        needs: MissingReads,
    ) -> Result<BegunTransaction<Self::Transaction<'_>>, StorageError>;

    /// Publishes what other nodes have committed to the recent events. What fails is logged, and tried again later.
    async fn catch_up(&self) {}

    /// Ends what runs beside the writer, after the last batch.
    async fn close(self);
}

/// The transaction of a commit batch. Dropping it rolls it back.
pub(crate) trait Transaction {
    /// Loads more: one round trip.
    async fn load(&mut self, needs: MissingReads) -> Result<LoadedBatch, StorageError>;

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

/// An open database.
pub(crate) struct Opened<S: Storage> {
    pub(crate) storage: S,
    pub(crate) view: View<S::Reader, S::Index>,
}

/// What everything above the writer sees of an open database.
pub(crate) struct View<R, I> {
    /// What reads beside the writer.
    pub(crate) reader: R,
    pub(crate) recent_events: Arc<RecentEvents>,
    /// The time that all nodes share.
    pub(crate) clock: Arc<SteadyClock>,
    /// The id of the log. It changes only while no process has the store open.
    pub(crate) log_id: String,
    /// The index of messages and words.
    pub(crate) index: I,
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
    /// Whether it can be read further after an error.
    const READS_ON: bool;
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
