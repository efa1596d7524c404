//! The index in a file beside the database, so that no commit batch waits for it. It is written on a thread of its own, which
//! gives way to others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use agentcafe_domain::kernel::Sequence;
use agentcafe_domain::search::{Document, DocumentKind};
use agentcafe_eventlog::ReadError;
use parking_lot::RwLock;
use rusqlite::{Connection, TransactionBehavior, params};
use tokio::sync::{Notify, oneshot};

use super::connection::execute;
use super::open::{explain, open_reader};
use super::reader::SqliteReader;
use super::{file_check, file_modes};
use crate::index_rows::{COLUMNS, entry_values, identity};
use crate::open_error::OpenError;
use crate::reads::ReadRequest;
use crate::rows::Parameter;
use crate::sql::{number, sequence};
use crate::storage_error::StorageError;

const SCHEMA: &str = include_str!("search_index.sql");
/// How much the thread that writes gives way to others, as `nice` counts.
const NICE: i32 = 15;
const CACHE_KIB: i64 = 8_192;

/// The files of the index of a database.
pub(super) fn files(database: &Path) -> [PathBuf; 3] {
    ["agentcafe-search.db", "agentcafe-search.db-wal", "agentcafe-search.db-shm"]
        .map(|name| database.with_file_name(name))
}

/// Opens the index of the store in a directory to read all of it; none if it has none.
///
/// # Errors
/// It is damaged.
pub(crate) fn snapshot(directory: &Path) -> Result<Option<Connection>, OpenError> {
    let [database, ..] = files(&directory.join("agentcafe.db"));
    if file_check::check(&database)? {
        return Ok(None);
    }
    open_reader(&database).map(Some).map_err(|error| explain(&database, &error))
}

/// The index of an embedded store.
pub(crate) struct SqliteIndex {
    files: [PathBuf; 3],
    identity: String,
    open: RwLock<Option<Arc<OpenIndex>>>,
    lost: Notify,
}

/// The connections of an index. What writes is closed last, and then removes the write-ahead log.
struct OpenIndex {
    reader: SqliteReader,
    writer: IndexWriter,
}

impl SqliteIndex {
    /// The index of a database. It is not open yet.
    pub(super) fn new(database: &Path, log_id: &str) -> Self {
        Self {
            files: files(database),
            identity: identity(log_id),
            open: RwLock::default(),
            lost: Notify::new(),
        }
    }

    fn current(&self) -> Option<Arc<OpenIndex>> {
        self.open.read().clone()
    }

    /// Opens the index, or creates it anew, and returns its cursor.
    pub(crate) async fn resume(&self, head: Sequence) -> Result<Sequence, StorageError> {
        if let Some(open) = self.current() {
            match open.writer.run(|connection| stored_cursor(connection)).await {
                Ok((_, cursor)) if cursor <= head => return Ok(cursor),
                Err(error) if !error.is_damage() => return Err(error),
                _ => {}
            }
        }
        *self.open.write() = None;
        let (files, identity) = (self.files.clone(), self.identity.clone());
        let opening = tokio::task::spawn_blocking(move || open_or_create(&files, &identity, head));
        let (open, cursor) =
            opening.await.map_err(|_| StorageError::Corrupt("a panic".to_owned())).flatten()?;
        *self.open.write() = Some(Arc::new(open));
        Ok(cursor)
    }

    /// Answers a request; none while the index is not open. One that is damaged is closed.
    pub(crate) async fn read<R: ReadRequest>(&self, request: R) -> Result<Option<R::Answer>, ReadError> {
        let Some(open) = self.current() else { return Ok(None) };
        match open.reader.read(request).await {
            Err(ReadError::Damaged) => {
                self.forget(&open);
                Err(ReadError::Unavailable)
            }
            answer => answer.map(Some),
        }
    }

    /// Adds documents and moves the cursor, unless it is elsewhere.
    pub(crate) async fn write(
        &self,
        after: Sequence,
        documents: Vec<Document>,
        to: Sequence,
    ) -> Result<bool, StorageError> {
        let Some(open) = self.current() else { return Ok(false) };
        let written = open.writer.run(move |connection| write(connection, after, &documents, to)).await;
        if written.as_ref().is_err_and(StorageError::is_damage) {
            self.forget(&open);
        }
        written
    }

    /// Closes an index that is damaged. The next one that opens it creates it anew.
    fn forget(&self, damaged: &Arc<OpenIndex>) {
        let mut open = self.open.write();
        if open.as_ref().is_some_and(|open| Arc::ptr_eq(open, damaged)) {
            tracing::error!("the index of messages and words is damaged, and is built anew");
            remove(&self.files);
            *open = None;
            self.lost.notify_one();
        }
    }

    /// Waits until the index was found to be damaged.
    pub(crate) async fn lost(&self) {
        self.lost.notified().await;
    }
}

/// A job for the thread that writes.
type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The connection that writes, on its thread.
struct IndexWriter {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl IndexWriter {
    fn start(mut connection: Connection) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("index".to_owned()).spawn(move || {
            give_way();
            while let Ok(job) = queue.recv() {
                job(&mut connection);
            }
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| drop(answer.send(work(connection))));
        let ended = || StorageError::Corrupt("an index whose writer has ended".to_owned());
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(ended)?;
        answered.await.map_err(|_| ended())?
    }
}

impl Drop for IndexWriter {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the index ended with a panic");
        }
    }
}

