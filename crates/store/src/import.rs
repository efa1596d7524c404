//! Imports an export into an empty store: completely or not at all. Webhooks and reactions do not process what is imported.

use std::io::{self, BufRead, Read};

use agentcafe_domain::actors::ActorName;
use agentcafe_domain::kernel::{
    Cell, ClockAnchor, FollowerCursor, Heads, Lease, Record, Sequence, StoredEvent, StoredRecord, Table,
    Timestamp, without_byte_order_mark,
};
use agentcafe_domain::record_kinds::{self, RecordKind};

use crate::actor_names::{self, ActorNames};
use crate::export_format::{
    Digest, ExportScope, FORMAT, Header, Line, MAX_LINE_BYTES, RecordLine, Totals, Trailer, VERSION,
};
use crate::open_error::OpenError;
use crate::postgres::blocking::BlockingPostgres;
use crate::rows::Row;
use crate::sql::sequence;
use crate::sqlite::import_writer::SqliteImport;
use crate::storage::{ImportRow, ImportTarget, PreviousImport};
use crate::storage_error::StorageError;
use crate::store::StoreLocation;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A line is invalid.
    #[error("line {number}: {why}; nothing was imported")]
    Line {
        /// Its number; the first is 1.
        number: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The trailer is missing.
    #[error("the file was cut off: it ends after line {0}, without its last line; nothing was imported")]
    CutOff(u64),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store is not empty.
    #[error(
        "the store in {0} is not empty, and holds something else; nothing was imported: an import needs an empty store"
    )]
    NotEmpty(StoreLocation),
    /// The store cannot be written.
    #[error("the store cannot be written: {0}; nothing was imported")]
    Write(String),
}

impl From<StorageError> for ImportError {
    fn from(error: StorageError) -> Self {
        Self::Write(error.to_string())
    }
}

/// The most rows that are written at once, and about how many bytes.
const ROWS_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 4 << 20;
/// The tables that a server has rows in before it is first used: the cursors of its followers, at the start of the log, its
/// leases, and what its time is. An import replaces them.
const REPLACED_TABLES: [&Table; 3] = [FollowerCursor::TABLE, Lease::TABLE, ClockAnchor::TABLE];

/// The tables that must be empty when an import begins.
fn must_be_empty() -> impl Iterator<Item = &'static str> {
    let kinds =
        record_kinds::ALL.iter().map(|kind| kind.table).filter(|table| !REPLACED_TABLES.contains(table));
    ["events", "idempotency_keys", "import_origin"].into_iter().chain(kinds.map(|table| table.name))
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// Everything is in the store.
    Done(Totals),
    /// The same export was imported before, at this time; nothing was changed.
    Before(Timestamp),
}

/// Imports an export into a store, which must be empty or missing.
///
/// # Errors
/// [`ImportError`]; the store is then as it was.
pub fn import(
    location: &StoreLocation,
    input: impl BufRead,
    now: Timestamp,
) -> Result<Imported, ImportError> {
    let mut lines = Lines { input, line: Vec::new(), number: 0, is_cut: false };
    let header = lines.header()?;
    match location {
        StoreLocation::Directory(directory) => {
            import_into(SqliteImport::open(directory)?, location, lines, header, now)
        }
        StoreLocation::Postgres(options) => {
            import_into(BlockingPostgres::import(options)?, location, lines, header, now)
        }
    }
}

fn import_into(
    mut target: impl ImportTarget,
    location: &StoreLocation,
    mut lines: Lines<impl BufRead>,
    header: Header,
    now: Timestamp,
) -> Result<Imported, ImportError> {
    let previous = previous(&target)?;
    if previous.is_none() && !is_empty(&target)? {
        return Err(ImportError::NotEmpty(location.clone()));
    }
    let mut progress = Progress::new(header);
    if previous.is_none() {
        target.begin(&REPLACED_TABLES)?;
    }
    let mut buffer = Buffer::default();
    let trailer = loop {
        let number = lines.number;
        let bytes = lines.next()?.ok_or(ImportError::CutOff(number))?;
        let parsed = serde_json::from_slice(bytes);
        let is_cut_off = parsed.is_err();
        let parsed = parsed.map_err(|error| format!("it is not a line of an export: {}", plain(&error)));
        match parsed.and_then(|line| progress.take(bytes, line)) {
            Ok(Taken::Row(row)) if previous.is_none() => {
                buffer.add(&mut target, number + 1, bytes.len(), row)?;
            }
            Ok(Taken::Row(_)) => {}
            Ok(Taken::End(trailer)) => break trailer,
            Err(why) => {
                // An error of an earlier line comes first.
                buffer.write(&mut target)?;
                let is_cut_off = is_cut_off && lines.is_cut;
                return Err(if is_cut_off { ImportError::CutOff(number) } else { lines.error(&why) });
            }
        }
    };
    if lines.next()?.is_some() {
        return Err(lines.error("nothing may follow the line that ends an export"));
    }
    match previous {
        Some(previous) if previous.sha256 == trailer.sha256 => Ok(Imported::Before(previous.imported_at)),
        Some(_) => Err(ImportError::NotEmpty(location.clone())),
        None => {
            buffer.write(&mut target)?;
            name_actors(&mut target)?;
            if !is_within(last_numbers(&target)?, progress.heads) {
                return Err(
                    lines.error("an inbox item or audit entry has a larger number than the first line says")
                );
            }
            let import = PreviousImport { sha256: trailer.sha256, imported_at: now };
            let last_at = if trailer.totals.events > 0 { progress.last.1 } else { Timestamp::default() };
            target.finish(&import, progress.heads, last_at)?;
            Ok(Imported::Done(trailer.totals))
        }
    }
}

