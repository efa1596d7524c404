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
    let applied = check(connection, database)?;
    for (name, sql) in &MIGRATIONS[applied..] {
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

/// Checks that the schema is this version's.
///
/// # Errors
/// [`OpenError::Version`] if it is another.
pub(crate) fn require(connection: &Connection, database: &Path) -> Result<(), OpenError> {
    if check(connection, database)? == MIGRATIONS.len() {
        return Ok(());
    }
    let why = "it was written by an older version, or is not finished; start a server on it once";
    Err(OpenError::Version(database.to_owned(), why.to_owned()))
}

/// Tells how many of the steps were applied.
///
/// # Errors
/// As [`apply`]; nothing is changed.
fn check(connection: &Connection, database: &Path) -> Result<usize, OpenError> {
    let applied = applied(connection).map_err(|error| explain(database, &error))?;
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
    Ok(applied.len())
}

fn applied(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare("SELECT name, checksum FROM schema_migrations ORDER BY name")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use agentcafe_domain::record_kinds;

    use super::*;

    /// Every table with a `json` column but the log holds records of a kind that `record_kinds::ALL` lists, with its columns; and the
    /// other way round.
    #[test]
    fn every_table_of_records_is_listed() {
        let connection = Connection::open_in_memory().unwrap();
        for (_, sql) in MIGRATIONS {
            connection.execute_batch(sql).unwrap();
        }
        let mut columns = BTreeMap::<String, Vec<String>>::new();
        let query = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
                     WHERE m.type = 'table' ORDER BY m.name, c.cid";
        let mut statement = connection.prepare(query).unwrap();
        for pair in statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap() {
            let (table, column) = pair.unwrap();
            columns.entry(table).or_default().push(column);
        }
        columns.retain(|table, columns| table != "events" && columns.iter().any(|column| column == "json"));
        let listed: BTreeMap<String, Vec<String>> = record_kinds::ALL
            .iter()
            .map(|kind| kind.table)
            .map(|table| {
                let names = table.key.iter().chain(table.columns).chain(&["json"]);
                (table.name.to_owned(), names.map(|name| (*name).to_owned()).collect())
            })
            .collect();
        for names in columns.values_mut() {
            names.sort();
        }
        let listed: BTreeMap<_, _> = listed
            .into_iter()
            .map(|(table, mut names)| {
                names.sort();
                (table, names)
            })
            .collect();
        assert_eq!(columns, listed);
    }
}