/// Lowers the priority of this thread.
fn give_way() {
    // Elsewhere a priority is that of the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the thread of the index keeps its priority");
    }
}

fn remove(files: &[PathBuf; 3]) {
    for file in files {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %file.display(), %error, "a file of the index was not removed");
            }
            _ => {}
        }
    }
}

/// Opens the index in these files, unless it is of no use; then creates it anew.
fn open_or_create(
    files: &[PathBuf; 3],
    identity: &str,
    head: Sequence,
) -> Result<(OpenIndex, Sequence), StorageError> {
    let database = &files[0];
    let (connection, cursor) = match open_existing(database, identity, head) {
        Ok(opened) => opened,
        Err(why) => {
            if head > Sequence::START {
                tracing::info!(path = %database.display(), why, "the index of messages and words is built anew");
            }
            remove(files);
            (create(database, identity)?, Sequence::START)
        }
    };
    let failed = |error: io::Error| StorageError::Unreachable(error.to_string());
    let reader = SqliteReader::open(database)?;
    Ok((OpenIndex { reader, writer: IndexWriter::start(connection).map_err(failed)? }, cursor))
}

/// Opens an index that is intact, as far as a glance shows.
///
/// # Errors
/// Why it is of no use.
fn open_existing(database: &Path, identity: &str, head: Sequence) -> Result<(Connection, Sequence), String> {
    if file_check::check(database).map_err(|error| error.to_string())? {
        return Err("there is none".to_owned());
    }
    let open = || {
        let connection = connect(database)?;
        let newest = "SELECT count(*) FROM (SELECT id FROM search_documents ORDER BY sequence DESC LIMIT 1)";
        connection.query_row(newest, [], |row| row.get::<_, i64>(0))?;
        let found = stored_cursor(&connection)?;
        Ok((connection, found))
    };
    let (connection, (found, cursor)) = open().map_err(|error: StorageError| error.to_string())?;
    if found != identity {
        return Err("it is of another log or version".to_owned());
    }
    if cursor > head {
        return Err("it is ahead of the log".to_owned());
    }
    Ok((connection, cursor))
}

fn create(database: &Path, identity: &str) -> Result<Connection, StorageError> {
    let failed = |error: io::Error| StorageError::Unreachable(error.to_string());
    // SQLite gives its other files the mode of this one.
    file_modes::open_or_create(database).map_err(failed)?;
    let mut connection = connect(database)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute("INSERT INTO search_state (identity, cursor) VALUES (?1, 0)", [identity])?;
    transaction.commit()?;
    Ok(connection)
}

/// Opens the connection that writes. What a power cut takes from it, it gets from the log again.
fn connect(database: &Path) -> Result<Connection, StorageError> {
    let connection = Connection::open(database)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON;
         PRAGMA cache_size=-{CACHE_KIB}; PRAGMA journal_size_limit=16777216;"
    ))?;
    Ok(connection)
}

/// The identity and the cursor of an index.
fn stored_cursor(connection: &Connection) -> Result<(String, Sequence), StorageError> {
    let select = "SELECT identity, cursor FROM search_state";
    Ok(connection.query_row(select, [], |row| Ok((row.get(0)?, sequence(row.get(1)?))))?)
}

fn write(
    connection: &mut Connection,
    after: Sequence,
    documents: &[Document],
    to: Sequence,
) -> Result<bool, StorageError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let move_cursor = "UPDATE search_state SET cursor = ?2 WHERE cursor = ?1";
    let moved = transaction.prepare_cached(move_cursor)?.execute([after, to].map(number))?;
    if moved == 0 {
        return Ok(false);
    }
    let insert = format!("INSERT INTO search_documents ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    for document in documents {
        if document.entry.kind != DocumentKind::Message {
            remove_record(&transaction, document)?;
        }
        execute(&transaction, &insert, entry_values(&document.entry))?;
        let words = document.words().collect::<Vec<_>>().join(" ");
        let values = [Parameter::Integer(number(document.entry.sequence)), Parameter::Text(&words)];
        execute(&transaction, "INSERT INTO search_words (rowid, words) VALUES (?1, ?2)", values)?;
    }
    transaction.commit()?;
    Ok(true)
}

/// Removes the document that the record had.
fn remove_record(connection: &Connection, document: &Document) -> Result<(), StorageError> {
    let entry = &document.entry;
    let select = "SELECT sequence FROM search_documents WHERE tenant_id = ?1 AND id = ?2 AND kind = ?3";
    let key = params![entry.tenant_id.as_str(), entry.id, entry.kind.as_str()];
    let mut statement = connection.prepare_cached(select)?;
    let old = statement.query_map(key, |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    for sequence in old {
        connection.prepare_cached("DELETE FROM search_documents WHERE sequence = ?1")?.execute([sequence])?;
        connection.prepare_cached("DELETE FROM search_words WHERE rowid = ?1")?.execute([sequence])?;
    }
    Ok(())
}
