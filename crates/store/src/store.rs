//! The store as everything above it sees it: one way to write, and the reads.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use agentcafe_domain::conversation::MessageBody;
use agentcafe_domain::kernel::{
    Clock, CorrelationId, IdPatterns, IdSource, Key, Owner, Record, RecordQuery, RoomId, Rules, Sequence,
    StoredRecord, Table, TenantId, Trace,
};
use agentcafe_domain::moderation::RateWindows;
use agentcafe_eventlog::{
    BodiesFuture, EventPage, EventQuery, Log, LogPosition, LoggedEvent, MAX_PAGE_BYTES, MessageBodies,
    PageFuture, ReadError, RecentEvents,
};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use uuid::Uuid;

use crate::active_rooms::{ActiveRoomPage, ActiveRooms, MAX_ACTIVE_ROOMS};
use crate::commit::{CommitContext, QueuedCommand};
use crate::envelope::{Answer, Envelope, Failure, TraceNote};
use crate::event_pages::Scan;
use crate::failed_commits::FailedCommits;
use crate::open_error::OpenError;
use crate::postgres;
use crate::postgres::connect::PostgresOptions;
use crate::postgres::reader::{AdvisoryLock, PostgresReader};
use crate::postgres::search_index::PostgresIndex;
use crate::reads::{
    BeforeNewest, EventsAt, ReadRequest, RecordsWithKeys, SelectedRecords, SequenceOf, TraceOf,
};
use crate::shared_rate_windows::SharedRateWindows;
use crate::sqlite;
use crate::sqlite::reader::SqliteReader;
use crate::sqlite::search_index::SqliteIndex;
use crate::steady_clock::SteadyClock;
use crate::storage::{Opened, Storage, View};
use crate::table_changes::TableChanges;
use crate::writer::{CommitReport, Writer, WriterParts, WriterTask};

/// The most commands in the writer's queue; past it, a command is answered with [`Failure::Unavailable`].
pub const MAX_WAITING_COMMANDS: usize = 4_096;

/// Where a store keeps its data.
#[derive(Clone, Debug)]
pub enum StoreLocation {
    /// In the embedded database in this directory, which is created if it is missing.
    Directory(PathBuf),
    /// In PostgreSQL.
    Postgres(PostgresOptions),
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => write!(out, "{}", directory.display()),
            // Its URL may hold a password.
            Self::Postgres(_) => out.write_str("the database of DATABASE_URL"),
        }
    }
}

/// What a store is opened with.
pub struct StoreOptions {
    /// Where it keeps its data.
    pub location: StoreLocation,
    /// Whether an embedded store is opened whose log is shorter than it was. A new epoch begins then.
    pub accept_shorter_log: bool,
    /// The settings of the rules.
    pub rules: Rules,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Box<dyn IdSource>,
    /// Where the nodes of one database share moderation's rate windows, if they do. (An embedded database has one node.)
    pub shared_windows: Option<Arc<dyn SharedRateWindows>>,
    /// Called for every commit batch, on the writer's thread.
    pub on_commit: Box<dyn Fn(&CommitReport) + Send>,
}

/// A page of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPage<R> {
    /// The records that were found.
    pub records: Vec<R>,
    /// Whether there may be more after the last.
    pub has_more: bool,
}

