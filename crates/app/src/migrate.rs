//! `agentcafe migrate`: migrates the schema of a PostgreSQL database to this version.

use agentcafe_store::{MayChange, Migrated, StoreLocation, migrate};
use anyhow::bail;

use crate::cli::MigrateOptions;
use crate::config::{Sources, storage};

/// Migrates, and prints the applied migrations to standard error.
///
/// # Errors
/// The database does not exist, or has unknown migrations; with `--check`, also if a migration is missing.
pub(crate) fn run(options: MigrateOptions, sources: &Sources) -> anyhow::Result<()> {
    let StoreLocation::Postgres(database) = storage(sources)? else {
        bail!(
            "DATABASE_URL is not set: set it to the PostgreSQL database to migrate (the embedded database migrates when it is opened)"
        );
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
