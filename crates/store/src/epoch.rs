//! Begins a new epoch of a log: after a restore, clients can then see that their cursors are of another log.

use crate::open_error::OpenError;
use crate::postgres::blocking::BlockingPostgres;
use crate::sqlite::log_identity;
use crate::store::StoreLocation;

/// Begins a new epoch of the log in a store that no server uses. Returns the new id of the log.
///
/// # Errors
/// [`OpenError`]: there is no store, it is in use, or it cannot be written.
pub fn begin_epoch(location: &StoreLocation) -> Result<String, OpenError> {
    match location {
        StoreLocation::Directory(directory) => log_identity::begin_epoch_in(directory),
        StoreLocation::Postgres(options) => BlockingPostgres::begin_epoch(options),
    }
}