/// A lock that no other node has; released when it is dropped.
pub struct Lock(#[expect(dead_code, reason = "it is only kept")] Option<AdvisoryLock>);

/// What reads beside the writer.
enum Readers {
    Sqlite(SqliteReader),
    Postgres(PostgresReader),
}

impl Readers {
    async fn read<R: ReadRequest>(&self, request: R) -> Result<R::Answer, ReadError> {
        // Boxed, so that the futures that wait for a read do not contain those of the database's driver.
        match self {
            Self::Sqlite(reader) => Box::pin(reader.read(request)).await,
            Self::Postgres(reader) => Box::pin(reader.read(request)).await,
        }
    }
}

/// The index of a store.
pub(crate) enum SearchIndex {
    /// In a file of its own.
    Sqlite(SqliteIndex),
    /// In tables of the same database.
    Postgres(PostgresIndex),
}

/// The log and the records.
///
/// A read fails with [`ReadError`] when the database cannot be read.
pub struct Store {
    view: View<Readers, SearchIndex>,
    table_changes: Arc<TableChanges>,
    failed_commits: Arc<FailedCommits>,
    queue: mpsc::Sender<WriterTask>,
    /// Taken by the long scan whose slice is read.
    scan_turn: Semaphore,
    is_shared: bool,
}

/// Closes the store.
pub struct Closing {
    queue: mpsc::Sender<WriterTask>,
    writer: JoinHandle<()>,
}

impl Closing {
    /// Blocks until all queued commands are committed and the database is closed; later commands are refused.
    pub fn wait(self) {
        // On a thread of its own, which may block on a full queue whatever thread this is. If the writer has ended already,
        // there is nothing to close.
        let _ = std::thread::spawn(move || self.queue.blocking_send(WriterTask::Close).is_ok()).join();
        if self.writer.join().is_err() {
            tracing::error!("the writer ended with a panic");
        }
    }
}

impl Store {
    /// Opens the store, or creates it.
    ///
    /// # Errors
    /// [`OpenError`]: why not; nothing was changed then.
    pub fn open(options: StoreOptions) -> Result<(Arc<Self>, Closing), OpenError> {
        let (queue, receiver) = mpsc::channel(MAX_WAITING_COMMANDS);
        let StoreOptions { location, accept_shorter_log, rules, clock, mut ids, shared_windows, on_commit } =
            options;
        let is_shared = matches!(location, StoreLocation::Postgres(_));
        let shared = shared_windows.filter(|_| is_shared);
        let windows = if shared.is_some() { RateWindows::shared() } else { RateWindows::default() };
        let table_changes = Arc::new(TableChanges::default());
        let node = is_shared.then(|| ids.fresh(clock.now()).to_string());
        let context = CommitContext { rules, ids, windows, shared };
        let failed_commits = Arc::new(FailedCommits::default());
        let parts = WriterParts {
            context,
            table_changes: Arc::clone(&table_changes),
            failed_commits: Arc::clone(&failed_commits),
            on_commit,
            queue: receiver,
        };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let (view, writer) = match location {
            // Its writer waits for nothing but the queue.
            StoreLocation::Directory(directory) => {
                let open = move || sqlite::open::open(directory, accept_shorter_log, clock);
                start_writer(&mut runtime, open, parts, (Readers::Sqlite, SearchIndex::Sqlite))?
            }
            StoreLocation::Postgres(options) => {
                let changes = Arc::clone(&table_changes);
                let node = node.unwrap_or_default();
                let open = move || postgres::open::open(options, changes, clock, node);
                start_writer(runtime.enable_all(), open, parts, (Readers::Postgres, SearchIndex::Postgres))?
            }
        };
        let closing = Closing { queue: queue.clone(), writer };
        let scan_turn = Semaphore::new(1);
        Ok((Arc::new(Self { view, table_changes, failed_commits, queue, scan_turn, is_shared }), closing))
    }

    /// The name of the database: `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        if self.is_shared { "postgres" } else { "sqlite" }
    }

    /// Whether other nodes may write to the same log.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The time that all nodes share.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.view.clock) as Arc<dyn Clock>
    }

    /// The same, with how it relates to the wall clock.
    pub fn steady_clock(&self) -> &SteadyClock {
        &self.view.clock
    }

    /// The newest events, and the wake-ups of followers.
    pub fn recent_events(&self) -> &RecentEvents {
        &self.view.recent_events
    }

    /// The log, and its end as far as events can be read: every sequence that this store has returned is at most that.
    pub fn log_position(&self) -> LogPosition {
        let head = self.view.recent_events.last_sequence();
        LogPosition { head, log_id: self.view.log_id.clone() }
    }

    /// A number that grows with every commit batch of any node that writes to this table, which is one of
    /// [`CACHED_IN_MEMORY`](agentcafe_domain::record_kinds::CACHED_IN_MEMORY): after the commit, and before the events of the
    /// batch are visible here.
    pub fn changed(&self, table: &'static Table) -> watch::Receiver<u64> {
        self.table_changes.watch(table)
    }

    /// Queues a command, and waits until its commit batch is committed.
    ///
    /// # Errors
    /// [`Failure::Refused`] by a rule; [`Failure::Unavailable`] when the queue is full or the store cannot be written.
    pub async fn submit(&self, envelope: Envelope) -> Result<Answer, Failure> {
        let (answer, decided) = oneshot::channel();
        self.queue.try_send(WriterTask::Command(QueuedCommand { envelope, answer })).map_err(|refused| {
            match refused {
                TrySendError::Full(_) => Failure::Unavailable("too many commands are waiting"),
                TrySendError::Closed(_) => Failure::Unavailable("the store is closing"),
            }
        })?;
        decided.await.unwrap_or(Err(Failure::Unavailable("the store is closing")))
    }

    /// Keeps the trace of a request that ended before it was put into a commit batch. It is dropped if the queue is full.
    pub fn note(&self, note: TraceNote) {
        if self.queue.try_send(WriterTask::Trace(note)).is_err() {
            tracing::debug!("a trace was dropped");
        }
    }

    /// Whether the store accepts writes: makes one, and no commands could not be committed lately.
    pub async fn probe(&self) -> bool {
        let failed = || self.failed_commits.is_recent(self.view.clock.stopwatch());
        self.ask_writer(WriterTask::Probe).await && !failed()
    }

    /// Deletes a limited number of expired keys and old traces; returns whether there may be more.
    pub async fn purge(&self) -> bool {
        self.ask_writer(WriterTask::Purge).await
    }

    async fn ask_writer(&self, task: impl FnOnce(oneshot::Sender<bool>) -> WriterTask) -> bool {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(task(answer)).is_ok() && answered.await.unwrap_or(false)
    }

    /// Waits until the recent events have what any node had committed when this was called. In a store of one process, they
    /// always do.
    pub async fn catch_up(&self) -> Result<(), ReadError> {
        match &self.view.reader {
            // This process is the only writer: its events are there before its answers.
            Readers::Sqlite(_) => Ok(()),
            Readers::Postgres(reader) => reader.catch_up().await,
        }
    }

    /// Waits for the lock with this name, which no other node has until it is dropped. A store of one process needs no lock,
    /// and returns at once.
    ///
    /// # Errors
    /// [`ReadError`] when the database cannot be reached, or another node keeps the lock for too long.
    pub async fn lock(&self, name: i64) -> Result<Lock, ReadError> {
        match &self.view.reader {
            Readers::Sqlite(_) => Ok(Lock(None)),
            Readers::Postgres(reader) => reader.lock(name).await.map(|lock| Lock(Some(lock))),
        }
    }

    /// A page of the log: from memory if all of it is there.
    pub async fn events(&self, query: EventQuery) -> Result<EventPage, ReadError> {
        let mut scan = Scan::new(query);
        while let Some(read) = self.view.recent_events.read(scan.rest()) {
            if let Some(page) = scan.add(read) {
                return Ok(page);
            }
        }
        self.read_slices(scan).await
    }

    /// The same, whose messages have their bodies. What the query does not return for its size is not part of the page.
    pub async fn events_with_bodies(&self, query: EventQuery) -> Result<EventPage, ReadError> {
        let max_bytes = query.max_bytes.min(query.max_held_bytes);
        let mut page = self.events(EventQuery { max_bytes, ..query }).await?;
        page.add_bodies(self).await?;
        Ok(page)
    }

    /// A page of the log from the database, but no further than the recent events: before an event is visible, watchers must
    /// have been notified of all changes before it ([`Store::changed`]), and a later event may have been committed just now.
    pub async fn older_events(&self, query: EventQuery) -> Result<EventPage, ReadError> {
        self.read_slices(Scan::new(query)).await
    }

    async fn read_slices(&self, mut scan: Scan) -> Result<EventPage, ReadError> {
        let beyond = self.view.recent_events.last_sequence().next();
        loop {
            // Long scans take turns, slice by slice, and leave the other connections to short reads.
            let _turn = if scan.is_long() { self.scan_turn.acquire().await.ok() } else { None };
            let read = self.view.reader.read(scan.next_slice(beyond)).await?;
            if let Some(page) = scan.add(read) {
                return Ok(page);
            }
        }
    }

    /// The sequence of the event with this id, if there is one.
    pub async fn sequence_of(&self, event_id: Uuid) -> Result<Option<Sequence>, ReadError> {
        self.view.reader.read(SequenceOf(event_id)).await
    }

    /// The sequence of the room's event before its newest `count`; the start of the log if the room has no more. A read that
    /// starts after it reads at most so many events of the room, whatever happens elsewhere.
    pub async fn before_newest(
        &self,
        tenant: &TenantId,
        room: &RoomId,
        count: u32,
    ) -> Result<Sequence, ReadError> {
        let request = BeforeNewest { tenant: tenant.clone(), room: room.clone(), count };
        self.view.reader.read(request).await
    }

    /// The rooms of a tenant in which anything happened and whose ids match, those with the newest events first: at most `limit`
    /// and [`MAX_ACTIVE_ROOMS`], and only those whose last event is before `before`.
    pub async fn active_rooms(
        &self,
        tenant: TenantId,
        ids: IdPatterns,
        before: Option<Sequence>,
        limit: usize,
    ) -> Result<ActiveRoomPage, ReadError> {
        let limit = limit.min(MAX_ACTIVE_ROOMS);
        self.view.reader.read(ActiveRooms { tenant, ids, before, limit }).await
    }

    /// The events with these sequences, in this order; after the first, only as many as `max_bytes` of JSON hold.
    pub async fn events_at(
        &self,
        sequences: Vec<Sequence>,
        max_bytes: usize,
    ) -> Result<Vec<LoggedEvent>, ReadError> {
        match self.view.recent_events.at(&sequences, max_bytes) {
            Some(events) => Ok(events),
            None => self.view.reader.read(EventsAt { sequences, max_bytes }).await,
        }
    }

    /// The same, whose messages have their bodies: only as many as a page with bodies holds, at least one.
    pub async fn events_with_bodies_at(
        &self,
        sequences: Vec<Sequence>,
        max_bytes: usize,
    ) -> Result<Vec<LoggedEvent>, ReadError> {
        let events = self.events_at(sequences, max_bytes).await?;
        let mut page = EventPage { events, ..EventPage::empty(Sequence::START) };
        page.add_bodies(self).await?;
        Ok(page.events)
    }

    /// The record with this key.
    pub async fn get<R: Record>(&self, key: Key) -> Result<Option<R>, ReadError> {
        let found = self.get_all(vec![key]).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// The records that a query selects.
    pub async fn find<R: Record>(&self, query: RecordQuery) -> Result<Vec<R>, ReadError> {
        let (stored, _) = self.view.reader.read(SelectedRecords { query, max_bytes: usize::MAX }).await?;
        stored.iter().map(parse).collect()
    }

    /// The records with these keys, in their order.
    pub async fn get_all<R: Record>(&self, keys: Vec<Key>) -> Result<Vec<Option<R>>, ReadError> {
        let stored = self.view.reader.read(RecordsWithKeys { table: R::TABLE, keys }).await?;
        stored.iter().map(|found| found.as_ref().map(parse).transpose()).collect()
    }

    /// A page of the records that a query selects: all of them, or as many as a page holds.
    pub async fn page<R: Record>(&self, query: RecordQuery) -> Result<RecordPage<R>, ReadError> {
        let request = SelectedRecords { query, max_bytes: MAX_PAGE_BYTES };
        let (stored, has_more) = self.view.reader.read(request).await?;
        let records = stored.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(RecordPage { records, has_more })
    }

    /// The index of messages and words.
    pub(crate) fn index(&self) -> &SearchIndex {
        &self.view.index
    }

    /// Answers a request from the index; none if it is not open yet.
    pub(crate) async fn read_index<R: ReadRequest>(
        &self,
        request: R,
    ) -> Result<Option<R::Answer>, ReadError> {
        match &self.view.index {
            SearchIndex::Sqlite(index) => index.read(request).await,
            SearchIndex::Postgres(_) => self.view.reader.read(request).await.map(Some),
        }
    }

    /// What became of the requests with this correlation id; of one tenant and of one owner if given.
    pub async fn trace(
        &self,
        correlation_id: CorrelationId,
        tenant: Option<TenantId>,
        owner: Option<Owner>,
    ) -> Result<Option<Trace>, ReadError> {
        self.view.reader.read(TraceOf { correlation_id, tenant, owner }).await
    }
}

