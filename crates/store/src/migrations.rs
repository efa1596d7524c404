//! The schema's steps and how far a database has come. A step is applied once, and never edited after its release.

use agentcafe_domain::kernel::hex;
use sha2::{Digest, Sha256};

/// A step: its name, and the SQL that it runs.
pub(crate) type Migration = (&'static str, &'static str);

/// The schema before and after a migration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// The number of migrations that had been applied before.
    pub before: usize,
    /// The migrations that were applied now; or that would be, if nothing may change.
    pub applied: Vec<&'static str>,
}

/// Whether the schema may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayChange {
    /// Missing migrations are applied.
    Yes,
    /// Missing migrations are only reported.
    No,
}

/// What identifies the content of a step.
pub(crate) fn checksum(sql: &str) -> String {
    hex(Sha256::digest(sql))
}

/// The steps that a database lacks. `applied` are the names and checksums of those it has, in order.
///
/// # Errors
/// The database has a step that is unknown to this version, or has another content.
pub(crate) fn missing<'m>(
    all: &'m [Migration],
    applied: &[(String, String)],
) -> Result<&'m [Migration], String> {
    for (at, (name, sum)) in applied.iter().enumerate() {
        match all.get(at) {
            Some((known, sql)) if known == name && checksum(sql) == *sum => {}
            Some((known, _)) if known == name => {
                return Err(format!("migration {name} was applied with another content"));
            }
            _ => {
                return Err(format!(
                    "migration {name} is unknown; the database was written by a newer version"
                ));
            }
        }
    }
    Ok(&all[applied.len()..])
}
