//! The store as everything above sees it: one door to write through, and questions to ask.

use std::{fmt, path::PathBuf, sync::Arc, thread::JoinHandle};

use agentcafe_domain::{
    kernel::{
        command::IdSource,
        ids::{CorrelationId, RoomId, Sequence, TenantId},
        record::{Key, Record, RecordQuery, StoredRecord, Table},
        rules::Rules,
        time::Clock,
        trace::Trace,
    },
    moderation::RateWindows,
};
use agentcafe_eventlog::{
    EventPage, EventQuery, Log, LoggedEvent, MAX_PAGE_BYTES, PageFuture, ReadError, RecentEvents,
};
use tokio::sync::{mpsc, mpsc::error::TrySendError, oneshot, watch};
use uuid::Uuid;

use crate::{
    batch::{CommitReport, WriterTask},
    changes::Changes,
    commit::{Context, Job},
    envelope::{Answer, Envelope, Failure, TraceNote},
    postgres::{self, exclusive, open::PostgresOptions, reads::PostgresReads},
    shared_rate_windows::SharedRateWindows,
    sqlite::{
        database::Database,
        events,
        open::{self, Directory, OpenError},
        readers::Readers,
        records, traces,
        writer::Writer,
    },
};

/// The most commands that wait for a turn; past it a caller is told to come back.
pub const MAX_WAITING_COMMANDS: usize = 4_096;

/// Where a store keeps its data.
#[derive(Clone, Debug)]
pub enum StoreLocation {
    /// In the embedded database in this directory; made if it is missing.
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
pub struct Options {
    /// Where its data is kept.
    pub place: StoreLocation,
    /// The settings of the rules.
    pub rules: Rules,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Box<dyn IdSource>,
    /// Told of every turn, on the writer's thread.
    pub on_commit: Box<dyn Fn(&CommitReport) + Send>,
}

/// A page of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPage<R> {
    /// What was found.
    pub records: Vec<R>,
    /// Whether there may be more behind the last.
    pub may_go_on: bool,
}

