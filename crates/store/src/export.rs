//! Writes a café, or a part of it, as JSON Lines: what one transaction sees, a row at a time, also beside a running server.

use std::io::{self, Write};

use agentcafe_domain::{
    kernel::{
        command::Heads,
        record::{CorruptRecord, Table},
        time::Timestamp,
    },
    record_kinds,
};

use crate::{
    commit::StoredKey,
    postgres,
    sqlite::{
        open::{self, OpenError},
        snapshot::Snapshot,
    },
    store::StoreLocation,
    transfer::{Digest, End, Header, KeyLine, Line, Part, RecordLine, Totals},
};

/// Why there is no whole export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Nothing to export.
    #[error("there is no store in {0}")]
    Missing(StoreLocation),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be read to the end.
    #[error("the store cannot be read: {0}")]
    Read(String),
    /// The store holds something that is no JSON.
    #[error("the store holds something that cannot be read: {0}")]
    Damaged(#[from] serde_json::Error),
    /// The store holds a record that cannot be read.
    #[error(transparent)]
    CorruptRecord(#[from] CorruptRecord),
    /// What was exported cannot be written.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
}

impl From<rusqlite::Error> for ExportError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Read(error.to_string())
    }
}

impl From<postgres::open::Unreadable> for ExportError {
    fn from(error: postgres::open::Unreadable) -> Self {
        Self::Read(error.to_string())
    }
}

/// A store at one moment, whichever database it is in.
pub(crate) trait Source {
    /// The last numbers given.
    fn heads(&self) -> Result<Heads, ExportError>;

    /// Hands over every event's JSON, in the order of the log.
    fn each_event(&self, take: &mut dyn FnMut(&[u8]) -> Result<(), ExportError>) -> Result<(), ExportError>;

    /// Hands over the JSON of every record of a table, in the order of their keys.
    fn each_record(
        &self,
        table: &Table,
        take: &mut dyn FnMut(&[u8]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError>;

    /// Hands over every idempotency key, in the order in which they came.
    fn each_key(&self, take: &mut dyn FnMut(StoredKey) -> Result<(), ExportError>)
    -> Result<(), ExportError>;
}

/// Exports what a store holds of a part of the café. Servers may run on it.
///
/// # Errors
/// [`ExportError`]; what was written until then has no last line.
pub fn export(
    place: &StoreLocation,
    part: &Part,
    exported_at: Timestamp,
    out: impl Write,
) -> Result<Totals, ExportError> {
    let missing = || ExportError::Missing(place.clone());
    match place {
        StoreLocation::Directory(directory) => {
            let connection = open::open_existing(&directory.join(open::FILE_NAME))?.ok_or_else(missing)?;
            write(&Snapshot::take(connection, part.clone())?, part, exported_at, out)
        }
        StoreLocation::Postgres(options) => {
            let snapshot = postgres::snapshot::Snapshot::take(options, part.clone())?.ok_or_else(missing)?;
            write(&snapshot, part, exported_at, out)
        }
    }
}

fn write(
    snapshot: &impl Source,
    part: &Part,
    exported_at: Timestamp,
    out: impl Write,
) -> Result<Totals, ExportError> {
    let heads = snapshot.heads()?;
    let header = Header::new(part, heads, exported_at);
    let mut sink = Sink {
        out: io::BufWriter::new(out),
        digest: Digest::begin(&header),
        line: Vec::new(),
        totals: Totals::default(),
    };
    serde_json::to_writer(&mut sink.line, &header)?;
    sink.end_line()?;
    snapshot.each_event(&mut |json| sink.event(json))?;
    let (by_tenant, by_room) = (part.tenant.is_some(), part.room.is_some());
    for kind in record_kinds::ALL.iter().filter(|kind| kind.is_exported(by_tenant, by_room)) {
        snapshot.each_record(kind.table, &mut |json| {
            sink.record(kind.table.name, &kind.export(json, heads.sequence)?)
        })?;
    }
    if part.is_whole() {
        snapshot.each_key(&mut |key| {
            sink.totals.keys += 1;
            sink.add(&Line::Key(KeyLine::of(&key)?))
        })?;
    }
    sink.finish()
}

struct Sink<W: Write> {
    out: io::BufWriter<W>,
    digest: Digest,
    line: Vec<u8>,
    totals: Totals,
}

impl<W: Write> Sink<W> {
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
        let end = End { totals: self.totals, sha256: self.digest.finish() };
        serde_json::to_writer(&mut self.out, &Line::End(end))?;
        self.out.write_all(b"\n")?;
        self.out.flush()?;
        Ok(self.totals)
    }
}
