//! `agentcafe new-epoch`: gives the log of a restored store a new id.

use agentcafe_store::begin_epoch;

use crate::cli::NewEpochOptions;
use crate::config::{Sources, storage_in};

/// Begins the epoch, and prints the new id of the log to standard error.
///
/// # Errors
/// There is no store, or a server uses it.
pub(crate) fn run(options: NewEpochOptions, sources: &Sources) -> anyhow::Result<()> {
    let log_id = begin_epoch(&storage_in(options.data_dir, sources)?)?;
    eprintln!("agentcafe: the log has the id {log_id} now");
    Ok(())
}
