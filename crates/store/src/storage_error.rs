//! Why a database did not do something, whichever it is.

use std::error::Error;
use std::path::PathBuf;

use agentcafe_eventlog::{DamagedEvents, ReadError};
use rusqlite::{Error as SqliteError, ErrorCode};
use tokio_postgres::error::SqlState;

/// Why a database did not do something. The text is for the process's log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// SQLite returned an error.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL answered with an error, or the connection was lost.
    #[error("{}", with_causes(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// There is no connection to PostgreSQL.
    #[error("PostgreSQL cannot be reached: {0}")]
    Unreachable(String),
    /// The database holds a value that no version writes.
    #[error("the store holds {0}")]
    Corrupt(String),
    /// A file of the embedded database is gone while it is open.
    #[error("{} was deleted or replaced while it is in use: stop the server, and restore the file", .0.display())]
    FileLost(PathBuf),
    /// Rows of the log are not what was written.
    #[error("{0}")]
    DamagedEvents(DamagedEvents),
}

impl StorageError {
    /// Whether there is no database to write to.
    pub(crate) const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// Whether what is stored is not what was written.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Sqlite(SqliteError::SqliteFailure(failure, _)) => {
                matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            }
            Self::Sqlite(error) => matches!(
                error,
                SqliteError::FromSqlConversionFailure(..)
                    | SqliteError::InvalidColumnType(..)
                    | SqliteError::Utf8Error(..)
            ),
            Self::Postgres(error) => {
                [Some(&SqlState::DATA_CORRUPTED), Some(&SqlState::INDEX_CORRUPTED)].contains(&error.code())
            }
            Self::Unreachable(_) | Self::FileLost(_) => false,
            Self::Corrupt(_) | Self::DamagedEvents(_) => true,
        }
    }

    /// Logs the error of a read, and returns what its caller learns of it.
    pub(crate) fn into_read_error(self) -> ReadError {
        tracing::error!(error = %self, "a read failed");
        match self {
            Self::DamagedEvents(events) => ReadError::DamagedEvents(events),
            error if error.is_damage() => ReadError::Damaged,
            _ => ReadError::Unavailable,
        }
    }

    /// Whether a row has the key of another.
    pub(crate) fn is_duplicate(&self) -> bool {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation),
            Self::Postgres(error) => error.code() == Some(&SqlState::UNIQUE_VIOLATION),
            Self::Unreachable(_) | Self::FileLost(_) | Self::Corrupt(_) | Self::DamagedEvents(_) => false,
        }
    }
}

/// The messages of an error and its causes: that of PostgreSQL's driver alone has few details.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source());
    causes.fold(error.to_string(), |why, cause| format!("{why}: {cause}"))
}
