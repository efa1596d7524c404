//! `agentcafe import`: imports an export into an empty store.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use agentcafe_domain::kernel::Clock;
use agentcafe_engine::clock::SystemClock;
use agentcafe_store::Totals;
use agentcafe_store::import::{Imported, import};
use anyhow::Context;

use crate::cli::ImportOptions;
use crate::config::{Sources, storage_in};

/// The size of the read buffer, in bytes.
const READ_BYTES: usize = 1 << 20;

/// Imports, and prints the counts to standard error.
///
/// # Errors
/// The file is incomplete or not an export, or the store is in use or not empty. Nothing is imported then.
pub(crate) fn run(options: ImportOptions, sources: &Sources) -> anyhow::Result<()> {
    let store = storage_in(options.data_dir, sources)?;
    let now = SystemClock::of_this_boot().now();
    let imported = match options.file.as_deref().filter(|file| *file != Path::new("-")) {
        None => import(&store, io::stdin().lock(), now)?,
        Some(name) => {
            let file = File::open(name).with_context(|| format!("{} cannot be read", name.display()))?;
            import(&store, BufReader::with_capacity(READ_BYTES, file), now)?
        }
    };
    match imported {
        Imported::Done(Totals { events, records, keys }) => {
            eprintln!("agentcafe: imported {events} events, {records} records, {keys} idempotency keys");
        }
        Imported::Before(at) => {
            eprintln!("agentcafe: nothing to do: the same file was imported at {at}; nothing was changed");
        }
    }
    Ok(())
}
