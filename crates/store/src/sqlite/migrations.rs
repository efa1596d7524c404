//! The schema, step by step; each step is applied once, and must stay what it was when it was applied.

use std::path::Path;

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::open::{OpenError, explain};

const MIGRATIONS: [(&str, &str); 1] = [("0001_initial", include_str!("migrations/0001_initial.sql"))];

fn checksum(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Brings the schema to this version.
///
/// # Errors
/// [`OpenError::Version`] if the store has a step that this version does not know, or knows differently.
pub(crate) fn apply(connection: &Connection, database: &Path) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| explain(database, &error);
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS schema_migrations (
                 name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
             )",
        )
        .map_err(failed)?;
    let applied = applied(connection).map_err(failed)?;
    let unfit = |why: String| Err(OpenError::Version(database.to_owned(), why));
    for (at, (name, sum)) in applied.iter().enumerate() {
        match MIGRATIONS.get(at) {
            Some((known, sql)) if known == name && checksum(sql) == *sum => {}
            Some((known, _)) if known == name => {
                return unfit(format!("migration {name} was applied with another content"));
            }
            _ => {
                return unfit(format!(
                    "migration {name} is unknown; the store was written by a newer version"
                ));
            }
        }
    }
    for (name, sql) in &MIGRATIONS[applied.len()..] {
        let step = format!("BEGIN IMMEDIATE; {sql}");
        connection.execute_batch(&step).map_err(failed)?;
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

fn applied(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare("SELECT name, checksum FROM schema_migrations ORDER BY name")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
