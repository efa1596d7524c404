//! The schema of an embedded store, step by step.

use std::path::Path;

use agentcafe_domain::actors::ActorName;
use agentcafe_domain::kernel::{Record, StoredRecord};
use rusqlite::{Connection, params};

use super::open::explain;
use super::records;
use crate::actor_names::{self, ActorNames};
use crate::migrations::{self, Migration, checksum};
use crate::open_error::OpenError;

const MIGRATIONS: [Migration; 11] = [
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
];

/// Migrates the schema to this version.
///
/// # Errors
/// [`OpenError::Version`] if the store has a migration that is unknown to this version, or has another content.
pub(super) fn apply(connection: &Connection, database: &Path) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| explain(database, &error);
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS schema_migrations (
                 name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
             )",
        )
        .map_err(failed)?;
    for (name, sql) in missing(connection, database)? {
        let step = format!("BEGIN IMMEDIATE; {sql}");
        connection.execute_batch(&step).map_err(failed)?;
        if *name == actor_names::MIGRATION {
            fill_actor_names(connection).map_err(failed)?;
        }
        connection
            .execute(
                "INSERT INTO schema_migrations (name, checksum) VALUES (?1, ?2)",
                params![name, checksum(sql)],
            )
            .map_err(failed)?;
        connection.execute_batch("COMMIT").map_err(failed)?;
        tracing::debug!(migration = name, "applied");
    }
    Ok(())
}

fn fill_actor_names(connection: &Connection) -> rusqlite::Result<()> {
    let mut names = ActorNames::default();
    let mut known = connection.prepare(actor_names::KNOWN_ACTORS)?;
    let mut rows = known.query([])?;
    while let Some(row) = rows.next()? {
        names.add(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
    }
    names
        .into_records()
        .try_for_each(|name| records::insert(connection, ActorName::TABLE, &StoredRecord::of(&name)))
}

/// Checks that the schema is that of this version.
///
/// # Errors
/// [`OpenError::Version`] if it is another.
pub(super) fn require(connection: &Connection, database: &Path) -> Result<(), OpenError> {
    if missing(connection, database)?.is_empty() {
        return Ok(());
    }
    let why = "an older version wrote it, or its first start was interrupted; start a server on it once";
    Err(OpenError::Version(database.to_owned(), why.to_owned()))
}

fn missing(connection: &Connection, database: &Path) -> Result<&'static [Migration], OpenError> {
    let applied = applied(connection).map_err(|error| explain(database, &error))?;
    migrations::missing(&MIGRATIONS, &applied).map_err(|why| OpenError::Version(database.to_owned(), why))
}

fn applied(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare("SELECT name, checksum FROM schema_migrations ORDER BY name")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
