//! The schema in PostgreSQL, step by step, under an advisory lock: nodes that start together migrate once.

use agentcafe_domain::kernel::StoredRecord;
use tokio_postgres::{Client, Error};

use crate::actor_names::{self, ActorNames};
use crate::migrations::{MayChange, Migrated, Migration, checksum, missing};
use crate::storage_error::with_causes;

const MIGRATIONS: [Migration; 12] = [
    ("0001_initial", include_str!("migrations/0001_initial.sql")),
    ("0002_api_keys", include_str!("migrations/0002_api_keys.sql")),
    ("0003_log_identity", include_str!("migrations/0003_log_identity.sql")),
    ("0004_owners", include_str!("migrations/0004_owners.sql")),
    (actor_names::MIGRATION, include_str!("migrations/0005_actor_names.sql")),
    ("0006_clock_anchors", include_str!("migrations/0006_clock_anchors.sql")),
    ("0007_event_checksums", include_str!("migrations/0007_event_checksums.sql")),
    ("0008_webhook_retention", include_str!("migrations/0008_webhook_retention.sql")),
    ("0009_reaction_progress", include_str!("migrations/0009_reaction_progress.sql")),
    ("0010_key_expiry", include_str!("migrations/0010_key_expiry.sql")),
    ("0011_message_bodies", include_str!("migrations/0011_message_bodies.sql")),
    ("0012_search_index", include_str!("migrations/0012_search_index.sql")),
];

/// The table of the migrations that were applied.
const HISTORY: &str = "CREATE TABLE schema_migrations (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum MigrationError {
    /// The database answered with an error.
    #[error("{}", with_causes(.0))]
    Database(#[from] Error),
    /// Its migrations are not those of this version.
    #[error("{0}")]
    Unfit(String),
}

/// Migrates the schema to this version; or reports what is missing, if it must not change.
pub(super) async fn apply(
    client: &Client,
    lock_key: i64,
    may_change: MayChange,
) -> Result<Migrated, MigrationError> {
    // A migration may take long, and so may the wait for another node.
    client.batch_execute("SET statement_timeout = 0").await?;
    let free: bool = client.query_one("SELECT pg_try_advisory_lock($1)", &[&lock_key]).await?.try_get(0)?;
    if !free {
        tracing::info!("another process migrates the schema; waiting for it");
        client.query("SELECT pg_advisory_lock($1)", &[&lock_key]).await?;
    }
    // If it fails, the lock is released with the connection, whose transaction may still be open.
    let migrated = apply_locked(client, may_change).await?;
    client.query("SELECT pg_advisory_unlock($1)", &[&lock_key]).await?;
    Ok(migrated)
}

/// The migrations that were applied, in order, with their checksums.
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

async fn fill_actor_names(client: &Client) -> Result<(), Error> {
    let mut names = ActorNames::default();
    for row in client.query(actor_names::KNOWN_ACTORS, &[]).await? {
        names.add(row.try_get(0)?, row.try_get(1)?);
    }
    let rows = names.into_records().map(|name| {
        let json = String::from_utf8(StoredRecord::of(&name).json).expect("JSON is UTF-8");
        (name.tenant_id.as_str().to_owned(), name.skeleton_hash, json)
    });
    let (tenants, hashes, jsons): (Vec<_>, Vec<_>, Vec<_>) = rows.collect();
    let insert = "INSERT INTO actor_names (tenant_id, skeleton_hash, json) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])";
    client.execute(insert, &[&tenants, &hashes, &jsons]).await?;
    Ok(())
}

async fn apply_locked(client: &Client, may_change: MayChange) -> Result<Migrated, MigrationError> {
    let history = history(client, may_change).await?;
    let missing = missing(&MIGRATIONS, &history).map_err(MigrationError::Unfit)?;
    for (name, sql) in missing.iter().filter(|_| may_change == MayChange::Yes) {
        client.batch_execute(&format!("BEGIN; {sql}")).await?;
        if *name == actor_names::MIGRATION {
            fill_actor_names(client).await?;
        }
        let applied = format!(
            "INSERT INTO schema_migrations (name, checksum) VALUES ('{name}', '{}'); COMMIT",
            checksum(sql)
        );
        client.batch_execute(&applied).await?;
        tracing::info!(migration = name, "applied");
    }
    Ok(Migrated { before: history.len(), applied: missing.iter().map(|(name, _)| *name).collect() })
}
