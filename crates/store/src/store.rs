//! The store as everything above sees it: one door to write through, and questions to ask.

use std::{path::PathBuf, sync::Arc, thread::JoinHandle};

use agentcafe_domain::{
    command::IdSource,
    ids::{CorrelationId, RoomId, Sequence, TenantId},
    moderation::Windows,
    record::{Find, Key, Record, StoredRecord, Table},
    rules::Rules,
    time::Clock,
    trace::Trace,
};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, mpsc::error::TrySendError, oneshot, watch};
use uuid::Uuid;

use crate::{
    changes::Changes,
    envelope::{Answer, Envelope, Failure, TraceNote},
    event_query::{EventPage, EventQuery, LoggedEvent, MAX_PAGE_BYTES},
    sqlite::{
        database::Database,
        events,
        open::{self, Directory, OpenError},
        records, traces,
        writer::{Task, TurnReport, Writer},
    },
    tail::Tail,
    turn::{Context, Job},
};

/// The most commands that wait for a turn; past it a caller is told to come back.
pub const MAX_WAITING_COMMANDS: usize = 4_096;
/// How many connections read beside the writer.
const READERS: usize = 4;

/// What a store is opened with.
pub struct Options {
    /// The data directory; made if it is missing.
    pub directory: PathBuf,
    /// The settings of the rules.
    pub rules: Rules,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Box<dyn IdSource>,
    /// Told of every turn, on the writer's thread.
    pub on_turn: Box<dyn Fn(&TurnReport) + Send>,
}

/// A question that the store could not answer; logged where it happened.
#[derive(Debug, thiserror::Error)]
#[error("the store cannot be read right now")]
pub struct ReadError;

/// A page of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPage<R> {
    /// What was found.
    pub records: Vec<R>,
    /// Whether there may be more behind the last.
    pub may_go_on: bool,
}

struct Readers {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

/// A reading connection on loan: it goes back however the reading ends, also when nobody waits for the answer any more.
struct Loan {
    readers: Arc<Readers>,
    connection: Option<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.readers.idle.lock().extend(self.connection.take());
    }
}

/// The log and the records of a café.
pub struct Store {
    tail: Arc<Tail>,
    changes: Arc<Changes>,
    tasks: mpsc::Sender<Task>,
    readers: Arc<Readers>,
}

/// Closes the store.
pub struct Closing {
    tasks: mpsc::Sender<Task>,
    writer: JoinHandle<()>,
}

impl Closing {
    /// Blocks until all accepted commands are written and the files are closed; later ones are refused.
    pub fn wait(self) {
        // Told from a thread of its own, which may wait for a place in the queue wherever this is called from. If the
        // writer is gone already, there is nobody to tell.
        let _ = std::thread::spawn(move || self.tasks.blocking_send(Task::Close).is_ok()).join();
        if self.writer.join().is_err() {
            tracing::error!("the writer ended with a panic");
        }
    }
}

