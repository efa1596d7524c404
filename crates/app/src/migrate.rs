//! `agentcafe migrate`: the schema of a PostgreSQL database, brought to this version by hand.

use agentcafe_store::{MayChange, Migrated, StoreLocation, migrate};
use anyhow::bail;

use crate::cli::MigrateOptions;
use crate::config::{Sources, storage};

/// Migrates, and says on standard error what was done.
///
/// # Errors
/// There is no such database, it has another history, or, with `--check`, something is missing.
pub(crate) fn run(options: MigrateOptions, sources: &Sources) -> anyhow::Result<()> {
    let StoreLocation::Postgres(database) = storage(sources)? else {
        bail!("DATABASE_URL is not set; the embedded database looks after its schema by itself");
    };
    let may_change = if options.check { MayChange::No } else { MayChange::Yes };
    let Migrated { before, applied } = migrate(&database, may_change)?;
    match (applied.join(", "), options.check) {
        (names, _) if names.is_empty() => {
            eprintln!("agentcafe: the schema is up to date ({before} migrations)")
        }
        (names, false) => eprintln!("agentcafe: applied {names}"),
        (names, true) => bail!("missing: {names}; run agentcafe migrate"),
    }
    Ok(())
}