/// A name that nobody else holds.
pub struct Held(#[expect(dead_code, reason = "it is held, not looked at")] Option<exclusive::Held>);

/// Who answers questions.
enum Reads {
    Sqlite(Arc<Readers>),
    Postgres(PostgresReads),
}

/// The log and the records of a café.
pub struct Store {
    recent_events: Arc<RecentEvents>,
    changes: Arc<Changes>,
    clock: Arc<dyn Clock>,
    tasks: mpsc::Sender<WriterTask>,
    reads: Reads,
}

/// Closes the store.
pub struct Closing {
    tasks: mpsc::Sender<WriterTask>,
    writer: JoinHandle<()>,
}

impl Closing {
    /// Blocks until all accepted commands are written and the files are closed; later ones are refused.
    pub fn wait(self) {
        // Told from a thread of its own, which may wait for a place in the queue wherever this is called from. If the
        // writer is gone already, there is nobody to tell.
        let _ = std::thread::spawn(move || self.tasks.blocking_send(WriterTask::Close).is_ok()).join();
        if self.writer.join().is_err() {
            tracing::error!("the writer ended with a panic");
        }
    }
}

impl Store {
    /// Opens the store, or makes it.
    ///
    /// # Errors
    /// [`OpenError`] says why not; nothing was changed then.
    pub fn open(options: Options) -> Result<(Arc<Self>, Closing), OpenError> {
        Self::open_sharing(options, None)
    }

    /// The same; nodes of one database tell each other what moderation remembers. (An embedded database has one node.)
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_sharing(
        options: Options,
        shared: Option<Arc<dyn SharedRateWindows>>,
    ) -> Result<(Arc<Self>, Closing), OpenError> {
        let (tasks, waiting) = mpsc::channel(MAX_WAITING_COMMANDS);
        let Options { place, rules, clock, ids, on_commit } = options;
        let shared = shared.filter(|_| matches!(place, StoreLocation::Postgres(_)));
        let windows = if shared.is_some() { RateWindows::told() } else { RateWindows::default() };
        let context = Context { rules, ids, windows, shared };
        let changes = Arc::new(Changes::default());
        let telling = Arc::clone(&changes);
        let (recent_events, clock, reads, writer) = match place {
            StoreLocation::Directory(directory) => {
                let own = Arc::clone(&clock);
                let (recent_events, reads, writer) =
                    open_sqlite(directory, context, telling, own, on_commit, waiting)?;
                (recent_events, clock, reads, writer)
            }
            StoreLocation::Postgres(options) => {
                let opened = postgres::start::start(options, context, telling, clock, on_commit, waiting)?;
                (opened.recent_events, opened.clock, Reads::Postgres(opened.reads), opened.writer)
            }
        };
        let closing = Closing { tasks: tasks.clone(), writer };
        Ok((Arc::new(Self { recent_events, changes, clock, tasks, reads }), closing))
    }

    /// Which database it is: `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        match self.reads {
            Reads::Sqlite(_) => "sqlite",
            Reads::Postgres(_) => "postgres",
        }
    }

    /// Whether other nodes may work on the same log.
    pub fn is_shared(&self) -> bool {
        matches!(self.reads, Reads::Postgres(_))
    }

    /// The time that all nodes share.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The newest events, and who waits for more.
    pub fn recent_events(&self) -> &RecentEvents {
        &self.recent_events
    }

    /// A number that grows with every turn, of whichever node, that writes records of this kind, which is one of
    /// [`CACHED_IN_MEMORY`](agentcafe_domain::record_kinds::WATCHED): after the commit, and before the turn's events can be seen here.
    pub fn changed(&self, table: &'static Table) -> watch::Receiver<u64> {
        self.changes.watch(table)
    }

    /// Puts a command into a turn, and waits until the turn is committed.
    ///
    /// # Errors
    /// [`Failure::Refused`] by a rule; [`Failure::Unavailable`] when the queue is full or the store cannot be written.
    pub async fn submit(&self, envelope: Envelope) -> Result<Answer, Failure> {
        let (answer, decided) = oneshot::channel();
        self.tasks.try_send(WriterTask::Decide(Job { envelope, answer })).map_err(
            |refused| match refused {
                TrySendError::Full(_) => Failure::Unavailable("too many commands are waiting"),
                TrySendError::Closed(_) => Failure::Unavailable("the store is closing"),
            },
        )?;
        decided.await.unwrap_or(Err(Failure::Unavailable("the store is closing")))
    }

    /// Keeps the trace of a request that ended before its turn. Under pressure it is dropped: a trace is not worth a wait.
    pub fn note(&self, note: TraceNote) {
        if self.tasks.try_send(WriterTask::Note(note)).is_err() {
            tracing::debug!("a trace was dropped");
        }
    }

    /// Whether the store takes writes: makes one.
    pub async fn probe(&self) -> bool {
        self.ask(WriterTask::Probe).await
    }

    /// Deletes a batch of expired keys; whether there may be more.
    pub async fn purge(&self) -> bool {
        self.ask(WriterTask::Purge).await
    }

    async fn ask(&self, task: impl FnOnce(oneshot::Sender<bool>) -> WriterTask) -> bool {
        let (answer, answered) = oneshot::channel();
        self.tasks.try_send(task(answer)).is_ok() && answered.await.unwrap_or(false)
    }

    /// Waits until the tail has what any node had committed when this was called. A store of one process always has.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn catch_up(&self) -> Result<(), ReadError> {
        match &self.reads {
            Reads::Sqlite(_) => Ok(()),
            Reads::Postgres(reads) => reads.catch_up().await,
        }
    }

    /// Waits until nobody else on any node holds this name, and holds it until what is answered is dropped. On one node alone,
    /// nobody asks the database.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be asked, or somebody holds it for too long.
    pub async fn hold(&self, name: i64) -> Result<Held, ReadError> {
        match &self.reads {
            Reads::Sqlite(_) => Ok(Held(None)),
            Reads::Postgres(reads) => reads.hold(name).await.map(|held| Held(Some(held))),
        }
    }

    /// A page of the log: from memory if all of it is there.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn events(&self, query: EventQuery) -> Result<EventPage, ReadError> {
        match self.recent_events.read(&query) {
            Some(page) => Ok(page),
            None => self.older_events(query).await,
        }
    }

    /// A page of the log from the database: no further than the tail, because who sees an event must have been told of all
    /// changes before it ([`Store::changed`]), and what the tail does not have yet was perhaps only just committed.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn older_events(&self, mut query: EventQuery) -> Result<EventPage, ReadError> {
        let beyond = self.recent_events.last_sequence().next();
        query.before = Some(query.before.map_or(beyond, |before| before.min(beyond)));
        match &self.reads {
            Reads::Sqlite(readers) => readers.read(move |connection| events::read(connection, &query)).await,
            Reads::Postgres(reads) => reads.events(&query).await,
        }
    }

    /// The place of the event with this id, if there is one.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn sequence_of(&self, event_id: Uuid) -> Result<Option<Sequence>, ReadError> {
        match &self.reads {
            Reads::Sqlite(readers) => {
                readers.read(move |connection| events::sequence_of(connection, event_id)).await
            }
            Reads::Postgres(reads) => reads.sequence_of(event_id).await,
        }
    }

    /// The place of the room's event before its newest `count`; the start of the log if it has not more. A reading that
    /// begins behind it looks at no more than so many events of the room, whatever happens elsewhere.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn before_newest(
        &self,
        tenant: &TenantId,
        room: &RoomId,
        count: u32,
    ) -> Result<Sequence, ReadError> {
        let (tenant, room) = (tenant.clone(), room.clone());
        match &self.reads {
            Reads::Sqlite(readers) => {
                readers.read(move |connection| events::before_newest(connection, &tenant, &room, count)).await
            }
            Reads::Postgres(reads) => reads.before_newest(&tenant, &room, count).await,
        }
    }

    /// The events at these places, in this order: all of them, or as many as a page holds.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn events_at(&self, places: Vec<Sequence>) -> Result<Vec<LoggedEvent>, ReadError> {
        match &self.reads {
            Reads::Sqlite(readers) => {
                readers.read(move |connection| events::at(connection, &places, MAX_PAGE_BYTES)).await
            }
            Reads::Postgres(reads) => reads.events_at(&places, MAX_PAGE_BYTES).await,
        }
    }

    /// The record with this key.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn get<R: Record>(&self, key: Key) -> Result<Option<R>, ReadError> {
        let stored = match &self.reads {
            Reads::Sqlite(readers) => {
                readers.read(move |connection| records::get(connection, R::TABLE, &key)).await?
            }
            Reads::Postgres(reads) => reads.get(R::TABLE, key).await?,
        };
        stored.as_ref().map(readable).transpose()
    }

    /// The records that `find` selects.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn find<R: Record>(&self, find: RecordQuery) -> Result<Vec<R>, ReadError> {
        let stored = match &self.reads {
            Reads::Sqlite(readers) => {
                readers.read(move |connection| records::find(connection, &find)).await?
            }
            Reads::Postgres(reads) => reads.find(&find).await?,
        };
        stored.iter().map(readable).collect()
    }

    /// The records with these keys, in their order.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn get_all<R: Record>(&self, keys: Vec<Key>) -> Result<Vec<Option<R>>, ReadError> {
        let stored = match &self.reads {
            Reads::Sqlite(readers) => {
                let get = move |connection: &rusqlite::Connection| {
                    keys.iter().map(|key| records::get(connection, R::TABLE, key)).collect()
                };
                readers.read::<Vec<_>>(get).await?
            }
            Reads::Postgres(reads) => reads.get_all(R::TABLE, keys).await?,
        };
        stored.iter().map(|found| found.as_ref().map(readable).transpose()).collect()
    }

    /// A page of the records that `find` selects: all of them, or as many as a page holds.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn page<R: Record>(&self, find: RecordQuery) -> Result<RecordPage<R>, ReadError> {
        let (stored, may_go_on) = match &self.reads {
            Reads::Sqlite(readers) => {
                readers
                    .read(move |connection| records::find_within(connection, &find, MAX_PAGE_BYTES))
                    .await?
            }
            Reads::Postgres(reads) => reads.find_within(&find, MAX_PAGE_BYTES).await?,
        };
        let records = stored.iter().map(readable).collect::<Result<_, _>>()?;
        Ok(RecordPage { records, may_go_on })
    }

    /// What became of the requests with this correlation id; of one tenant if given.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn trace(
        &self,
        correlation_id: CorrelationId,
        tenant: Option<TenantId>,
    ) -> Result<Option<Trace>, ReadError> {
        match &self.reads {
            Reads::Sqlite(readers) => {
                readers
                    .read(move |connection| traces::read(connection, &correlation_id, tenant.as_ref()))
                    .await
            }
            Reads::Postgres(reads) => reads.trace(&correlation_id, tenant.as_ref()).await,
        }
    }
}

