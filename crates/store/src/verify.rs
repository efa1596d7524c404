//! Reads all of a store, and finds what is damaged: rows that cannot be read, that contradict their own content, or that are
//! missing in the log.

use std::path::Path;

use agentcafe_domain::kernel::{Cell, Sequence, StoredEvent};
use agentcafe_domain::record_kinds::{self, RecordKind};
use bytes::Bytes;

use crate::event_damage;
use crate::export::ExportError;
use crate::export_format::Totals;
use crate::postgres::blocking::BlockingPostgres;
use crate::rows::{EVENTS, Parameter, Row, stored_key, stored_record};
use crate::sql::{column_list, number, sequence};
use crate::sqlite;
use crate::storage::Snapshot;
use crate::storage_error::StorageError;
use crate::store::StoreLocation;

/// Verifies a store, also while servers run on it. Passes a line about each damage to `damaged`, and returns what was read.
///
/// # Errors
/// There is no store, or it cannot be read to the end.
pub fn verify(location: &StoreLocation, mut damaged: impl FnMut(String)) -> Result<Totals, ExportError> {
    let missing = || ExportError::Missing(location.clone());
    match location {
        StoreLocation::Directory(directory) => {
            let snapshot = sqlite::open::snapshot(directory)?.ok_or_else(missing)?;
            let mut verification = Verification { snapshot, damaged: &mut damaged };
            verification.structure()?;
            let totals = verification.content()?;
            verify_index(directory, damaged)?;
            Ok(totals)
        }
        StoreLocation::Postgres(options) => {
            let snapshot = BlockingPostgres::snapshot(options)?.ok_or_else(missing)?;
            Verification { snapshot, damaged }.content()
        }
    }
}

/// Checks the pages and indexes of the index of messages and words.
fn verify_index(directory: &Path, mut damaged: impl FnMut(String)) -> Result<(), ExportError> {
    let mut damaged = |why: String| {
        damaged(format!(
            "the index of messages and words, which is built anew if its files are deleted: {why}"
        ))
    };
    match sqlite::search_index::snapshot(directory) {
        Ok(Some(snapshot)) => Verification { snapshot, damaged }.structure(),
        Ok(None) => Ok(()),
        Err(error) => {
            damaged(error.to_string());
            Ok(())
        }
    }
}

struct Verification<S, D> {
    snapshot: S,
    damaged: D,
}

impl<S: Snapshot, D: FnMut(String)> Verification<S, D> {
    /// Checks the pages and indexes of the embedded database.
    fn structure(&mut self) -> Result<(), ExportError> {
        let damaged = &mut self.damaged;
        let read = self.snapshot.rows("PRAGMA integrity_check", &[], |row| {
            if row.text(0)? != "ok" {
                damaged(row.text(0)?.to_owned());
            }
            Ok(())
        });
        self.read_on("the pages", read)
    }

    /// Names the damage that a read ended with, if others can follow.
    fn read_on(&mut self, what: &str, read: Result<(), StorageError>) -> Result<(), ExportError> {
        match read {
            Err(error) if error.is_damage() && S::READS_ON => {
                (self.damaged)(format!("{what} cannot be read to the end: {error}"));
                Ok(())
            }
            read => Ok(read?),
        }
    }

    fn content(&mut self) -> Result<Totals, ExportError> {
        let events = self.events()?;
        let mut totals = Totals { events, ..Totals::default() };
        for kind in record_kinds::ALL {
            totals.records += self.records(kind)?;
        }
        let damaged = &mut self.damaged;
        let read = self.snapshot.rows(S::KEYS, &[], |row| {
            totals.keys += 1;
            if let Err(error) = stored_key(row) {
                damaged(format!("idempotency key {}: {error}", totals.keys));
            }
            Ok(())
        });
        self.read_on("idempotency keys", read)?;
        Ok(totals)
    }