/// Makes the names of the actors that were imported.
fn name_actors(target: &mut impl ImportTarget) -> Result<(), StorageError> {
    let mut names = ActorNames::default();
    target.rows(actor_names::KNOWN_ACTORS, &[], |row| {
        names.add(row.text(0)?, row.text(1)?);
        Ok::<_, StorageError>(())
    })?;
    let row = |name| ImportRow::Record(ActorName::TABLE, StoredRecord::of(&name));
    let rows: Vec<_> = names.into_records().map(row).collect();
    rows.chunks(ROWS_AT_ONCE).try_for_each(|rows| target.write(rows).map_err(|(_, error)| error))
}

/// The import that a store was made by, if there was one.
fn previous(target: &impl ImportTarget) -> Result<Option<PreviousImport>, StorageError> {
    first(target, "SELECT sha256, imported_at_ms FROM import_origin", |row| {
        Ok(PreviousImport { sha256: row.text(0)?.to_owned(), imported_at: row.timestamp(1)? })
    })
}

/// Whether all tables in [`must_be_empty`] are.
fn is_empty(target: &impl ImportTarget) -> Result<bool, StorageError> {
    for table in must_be_empty() {
        if first(target, &format!("SELECT 1 FROM {table} LIMIT 1"), |_| Ok(()))?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The last numbers that the imported rows have.
fn last_numbers(target: &impl ImportTarget) -> Result<Heads, StorageError> {
    let last = |column: &str, table: &str| -> Result<Sequence, StorageError> {
        let sql = format!("SELECT coalesce(max({column}), 0) FROM {table}");
        Ok(sequence(first(target, &sql, |row| row.integer(0))?.unwrap_or_default()))
    };
    Ok(Heads {
        sequence: last("sequence", "events")?,
        inbox: last("inbox_seq", "inbox_items")?,
        audit: last("audit_seq", "audit_entries")?,
    })
}

/// What the one row holds that a statement returns, if there is one.
fn first<T>(
    target: &impl ImportTarget,
    sql: &str,
    read: impl Fn(&dyn Row) -> Result<T, StorageError>,
) -> Result<Option<T>, StorageError> {
    let mut found = None;
    target.rows(sql, &[], |row| {
        found = Some(read(row)?);
        Ok::<_, StorageError>(())
    })?;
    Ok(found)
}

/// Rows that are not written yet, and the lines that they are from.
#[derive(Default)]
struct Buffer {
    rows: Vec<ImportRow>,
    lines: Vec<u64>,
    bytes: usize,
}

impl Buffer {
    /// Adds a row; writes all if they are many.
    fn add(
        &mut self,
        target: &mut impl ImportTarget,
        line: u64,
        bytes: usize,
        row: ImportRow,
    ) -> Result<(), ImportError> {
        self.rows.push(row);
        self.lines.push(line);
        self.bytes += bytes;
        let is_full = self.rows.len() >= ROWS_AT_ONCE || self.bytes >= BYTES_AT_ONCE;
        if is_full { self.write(target) } else { Ok(()) }
    }

    fn write(&mut self, target: &mut impl ImportTarget) -> Result<(), ImportError> {
        target.write(&self.rows).map_err(|(at, error)| {
            if error.is_duplicate() {
                let why = "it has an id, key or number that a line before it has".to_owned();
                return ImportError::Line { number: self.lines[at], why };
            }
            error.into()
        })?;
        *self = Self::default();
        Ok(())
    }
}

fn is_within(imported: Heads, heads: Heads) -> bool {
    imported.sequence <= heads.sequence && imported.inbox <= heads.inbox && imported.audit <= heads.audit
}

/// The lines of a file, none longer than [`MAX_LINE_BYTES`].
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    /// Whether the newest line has no line feed.
    is_cut: bool,
}

impl<R: BufRead> Lines<R> {
    /// The next line without its line feed; none after the last.
    fn next(&mut self) -> Result<Option<&[u8]>, ImportError> {
        self.line.clear();
        let max = MAX_LINE_BYTES as u64 + 1;
        let bytes = self.input.by_ref().take(max).read_until(b'\n', &mut self.line)?;
        if bytes == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.is_cut = self.line.pop_if(|last| *last == b'\n').is_none();
        if self.line.len() > MAX_LINE_BYTES {
            return Err(self.error("the line is too long"));
        }
        Ok(Some(&self.line))
    }

    fn error(&self, why: &str) -> ImportError {
        ImportError::Line { number: self.number, why: why.to_owned() }
    }

    fn header(&mut self) -> Result<Header, ImportError> {
        let Some(line) = self.next()? else { return Err(ImportError::CutOff(0)) };
        let line = without_byte_order_mark(line);
        #[derive(serde::Deserialize)]
        struct Named {
            format: String,
            version: u32,
        }
        let named: Option<Named> = serde_json::from_slice(line).ok();
        let why = match named {
            Some(Named { format, version: VERSION }) if format == FORMAT => {
                match serde_json::from_slice::<Header>(line) {
                    Ok(header) => match header.check() {
                        Ok(()) => return Ok(header),
                        Err(why) => why,
                    },
                    Err(error) => format!("the first line is incomplete: {}", plain(&error)),
                }
            }
            Some(Named { format, version }) if format == FORMAT => {
                format!(
                    "the export has version {version} of the format; this agentcafe reads version {VERSION}"
                )
            }
            _ => format!("this is not an export: the first line must name the format {FORMAT:?}"),
        };
        Err(self.error(&why))
    }
}

/// The message of a JSON error without the line, which is the line within a line.
fn plain(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", ", at byte ")
}

/// The content of a valid line.
enum Taken {
    Row(ImportRow),
    /// The last line.
    End(Trailer),
}

/// How far a file was read, and what the rest of it has to match.
struct Progress {
    scope: ExportScope,
    heads: Heads,
    digest: Digest,
    totals: Totals,
    last: (Sequence, Timestamp),
}

impl Progress {
    fn new(header: Header) -> Self {
        Self {
            scope: header.scope(),
            heads: header.heads(),
            digest: Digest::new(&header),
            totals: Totals::default(),
            last: (Sequence::START, Timestamp::from_millis(i64::MIN)),
        }
    }

    /// Validates a line. The error is what is wrong with its content.
    fn take(&mut self, bytes: &[u8], line: Line<'_>) -> Result<Taken, String> {
        if !matches!(line, Line::End(_)) {
            self.digest.add(bytes);
        }
        let row = match line {
            Line::Event(json) => {
                self.totals.events += 1;
                ImportRow::Event(self.event(json.get())?)
            }
            Line::Record(line) => {
                self.totals.records += 1;
                let (table, record) = self.record(&line)?;
                ImportRow::Record(table, record)
            }
            Line::Key(line) => {
                self.totals.keys += 1;
                if !self.scope.is_everything() {
                    return Err("the export of one tenant or room has no idempotency keys".into());
                }
                ImportRow::Key(line.read()?)
            }
            Line::End(trailer) => return self.check_trailer(trailer).map(Taken::End),
        };
        Ok(Taken::Row(row))
    }

    fn event(&mut self, json: &str) -> Result<StoredEvent, String> {
        let event = StoredEvent::restore(json.to_owned().into())
            .map_err(|error| format!("it is not an event: {}", plain(&error)))?;
        if event.sequence <= self.last.0 || event.sequence > self.heads.sequence {
            return Err(format!(
                "the event's sequence {} is not after {} and up to the head {}",
                event.sequence.0, self.last.0.0, self.heads.sequence.0
            ));
        }
        if event.timestamp < self.last.1 {
            return Err("the event is older than the one before it".into());
        }
        self.last = (event.sequence, event.timestamp);
        let cells = [("tenant_id", Cell::from(&event.tenant_id)), ("room_id", Cell::from(&event.room_id))];
        self.check_scope(|column| {
            cells.iter().find(|(name, _)| *name == column).map(|(_, cell)| cell.clone())
        })?;
        Ok(event)
    }

    fn record(&self, line: &RecordLine<'_>) -> Result<(&'static Table, StoredRecord), String> {
        let kind = RecordKind::of_table(line.table).filter(|kind| !kind.is_internal());
        let kind = kind.ok_or_else(|| format!("there is no table {:?} that is imported", line.table))?;
        let json = line.json.get().as_bytes().to_vec();
        let record = kind.import(json, self.heads.sequence).map_err(|error| error.to_string())?;
        self.check_scope(|column| kind.table.cell(&record, column).cloned())?;
        Ok((kind.table, record))
    }

    /// Checks that a row belongs to the tenant and room in the header.
    fn check_scope(&self, cell: impl Fn(&str) -> Option<Cell>) -> Result<(), String> {
        let tenant = self.scope.tenant.as_ref().map(Cell::from);
        let room = self.scope.room.as_ref().map(Cell::from);
        for (column, wanted) in [("tenant_id", tenant), ("room_id", room)] {
            if wanted.is_some() && cell(column) != wanted {
                return Err("it belongs to another tenant or room than the first line says".into());
            }
        }
        Ok(())
    }

    fn check_trailer(&self, trailer: Trailer) -> Result<Trailer, String> {
        if trailer.totals != self.totals {
            return Err(format!(
                "lines are missing: it counts {:?}, but there were {:?}",
                trailer.totals, self.totals
            ));
        }
        if self.digest.clone().finish() != trailer.sha256 {
            return Err("the file was changed after it was exported: its SHA-256 does not match".into());
        }
        Ok(trailer)
    }
}
