//! Writes a store, or a part of it, as JSON Lines: what one transaction reads, a row at a time, also beside a running server.

use std::io::{self, Write};

use agentcafe_domain::kernel::{CorruptRecord, Timestamp};
use agentcafe_domain::record_kinds;

use crate::export_format::{Digest, ExportScope, Header, KeyLine, Line, RecordLine, Totals, Trailer};
use crate::open_error::OpenError;
use crate::postgres::blocking::BlockingPostgres;
use crate::rows::{Row, logged_event, stored_key};
use crate::sql::{conditions, scope_columns};
use crate::sqlite;
use crate::storage::Snapshot;
use crate::storage_error::StorageError;
use crate::store::StoreLocation;

/// Why there is no complete export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is nothing to export.
    #[error("there is no store in {0}")]
    Missing(StoreLocation),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be read to the end.
    #[error("the store cannot be read: {0}")]
    Read(String),
    /// The store holds a value that is not JSON.
    #[error("the store holds a value that is not JSON: {0}")]
    Damaged(#[from] serde_json::Error),
    /// The store holds a record that cannot be read.
    #[error(transparent)]
    CorruptRecord(#[from] CorruptRecord),
    /// The export cannot be written.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
}

impl From<StorageError> for ExportError {
    fn from(error: StorageError) -> Self {
        Self::Read(error.to_string())
    }
}

/// Exports a store, or a part of it. Servers may run on it.
///
/// # Errors
/// [`ExportError`]; what was written until then has no trailer.
pub fn export(
    location: &StoreLocation,
    scope: &ExportScope,
    exported_at: Timestamp,
    out: impl Write,
) -> Result<Totals, ExportError> {
    let missing = || ExportError::Missing(location.clone());
    match location {
        StoreLocation::Directory(directory) => {
            write(&sqlite::open::snapshot(directory)?.ok_or_else(missing)?, scope, exported_at, out)
        }
        StoreLocation::Postgres(options) => {
            write(&BlockingPostgres::snapshot(options)?.ok_or_else(missing)?, scope, exported_at, out)
        }
    }
}

fn write<S: Snapshot>(
    snapshot: &S,
    scope: &ExportScope,
    exported_at: Timestamp,
    out: impl Write,
) -> Result<Totals, ExportError> {
    let heads = snapshot.heads()?;
    let header = Header::new(scope, heads, exported_at);
    let mut lines = LineWriter {
        out: io::BufWriter::new(out),
        digest: Digest::new(&header),
        line: Vec::new(),
        totals: Totals::default(),
    };
    serde_json::to_writer(&mut lines.line, &header)?;
    lines.end_line()?;
    each_row(snapshot, scope, ("events", "sequence, type, json, checksum"), "sequence", |row| {
        lines.event(&logged_event(row)?.json)
    })?;
    let (by_tenant, by_room) = (scope.tenant.is_some(), scope.room.is_some());
    for kind in record_kinds::ALL.iter().filter(|kind| kind.is_exported(by_tenant, by_room)) {
        each_row(snapshot, scope, (kind.table.name, "json"), &kind.table.key.join(", "), |row| {
            lines.record(kind.table.name, &kind.export(row.bytes(0)?, heads.sequence)?)
        })?;
    }
    if scope.is_everything() {
        snapshot.rows::<ExportError>(S::KEYS, &[], |row| {
            lines.totals.keys += 1;
            lines.add(&Line::Key(KeyLine::new(&stored_key(row)?)?))
        })?;
    }
    lines.finish()
}

/// Passes these columns of every row of a table in the exported scope to `take`.
fn each_row<S: Snapshot>(
    snapshot: &S,
    scope: &ExportScope,
    (table, columns): (&str, &str),
    order_by: &str,
    take: impl FnMut(&dyn Row) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    // Without an index, rows come in the order of their key and need no sort, which would take memory. The index of the log by
    // room is in the order of sequences.
    let operator = if table == "events" && scope.room.is_some() { "" } else { S::UNINDEXED };
    let (mut sql, mut parameters) = (format!("SELECT {columns} FROM {table} WHERE true"), Vec::new());
    conditions(&mut sql, &mut parameters, operator, scope_columns(scope));
    sql.push_str(&format!(" ORDER BY {order_by}"));
    snapshot.rows(&sql, &parameters, take)
}

struct LineWriter<W: Write> {
    out: io::BufWriter<W>,
    digest: Digest,
    line: Vec<u8>,
    totals: Totals,
}

impl<W: Write> LineWriter<W> {
    fn event(&mut self, json: &[u8]) -> Result<(), ExportError> {
        self.totals.events += 1;
        self.add(&Line::Event(serde_json::from_slice(json)?))
    }

    fn record(&mut self, table: &str, json: &[u8]) -> Result<(), ExportError> {
        self.totals.records += 1;
        self.add(&Line::Record(RecordLine { table, json: serde_json::from_slice(json)? }))
    }

    fn add(&mut self, line: &Line<'_>) -> Result<(), ExportError> {
        serde_json::to_writer(&mut self.line, line)?;
        self.digest.add(&self.line);
        self.end_line()
    }

    fn end_line(&mut self) -> Result<(), ExportError> {
        self.line.push(b'\n');
        self.out.write_all(&self.line)?;
        self.line.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Totals, ExportError> {
        let trailer = Trailer { totals: self.totals, sha256: self.digest.finish() };
        serde_json::to_writer(&mut self.out, &Line::End(trailer))?;
        self.out.write_all(b"\n")?;
        self.out.flush()?;
        Ok(self.totals)
    }
}
