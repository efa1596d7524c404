//! Writes a store, or a part of it, as JSON Lines: what one transaction reads, a row at a time, also beside a running server.

use std::io::{self, Write};

use agentcafe_domain::kernel::{CorruptRecord, Heads, Timestamp};
use agentcafe_domain::record_kinds;

use crate::export_format::{Digest, ExportScope, Header, KeyLine, Line, RecordLine, Totals, Trailer};
use crate::open_error::OpenError;
use crate::postgres::connect::PostgresError;
use crate::postgres::snapshot::PostgresSnapshot;
use crate::sqlite::open;
use crate::sqlite::snapshot::SqliteSnapshot;
use crate::storage::StoredKey;
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

impl From<rusqlite::Error> for ExportError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Read(error.to_string())
    }
}

impl From<PostgresError> for ExportError {
    fn from(error: PostgresError) -> Self {
        Self::Read(error.to_string())
    }
}

/// What a store holds at one moment, whichever database it is in.
pub(crate) trait Snapshot {
    /// The last numbers assigned.
    fn heads(&self) -> Result<Heads, ExportError>;

    /// Passes the JSON of every row of a table in the exported scope to `take`.
    fn each_json(
        &self,
        table: &str,
        order_by: &str,
        take: &mut dyn FnMut(&[u8]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError>;

    /// Passes every idempotency key to `take`, in order of arrival.
    fn each_key(&self, take: &mut dyn FnMut(StoredKey) -> Result<(), ExportError>)
    -> Result<(), ExportError>;
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
            let connection = open::open_existing(&directory.join(open::FILE_NAME))?.ok_or_else(missing)?;
            write(&SqliteSnapshot::take(connection, scope.clone())?, scope, exported_at, out)
        }
        StoreLocation::Postgres(options) => {
            let snapshot = PostgresSnapshot::take(options, scope.clone())?.ok_or_else(missing)?;
            write(&snapshot, scope, exported_at, out)
        }
    }
}

fn write(
    snapshot: &impl Snapshot,
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
    snapshot.each_json("events", "sequence", &mut |json| lines.event(json))?;
    let (by_tenant, by_room) = (scope.tenant.is_some(), scope.room.is_some());
    for kind in record_kinds::ALL.iter().filter(|kind| kind.is_exported(by_tenant, by_room)) {
        snapshot.each_json(kind.table.name, &kind.table.key.join(", "), &mut |json| {
            lines.record(kind.table.name, &kind.export(json, heads.sequence)?)
        })?;
    }
    if scope.is_everything() {
        snapshot.each_key(&mut |key| {
            lines.totals.keys += 1;
            lines.add(&Line::Key(KeyLine::new(&key)?))
        })?;
    }
    lines.finish()
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
