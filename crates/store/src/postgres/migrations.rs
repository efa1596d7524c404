//! The schema, step by step, under an advisory lock: nodes that start together do it once.

use sha2::{Digest, Sha256};
use tokio_postgres::{Client, Error};

const MIGRATIONS: [(&str, &str); 1] = [("0001_initial", include_str!("migrations/0001_initial.sql"))];

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum MigrationError {
    /// The database did not do it.
    #[error(transparent)]
    Database(#[from] Error),
    /// It has another history than this version knows.
    #[error("{0}")]
    Unfit(String),
}

fn checksum(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Brings the schema to this version, or, if it must not, checks that it is there.
pub(super) async fn apply(client: &Client, lock_key: i64, may_change: bool) -> Result<(), MigrationError> {
    // It takes as long as it takes, the wait for another node included.
    client.batch_execute("SET statement_timeout = 0").await?;
    client.query("SELECT pg_advisory_lock($1)", &[&lock_key]).await?;
    let applied = apply_locked(client, may_change).await;
    client.query("SELECT pg_advisory_unlock($1)", &[&lock_key]).await?;
    applied
}

async fn apply_locked(client: &Client, may_change: bool) -> Result<(), MigrationError> {
    let known: Option<String> =
        client.query_one("SELECT to_regclass('schema_migrations')::text", &[]).await?.try_get(0)?;
    if known.is_none() && may_change {
        client
            .batch_execute(
                "CREATE TABLE schema_migrations (
                     name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
            )
            .await?;
    }
    let applied = match known.is_some() || may_change {
        true => client.query("SELECT name, checksum FROM schema_migrations ORDER BY name", &[]).await?,
        false => Vec::new(),
    };
    for (at, row) in applied.iter().enumerate() {
        let (name, sum): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        match MIGRATIONS.get(at) {
            Some((known, sql)) if *known == name && checksum(sql) == sum => {}
            Some((known, _)) if *known == name => {
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
    let missing = &MIGRATIONS[applied.len()..];
    if let Some((name, _)) = missing.first().filter(|_| !may_change) {
        return Err(MigrationError::Unfit(format!(
            "migration {name} is missing, and API_DB_AUTO_MIGRATE is false; run agentcafe migrate"
        )));
    }
    for (name, sql) in missing {
        let step = format!(
            "BEGIN; {sql}; INSERT INTO schema_migrations (name, checksum) VALUES ('{name}', '{}'); COMMIT",
            checksum(sql)
        );
        client.batch_execute(&step).await?;
        tracing::info!(migration = name, "applied");
    }
    Ok(())
}