impl MessageBodies for Store {
    fn read_bodies(&self, sequences: Vec<Sequence>) -> BodiesFuture<'_> {
        Box::pin(async move {
            let keys = sequences.into_iter().map(|sequence| vec![sequence.into()]).collect();
            let bodies = self.get_all::<MessageBody>(keys).await?;
            Ok(bodies.into_iter().map(|body| body.map(|body| body.body)).collect())
        })
    }
}

impl Log for Store {
    fn recent_events(&self) -> &RecentEvents {
        &self.view.recent_events
    }

    fn read_older(&self, query: EventQuery) -> PageFuture<'_> {
        Box::pin(self.older_events(query))
    }
}

fn parse<R: Record>(stored: &StoredRecord) -> Result<R, ReadError> {
    stored.read().map_err(|corrupt| {
        tracing::error!(%corrupt, "a read failed");
        ReadError::Damaged
    })
}

/// Starts the writer's thread, and opens the database there. Blocks until it is open, or cannot be.
fn start_writer<S: Storage, O: Future<Output = Result<Opened<S>, OpenError>>>(
    runtime: &mut tokio::runtime::Builder,
    open: impl FnOnce() -> O + Send + 'static,
    parts: WriterParts,
    (readers, indexes): (fn(S::Reader) -> Readers, fn(S::Index) -> SearchIndex),
) -> Result<(View<Readers, SearchIndex>, JoinHandle<()>), OpenError> {
    let runtime = runtime.build().map_err(OpenError::Writer)?;
    let (sender, opened) = std::sync::mpsc::channel();
    let write = async move || match open().await {
        Ok(Opened { storage, view }) => {
            let (recent_events, clock) = (Arc::clone(&view.recent_events), Arc::clone(&view.clock));
            // The writer keeps nothing of the read side: closed last, SQLite's writer removes the write-ahead log.
            if sender.send(Ok(view)).is_ok() {
                Writer::run(storage, recent_events, clock, parts).await;
            }
        }
        Err(error) => drop(sender.send(Err(error))),
    };
    let writer = std::thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || runtime.block_on(write()))
        .map_err(OpenError::Writer)?;
    let ended = |_| OpenError::Writer(std::io::Error::other("it ended with a panic"));
    let View { reader, recent_events, clock, log_id, index } = opened.recv().map_err(ended)??;
    let (reader, index) = (readers(reader), indexes(index));
    Ok((View { reader, recent_events, clock, log_id, index }, writer))
}
