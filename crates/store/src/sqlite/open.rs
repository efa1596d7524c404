//! Opening an embedded store: one process per data directory, and no file is changed that is not an intact database of
//! AgentCafe.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentcafe_domain::kernel::{Clock, Heads};
use agentcafe_eventlog::{LogPosition, RecentEvents};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::reader::SqliteReader;
use super::search_index::{self, SqliteIndex};
use super::storage::{SqliteStorage, log_head};
use super::{file_check, file_modes, log_identity, migrations};
use crate::open_error::OpenError;
use crate::storage::{Opened, Snapshot, View};
use crate::storage_error::StorageError;

/// Marks the file as a database of AgentCafe: "AgCf".
const APPLICATION_ID: i64 = 0x4167_4366;
/// The database's file in the data directory.
const FILE_NAME: &str = "agentcafe.db";
const LOCK_NAME: &str = "agentcafe.lock";
const PAGE_BYTES: u32 = 8_192;
/// A connection's page cache, in KiB.
const WRITER_CACHE_KIB: i64 = 32_768;
const READER_CACHE_KIB: i64 = 1_024;

/// A data directory, locked for as long as this lives.
pub(super) struct DataDirectory {
    pub(super) database: PathBuf,
    _lock: File,
}

impl DataDirectory {
    /// Creates the directory if it is missing, and locks it. Its files can be read by their owner only.
    pub(super) fn lock(path: &Path) -> Result<Self, OpenError> {
        let unusable = |error| OpenError::Directory(path.to_owned(), error);
        file_modes::create_directory(path).map_err(unusable)?;
        let (database, lock_path) = (path.join(FILE_NAME), path.join(LOCK_NAME));
        let lock = file_modes::open_or_create(&lock_path).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {
                let others =
                    ["db-wal", "db-shm", "mark", "key"].map(|extension| database.with_extension(extension));
                let index = search_index::files(&database);
                let files = [&lock_path, &database].into_iter().chain(&others).chain(&index);
                file_modes::tighten(path, files.map(PathBuf::as_path));
                Ok(Self { database, _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }
}

/// Opens the store in a directory, which is created if it is missing.
pub(crate) async fn open(
    path: PathBuf,
    accept_shorter_log: bool,
    clock: Arc<dyn Clock>,
) -> Result<Opened<SqliteStorage>, OpenError> {
    let directory = DataDirectory::lock(&path)?;
    let database = directory.database.clone();
    let has_new_epoch = log_identity::check(&database, accept_shorter_log)?;
    let connection = open_writer(&database)?;
    let failed = |error: rusqlite::Error| explain(&database, &error);
    if has_new_epoch {
        log_identity::begin_epoch(&connection).map_err(failed)?;
    }
    let log_id = log_identity::log_id(&connection).map_err(failed)?;
    let reader = SqliteReader::open(&database).map_err(failed)?;
    let loaded = reader.read_now(|reader| SqliteStorage::load(connection, reader, clock, directory));
    let mut storage = loaded.expect("no connection is in use yet").map_err(failed)?;
    let head = storage.head().heads.sequence;
    let recent_events = Arc::new(RecentEvents::new(head));
    storage
        .keep_mark(LogPosition { head, log_id: log_id.clone() }, &recent_events)
        .map_err(OpenError::Writer)?;
    let (clock, index) = (storage.clock(), SqliteIndex::new(&database, &log_id));
    Ok(Opened { storage, view: View { reader, recent_events, clock, log_id, index } })
}

/// Opens the connection that writes; creates or migrates the schema.
pub(super) fn open_writer(database: &Path) -> Result<Connection, OpenError> {
    let is_new = file_check::check(database)?;
    let damaged = |error: rusqlite::Error| explain(database, &error);
    if is_new {
        // SQLite gives its other files the mode of this one.
        file_modes::open_or_create(database)
            .map_err(|error| OpenError::Directory(database.to_owned(), error))?;
    }
    let connection = Connection::open(database).map_err(damaged)?;
    if is_new {
        let layout = format!("PRAGMA page_size={PAGE_BYTES}; PRAGMA application_id={APPLICATION_ID};");
        connection.execute_batch(&layout).map_err(damaged)?;
    }
    check_owner(&connection, database)?;
    // A deleted value may be a secret: its bytes are overwritten, where that writes no additional page.
    connection
        .execute_batch(&format!(
            "PRAGMA secure_delete=FAST; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON;
             PRAGMA cache_size=-{WRITER_CACHE_KIB}; PRAGMA journal_size_limit=67108864;"
        ))
        .map_err(damaged)?;
    keep_plans(&connection).map_err(damaged)?;
    connection.set_prepared_statement_cache_capacity(256);
    migrations::apply(&connection, database)?;
    check_content(&connection).map_err(damaged)?;
    Ok(connection)
}

fn check_owner(connection: &Connection, database: &Path) -> Result<(), OpenError> {
    let application: i64 = connection
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .map_err(|error| explain(database, &error))?;
    if application == APPLICATION_ID {
        Ok(())
    } else {
        Err(OpenError::Damaged(database.to_owned(), "it belongs to another application".to_owned()))
    }
}

/// What the store in a directory holds now, also while a server writes to it; none if there is no store.
///
/// # Errors
/// [`OpenError`] if it is damaged, not of AgentCafe or not of this version.
pub(crate) fn snapshot(directory: &Path) -> Result<Option<Connection>, OpenError> {
    let database = directory.join(FILE_NAME);
    // A server may write a checkpoint while the files are checked: a damaged file fails the second check, too.
    if file_check::check(&database).or_else(|_| file_check::check(&database))? {
        return Ok(None);
    }
    let failed = |error: rusqlite::Error| explain(&database, &error);
    let connection = open_reader(&database).map_err(failed)?;
    check_owner(&connection, &database)?;
    migrations::require(&connection, &database)?;
    connection.execute_batch("BEGIN").map_err(failed)?;
    Ok(Some(connection))
}

impl Snapshot for Connection {
    const KEYS: &'static str = "SELECT identity, request, expires_at_ms, correlation_id, success, data
                                FROM idempotency_keys JOIN idempotency_replies USING (id) ORDER BY id";
    const READS_ON: bool = true;
    const UNINDEXED: &'static str = "+";

    fn heads(&self) -> Result<Heads, StorageError> {
        Ok(log_head(self)?.heads)
    }
}

/// Opens a connection that only reads.
pub(super) fn open_reader(database: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.execute_batch(&format!(
        "PRAGMA query_only=ON; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON; PRAGMA cache_size=-{READER_CACHE_KIB};"
    ))?;
    keep_plans(&connection)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// Plans a statement once instead of once for each bound value: the values hardly change the plan, and planning costs more than
/// running.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

/// Reads both ends of the log and one row of every index: quick at any size, and enough to detect a file whose pages were
/// overwritten.
fn check_content(connection: &Connection) -> rusqlite::Result<()> {
    for query in [
        "SELECT json FROM events ORDER BY sequence ASC LIMIT 1",
        "SELECT json FROM events ORDER BY sequence DESC LIMIT 1",
        "SELECT event_id FROM events ORDER BY event_id DESC LIMIT 1",
        "SELECT room_id FROM events ORDER BY tenant_id DESC, room_id DESC LIMIT 1",
        "SELECT identity FROM idempotency_keys ORDER BY id DESC LIMIT 1",
        "SELECT data FROM idempotency_replies ORDER BY id DESC LIMIT 1",
        "SELECT place FROM idempotency_index ORDER BY place DESC LIMIT 1",
        "SELECT steps FROM traces_even ORDER BY id DESC LIMIT 1",
        "SELECT steps FROM traces_odd ORDER BY id DESC LIMIT 1",
        "SELECT json FROM inbox_items ORDER BY inbox_seq DESC LIMIT 1",
    ] {
        let mut statement = connection.prepare(query)?;
        let mut rows = statement.query([])?;
        if let Some(row) = rows.next()? {
            row.get_ref(0)?;
        }
    }
    Ok(())
}

/// What an error of SQLite while opening means to the operator.
pub(super) fn explain(database: &Path, error: &rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode as Sqlite;
    let path = database.to_owned();
    match error.sqlite_error_code() {
        Some(Sqlite::ReadOnly | Sqlite::CannotOpen | Sqlite::PermissionDenied | Sqlite::DiskFull) => {
            OpenError::ReadOnly(path, error.to_string())
        }
        Some(Sqlite::DatabaseBusy | Sqlite::DatabaseLocked) => OpenError::Locked(path),
        _ => OpenError::Damaged(path, error.to_string()),
    }
}
