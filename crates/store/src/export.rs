//! Writes a café, or a part of it, as JSON Lines: what one transaction sees, a row at a time, also beside a running server.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use agentcafe_domain::{record::Unreadable, tables, time::Timestamp};

use crate::{
    sqlite::{
        open::{self, OpenError},
        snapshot::Snapshot,
    },
    transfer::{Digest, End, Header, KeyLine, Line, Part, RecordLine, Totals},
};

/// Why there is no whole export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Nothing to export.
    #[error("there is no store in {0}")]
    Missing(PathBuf),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be read to the end.
    #[error("the store cannot be read: {0}")]
    Read(#[from] rusqlite::Error),
    /// The store holds something that is no JSON.
    #[error("the store holds something that cannot be read: {0}")]
    Damaged(#[from] serde_json::Error),
    /// The store holds a record that cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// What was exported cannot be written.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// Exports what the store in `directory` holds of a part of the café. A server may run on it.
///
/// # Errors
/// [`ExportError`]; what was written until then has no last line.
pub fn export(
    directory: &Path,
    part: &Part,
    exported_at: Timestamp,
    out: impl Write,
) -> Result<Totals, ExportError> {
    let database = directory.join(open::FILE_NAME);
    let connection =
        open::open_existing(&database)?.ok_or_else(|| ExportError::Missing(directory.to_owned()))?;
    let snapshot = Snapshot::take(connection, part.clone())?;
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
    snapshot.each_event(|json| sink.event(json))?;
    let (by_tenant, by_room) = (part.tenant.is_some(), part.room.is_some());
    for kind in tables::ALL.iter().filter(|kind| kind.is_exported(by_tenant, by_room)) {
        snapshot.each_record(kind.table, |json| {
            sink.record(kind.table.name, &kind.leave(json, heads.sequence)?)
        })?;
    }
    if part.is_whole() {
        snapshot.each_key(|key| sink.add(&Line::Key(KeyLine::of(&key)?)).map(|()| sink.totals.keys += 1))?;
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
