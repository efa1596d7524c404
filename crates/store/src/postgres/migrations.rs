//! The schema, step by step, under an advisory lock: nodes that start together do it once.

use sha2::{Digest, Sha256};
use tokio_postgres::{Client, Error};

use super::open::with_causes;

const MIGRATIONS: [(&str, &str); 1] = [("0001_initial", include_str!("migrations/0001_initial.sql"))];

/// The table that remembers what was applied.
const HISTORY: &str = "CREATE TABLE schema_migrations (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum MigrationError {
    /// The database did not do it.
    #[error("{}", with_causes(.0))]
    Database(#[from] Error),
    /// It has another history than this version knows.
    #[error("{0}")]
    Unfit(String),
}

fn checksum(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What became of the schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// The migrations that were there before.
    pub before: usize,
    /// The migrations that were applied now; or that would be, if nothing may change.
    pub applied: Vec<&'static str>,
}

/// Whether the schema may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayChange {
    /// It is brought to this version.
    Yes,
    /// What is missing is told.
    No,
}

/// Brings the schema to this version, or, if it must not, tells what is missing.
pub(super) async fn apply(
    client: &Client,
    lock_key: i64,
    may_change: MayChange,
) -> Result<Migrated, MigrationError> {
    // It takes as long as it takes, the wait for another node included.
    client.batch_execute("SET statement_timeout = 0").await?;
    let free: bool = client.query_one("SELECT pg_try_advisory_lock($1)", &[&lock_key]).await?.try_get(0)?;
    if !free {
        tracing::info!("another process looks after the schema; waiting for it");
        client.query("SELECT pg_advisory_lock($1)", &[&lock_key]).await?;
    }
    // If it fails, the lock goes with the connection: its transaction may not be over.
    let migrated = apply_locked(client, may_change).await?;
    client.query("SELECT pg_advisory_unlock($1)", &[&lock_key]).await?;
    Ok(migrated)
}

/// The migrations that the database has, in their order, with their checksums.
async fn history(client: &Client, may_change: MayChange) -> Result<Vec<(String, String)>, MigrationError> {
    let known: Option<String> =
        client.query_one("SELECT to_regclass('schema_migrations')::text", &[]).await?.try_get(0)?;
    if known.is_none() {
        if may_change == MayChange::Yes {
            client.batch_execute(HISTORY).await?;
        }
        return Ok(Vec::new());
    }
    let rows = client.query("SELECT name, checksum FROM schema_migrations ORDER BY name", &[]).await?;
    Ok(rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, Error>>()?)
}

async fn apply_locked(client: &Client, may_change: MayChange) -> Result<Migrated, MigrationError> {
    let history = history(client, may_change).await?;
    for (at, (name, sum)) in history.iter().enumerate() {
        match MIGRATIONS.get(at) {
            Some((known, sql)) if known == name && checksum(sql) == *sum => {}
            Some((known, _)) if known == name => {
                return Err(MigrationError::Unfit(format!(
                    "migration {name} was applied with another content"
                )));
            }
            _ => {
                return Err(MigrationError::Unfit(format!(
                    "migration {name} is unknown; the database was written by a newer version"
                )));
            }
        }
    }
    let missing = &MIGRATIONS[history.len()..];
    for (name, sql) in missing.iter().filter(|_| may_change == MayChange::Yes) {
        let step = format!(
            "BEGIN; {sql}; INSERT INTO schema_migrations (name, checksum) VALUES ('{name}', '{}'); COMMIT",
            checksum(sql)
        );
        client.batch_execute(&step).await?;
        tracing::info!(migration = name, "applied");
    }
    Ok(Migrated { before: history.len(), applied: missing.iter().map(|(name, _)| *name).collect() })
}