impl Log for Store {
    fn recent_events(&self) -> &RecentEvents {
        &self.recent_events
    }

    fn read_older(&self, query: EventQuery) -> PageFuture<'_> {
        Box::pin(self.older_events(query))
    }
}

fn readable<R: Record>(stored: &StoredRecord) -> Result<R, ReadError> {
    stored.read().map_err(|corrupt| {
        tracing::error!(%corrupt, "a read failed");
        ReadError
    })
}

/// Opens the embedded database, and starts the thread that writes to it.
fn open_sqlite(
    path: PathBuf,
    context: Context,
    changes: Arc<Changes>,
    clock: Arc<dyn Clock>,
    on_commit: Box<dyn Fn(&CommitReport) + Send>,
    waiting: mpsc::Receiver<WriterTask>,
) -> Result<(Arc<RecentEvents>, Reads, JoinHandle<()>), OpenError> {
    let directory = Directory::claim(&path)?;
    let database = directory.database.clone();
    let connection = open::open_writer(&database)?;
    let failed = |error: rusqlite::Error| open::explain(&database, &error);
    let readers = Arc::new(Readers::open(&database).map_err(failed)?);
    let writing = readers.first(|reader| Database::load(connection, reader));
    let writing = writing.transpose().map_err(failed)?.expect("there are readers");
    let (heads, last_at) = writing.heads().map_err(failed)?;
    let recent_events = Arc::new(RecentEvents::new(heads.sequence));
    let writer = Writer {
        database: writing,
        directory,
        context,
        clock,
        recent_events: Arc::clone(&recent_events),
        changes,
        heads,
        last_at,
        on_commit,
    };
    let thread = std::thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || writer.run(waiting))
        .map_err(|error| OpenError::Directory(path, error))?;
    Ok((recent_events, Reads::Sqlite(readers), thread))
}