    /// The log: each event is the one that its columns describe, and none is missing.
    fn events(&mut self) -> Result<u64, ExportError> {
        let mut may_have_holes = false;
        self.snapshot.rows::<ExportError>("SELECT 1 FROM import_origin", &[], |_| {
            may_have_holes = true;
            Ok(())
        })?;
        let head = self.snapshot.heads()?.sequence;
        let (mut count, mut last) = (0, Sequence::START);
        let missing = |damaged: &mut D, last: Sequence, next: Sequence| {
            if next != last.next() && !may_have_holes {
                damaged(format!("the events after {last} and before {next} are missing"));
            }
        };
        let sql = format!("SELECT {} FROM events WHERE sequence >= $1 ORDER BY sequence", EVENTS.columns);
        let damaged = &mut self.damaged;
        while last < head {
            let read =
                self.snapshot.rows::<StorageError>(&sql, &[Parameter::Integer(number(last.next()))], |row| {
                    let sequence = sequence(row.integer(0)?);
                    missing(damaged, last, sequence);
                    (count, last) = (count + 1, sequence);
                    if let Err(error) = check_event(row) {
                        damaged(format!("event {sequence}: {error}"));
                    }
                    Ok(())
                });
            match read {
                // PostgreSQL ends the transaction.
                Err(error) if error.is_damage() && S::READS_ON => {
                    let found = event_damage::find(self.snapshot.connection(), last, head, false);
                    let found = self.snapshot.wait(found)?;
                    damaged(format!("{found}: {error}"));
                    last = found.to;
                }
                read => {
                    read?;
                    missing(damaged, last, head.next());
                    last = head;
                }
            }
        }
        Ok(count)
    }

    /// The records of a kind: each is one, under the key that it has.
    fn records(&mut self, kind: &RecordKind) -> Result<u64, ExportError> {
        let (table, mut count) = (kind.table, 0);
        let sql = format!("SELECT {} FROM {}", column_list(table), table.name);
        let damaged = &mut self.damaged;
        let read = self.snapshot.rows(&sql, &[], |row| {
            count += 1;
            if let Err(error) = check_record(kind, row) {
                let key: Vec<_> = (0..table.key.len()).map_while(|at| row.cell(at).ok()).collect();
                damaged(format!("{} {key:?}: {error}", table.name));
            }
            Ok(())
        });
        self.read_on(table.name, read)?;
        Ok(count)
    }
}

/// Compares the columns of an event with its JSON.
///
/// # Errors
/// What is wrong with it.
fn check_event(row: &dyn Row) -> Result<(), StorageError> {
    let json = Bytes::copy_from_slice(row.bytes(EVENTS.types.len() - 1)?);
    let event = StoredEvent::restore(json).map_err(|error| StorageError::Corrupt(error.to_string()))?;
    for (at, (value, column)) in (EVENTS.values)(&event).iter().zip(EVENTS.columns.split(", ")).enumerate() {
        let is_same = match value {
            Parameter::Null => row.optional_text(at)?.is_none(),
            Parameter::Boolean(flag) => row.boolean(at)? == *flag,
            Parameter::Integer(number) => match row.cell(at)? {
                Cell::Null => column == "checksum",
                cell => cell == Cell::Integer(*number),
            },
            Parameter::Text(text) => row.optional_text(at)? == Some(text),
            Parameter::Bytes(bytes) => row.bytes(at)? == bytes.as_ref(),
        };
        if !is_same {
            return Err(StorageError::Corrupt(format!("another {column} than its JSON")));
        }
    }
    Ok(())
}

/// Reads the record in a row.
///
/// # Errors
/// What is wrong with it.
fn check_record(kind: &RecordKind, row: &dyn Row) -> Result<(), StorageError> {
    let stored = stored_record(kind.table, row)?;
    match kind.import(stored.json, Sequence::START) {
        Ok(read) if read.key == stored.key => Ok(()),
        Ok(_) => Err(StorageError::Corrupt("another key than its JSON".to_owned())),
        Err(error) => Err(StorageError::Corrupt(error.to_string())),
    }
}
