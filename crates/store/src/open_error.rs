//! Why a store cannot be opened, whichever database it is in.

use std::io;
use std::path::PathBuf;

use agentcafe_domain::kernel::Sequence;

/// Why a store cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be created or used.
    #[error("the data directory {0} cannot be used: {1}")]
    Directory(PathBuf, io::Error),
    /// Another process uses it.
    #[error(
        "the data directory {0} is in use by another process; stop it, or give this one another AGENTCAFE_DATA_DIR"
    )]
    Locked(PathBuf),
    /// The file is not an intact database of AgentCafe.
    #[error(
        "the store {0} is damaged or not a store of AgentCafe ({1}); it was left untouched: restore it from a backup, or move it away to start with an empty one"
    )]
    Damaged(PathBuf, String),
    /// The log has lost events since the high-water mark was written, or is another log.
    #[error(
        "the log in {database} had events up to {head}, but {found}; restore its newest copy, or start with --accept-shorter-log: the server then continues with what is there, and clients with a cursor of the lost events get a reset"
    )]
    ShorterLog {
        /// The database.
        database: PathBuf,
        /// The last event that the log is known to have had.
        head: Sequence,
        /// What is there now.
        found: String,
    },
    /// It can be read but not written.
    #[error("the store {0} cannot be written: {1}")]
    ReadOnly(PathBuf, String),
    /// PostgreSQL cannot be reached, or its schema does not fit this version.
    #[error("the database of DATABASE_URL cannot be used: {0}")]
    Database(String),
    /// Another version wrote it.
    #[error("the store {0} does not fit this version: {1}")]
    Version(PathBuf, String),
    /// The thread that writes cannot be started.
    #[error("the writer's thread cannot be started: {0}")]
    Writer(#[source] io::Error),
}