impl Store {
    /// Opens the store in a directory, or makes it.
    ///
    /// # Errors
    /// [`OpenError`] says why not; nothing was changed then.
    pub fn open(options: Options) -> Result<(Arc<Self>, Closing), OpenError> {
        let directory = Directory::claim(&options.directory)?;
        let database = directory.database.clone();
        let connection = open::open_writer(&database)?;
        let failed = |error: rusqlite::Error| open::explain(&database, &error);
        let idle = (0..READERS).map(|_| open::open_reader(&database)).collect::<Result<Vec<_>, _>>();
        let idle = idle.map_err(failed)?;
        let writing = Database::load(connection, &idle[0]).map_err(failed)?;
        let (heads, last_at) = writing.heads().map_err(failed)?;
        let readers = Readers { idle: Mutex::new(idle), permits: Arc::new(Semaphore::new(READERS)) };
        let tail = Arc::new(Tail::new(heads.sequence));
        let changes = Arc::new(Changes::default());
        let (tasks, waiting) = mpsc::channel(MAX_WAITING_COMMANDS);
        let writer = Writer {
            database: writing,
            directory,
            context: Context { rules: options.rules, ids: options.ids, windows: Windows::default() },
            clock: options.clock,
            tail: Arc::clone(&tail),
            changes: Arc::clone(&changes),
            heads,
            last_at,
            on_turn: options.on_turn,
        };
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || writer.run(waiting))
            .map_err(|error| OpenError::Directory(options.directory, error))?;
        let closing = Closing { tasks: tasks.clone(), writer: thread };
        Ok((Arc::new(Self { tail, changes, tasks, readers: Arc::new(readers) }), closing))
    }

    /// The newest events, and who waits for more.
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// A number that grows with every turn that writes records of this kind: after the commit, and before the turn's events
    /// can be seen.
    pub fn changed(&self, table: &'static Table) -> watch::Receiver<u64> {
        self.changes.watch(table)
    }

    /// Puts a command into a turn, and waits until the turn is committed.
    ///
    /// # Errors
    /// [`Failure::Refused`] by a rule; [`Failure::Unavailable`] when the queue is full or the store cannot be written.
    pub async fn submit(&self, envelope: Envelope) -> Result<Answer, Failure> {
        let (answer, decided) = oneshot::channel();
        self.tasks.try_send(Task::Decide(Job { envelope, answer })).map_err(|refused| match refused {
            TrySendError::Full(_) => Failure::Unavailable("too many commands are waiting"),
            TrySendError::Closed(_) => Failure::Unavailable("the store is closing"),
        })?;
        decided.await.unwrap_or(Err(Failure::Unavailable("the store is closing")))
    }

    /// Keeps the trace of a request that ended before its turn. Under pressure it is dropped: a trace is not worth a wait.
    pub fn note(&self, note: TraceNote) {
        if self.tasks.try_send(Task::Note(note)).is_err() {
            tracing::debug!("a trace was dropped");
        }
    }

    /// Whether the store takes writes: makes one.
    pub async fn probe(&self) -> bool {
        self.ask(Task::Probe).await
    }

    /// Deletes a batch of expired keys; whether there may be more.
    pub async fn purge(&self) -> bool {
        self.ask(Task::Purge).await
    }

    async fn ask(&self, task: impl FnOnce(oneshot::Sender<bool>) -> Task) -> bool {
        let (answer, answered) = oneshot::channel();
        self.tasks.try_send(task(answer)).is_ok() && answered.await.unwrap_or(false)
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let permit = Arc::clone(&self.readers.permits).acquire_owned().await.map_err(|_| ReadError)?;
        let connection = self.readers.idle.lock().pop();
        let loan = Loan { readers: Arc::clone(&self.readers), connection, _permit: permit };
        let answered = tokio::task::spawn_blocking(move || {
            let connection = loan.connection.as_ref().ok_or(ReadError)?;
            question(connection).map_err(|error| {
                tracing::error!(%error, "a read failed");
                ReadError
            })
        });
        answered.await.map_err(|_| ReadError)?
    }

    /// A page of the log: from memory if all of it is there.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn events(&self, query: EventQuery) -> Result<EventPage, ReadError> {
        match self.tail.read(&query) {
            Some(page) => Ok(page),
            None => self.read(move |connection| events::read(connection, &query)).await,
        }
    }

    /// The events at these places, in this order: all of them, or as many as a page holds.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn events_at(&self, places: Vec<Sequence>) -> Result<Vec<LoggedEvent>, ReadError> {
        self.read(move |connection| events::at(connection, &places, MAX_PAGE_BYTES)).await
    }

    /// The place of the event with this id, if there is one.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn sequence_of(&self, event_id: Uuid) -> Result<Option<Sequence>, ReadError> {
        self.read(move |connection| events::sequence_of(connection, event_id)).await
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
        self.read(move |connection| events::before_newest(connection, &tenant, &room, count)).await
    }

    /// The record with this key.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn get<R: Record>(&self, key: Key) -> Result<Option<R>, ReadError> {
        let stored = self.read(move |connection| records::get(connection, R::TABLE, &key)).await?;
        stored.as_ref().map(readable).transpose()
    }

    /// The records with these keys, in their order.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn get_all<R: Record>(&self, keys: Vec<Key>) -> Result<Vec<Option<R>>, ReadError> {
        let get = move |connection: &Connection| {
            keys.iter()
                .map(|key| records::get(connection, R::TABLE, key))
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        let stored = self.read(get).await?;
        stored.iter().map(|found| found.as_ref().map(readable).transpose()).collect()
    }

    /// The records that `find` selects.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn find<R: Record>(&self, find: Find) -> Result<Vec<R>, ReadError> {
        let stored = self.read(move |connection| records::find(connection, &find)).await?;
        stored.iter().map(readable).collect()
    }

    /// A page of the records that `find` selects: all of them, or as many as a page holds.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn page<R: Record>(&self, find: Find) -> Result<RecordPage<R>, ReadError> {
        let found = self.read(move |connection| records::find_within(connection, &find, MAX_PAGE_BYTES));
        let (stored, may_go_on) = found.await?;
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
        self.read(move |connection| traces::read(connection, &correlation_id, tenant.as_ref())).await
    }
}

fn readable<R: Record>(stored: &StoredRecord) -> Result<R, ReadError> {
    stored.read().map_err(|unreadable| {
        tracing::error!(%unreadable, "a read failed");
        ReadError
    })
}
