//! Reads an export into an empty store: whole or not at all. Nothing follows it: no webhook, no reaction hears of it.

use std::io::{self, BufRead, Read};

use agentcafe_domain::{
    kernel::{
        command::Heads,
        event::StoredEvent,
        follower::FollowerCursor,
        ids::Sequence,
        lease::Lease,
        record::{Cell, Record, StoredRecord, Table},
        time::Timestamp,
    },
    record_kinds::{self, RecordKind},
};

use crate::{
    commit::StoredKey,
    postgres::{self, open::Unreadable},
    sqlite::{import_writer::ImportWriter, open::OpenError},
    store::StoreLocation,
    transfer::{Digest, End, FORMAT, Header, Line, MAX_LINE_BYTES, Part, RecordLine, Totals, VERSION},
};

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A line is not what it must be.
    #[error("line {number}: {why}; nothing was imported")]
    Line {
        /// Its number; the first is 1.
        number: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The last line is missing.
    #[error("the file was cut off: it ends after line {0}, without its last line; nothing was imported")]
    CutOff(u64),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store has something in it.
    #[error(
        "the store in {0} is not empty, and holds something else; nothing was imported: an import needs an empty place"
    )]
    NotEmpty(StoreLocation),
    /// The store cannot be written.
    #[error("the store cannot be written: {0}; nothing was imported")]
    Write(String),
}

impl From<rusqlite::Error> for ImportError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Write(error.to_string())
    }
}

impl From<Unreadable> for ImportError {
    fn from(error: Unreadable) -> Self {
        Self::Write(error.to_string())
    }
}

/// What a server leaves that nobody has used: the cursors of its followers, at the start of the log, and what its nodes had
/// taken on themselves. It gives way to an import.
pub(crate) const GIVING_WAY: [&Table; 2] = [FollowerCursor::TABLE, Lease::TABLE];

/// The tables that must be empty when an import begins.
pub(crate) fn must_be_empty() -> impl Iterator<Item = &'static str> {
    let kinds = record_kinds::ALL.iter().map(|kind| kind.table).filter(|table| !GIVING_WAY.contains(table));
    ["events", "idempotency_keys", "import_origin"].into_iter().chain(kinds.map(|table| table.name))
}

/// What was imported into a store before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) sha256: String,
    pub(crate) imported_at: Timestamp,
}

/// A store that nobody else has, being filled, whichever database it is in. Unless it is finished, it stays empty. Lines are
/// told by their numbers.
pub(crate) trait Filled {
    /// What was imported here before.
    fn origin(&self) -> Result<Option<Origin>, ImportError>;

    /// Whether there is nothing here that an import could meet: nothing in [`must_be_empty`].
    fn is_empty(&self) -> Result<bool, ImportError>;

    /// Begins the transaction; what is in [`GIVING_WAY`] goes.
    fn begin(&mut self) -> Result<(), ImportError>;

    /// Adds an event behind those before it.
    fn event(&mut self, line: u64, event: StoredEvent) -> Result<(), Wrong>;

    /// Adds a record; an error if one with its key is there.
    fn record(&mut self, line: u64, table: &'static Table, record: StoredRecord) -> Result<(), Wrong>;

    /// Adds an idempotency key behind those before it.
    fn key(&mut self, line: u64, key: StoredKey) -> Result<(), Wrong>;

    /// Nothing more comes. Tells the last numbers given by what is here.
    fn adapt(&mut self) -> Result<Heads, Wrong>;

    /// Remembers what this was and which numbers were given, and commits.
    fn finish(self, origin: &Origin, heads: Heads) -> Result<(), ImportError>;
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// Everything was read into the store.
    Done(Totals),
    /// The same was imported before; nothing was changed.
    Before(Timestamp),
}

/// Imports what `input` has into a store, which must be empty or not there.
///
/// # Errors
/// [`ImportError`]; the store is then as it was.
pub fn import(place: &StoreLocation, input: impl BufRead, now: Timestamp) -> Result<Imported, ImportError> {
    let mut lines = Lines { input, line: Vec::new(), number: 0, is_cut: false };
    let header = lines.header()?;
    match place {
        StoreLocation::Directory(directory) => {
            fill(ImportWriter::open(directory)?, place, lines, header, now)
        }
        StoreLocation::Postgres(options) => {
            fill(postgres::import_writer::ImportWriter::open(options)?, place, lines, header, now)
        }
    }
}

fn fill(
    mut import_writer: impl Filled,
    place: &StoreLocation,
    mut lines: Lines<impl BufRead>,
    header: Header,
    now: Timestamp,
) -> Result<Imported, ImportError> {
    let origin = import_writer.origin()?;
    if origin.is_none() && !import_writer.is_empty()? {
        return Err(ImportError::NotEmpty(place.clone()));
    }
    let mut reading = Reading::new(header);
    if origin.is_none() {
        import_writer.begin()?;
    }
    let end = loop {
        let number = lines.number;
        let line = lines.next()?.ok_or(ImportError::CutOff(number))?;
        let import_writer = origin.is_none().then_some(&mut import_writer);
        match reading.take(line, number + 1, import_writer) {
            Ok(None) => {}
            Ok(Some(end)) => break end,
            Err(Wrong::Syntax(_)) if lines.is_cut => return Err(ImportError::CutOff(number)),
            Err(wrong) => return Err(wrong.at(number + 1)),
        }
    };
    if lines.next()?.is_some() {
        return Err(lines.wrong("nothing may follow the line that ends an export"));
    }
    match origin {
        Some(origin) if origin.sha256 == end.sha256 => Ok(Imported::Before(origin.imported_at)),
        Some(_) => Err(ImportError::NotEmpty(place.clone())),
        None => {
            let found = import_writer.adapt().map_err(|wrong| wrong.at(lines.number))?;
            if !is_within(found, reading.heads) {
                return Err(
                    lines.wrong("an inbox item or audit entry has a larger number than the first line says")
                );
            }
            import_writer.finish(&Origin { sha256: end.sha256, imported_at: now }, reading.heads)?;
            Ok(Imported::Done(end.totals))
        }
    }
}

fn is_within(found: Heads, given: Heads) -> bool {
    found.sequence <= given.sequence && found.inbox <= given.inbox && found.audit <= given.audit
}

/// The lines of a file, none longer than [`MAX_LINE_BYTES`].
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    /// Whether the newest line has no end.
    is_cut: bool,
}

impl<R: BufRead> Lines<R> {
    /// The next line without its end; none after the last.
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
            return Err(self.wrong("the line is too long"));
        }
        Ok(Some(&self.line))
    }

    fn wrong(&self, why: &str) -> ImportError {
        ImportError::Line { number: self.number, why: why.to_owned() }
    }

    fn header(&mut self) -> Result<Header, ImportError> {
        let Some(line) = self.next()? else { return Err(ImportError::CutOff(0)) };
        #[derive(serde::Deserialize)]
        struct Named {
            format: String,
            version: u32,
        }
        let named: Option<Named> = serde_json::from_slice(line).ok();
        let why = match named {
            Some(Named { format, version: VERSION }) if format == FORMAT => {
                match serde_json::from_slice::<Header>(line) {
                    Ok(header) if header.room.is_some() && header.tenant.is_none() => {
                        "a room needs its tenant".to_owned()
                    }
                    Ok(header) => return Ok(header),
                    Err(error) => format!("the first line is incomplete: {}", plain(&error)),
                }
            }
            Some(Named { format, version }) if format == FORMAT => {
                format!(
                    "the export has version {version} of the format; this agentcafe reads version {VERSION}"
                )
            }
            _ => format!("this is no export: the first line must name the format {FORMAT:?}"),
        };
        Err(self.wrong(&why))
    }
}

/// What a reader of JSON stumbled over; the line it names is that within a line.
fn plain(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", ", at byte ")
}

/// What is said of a line that does not go in beside those before it.
pub(crate) const TAKEN: &str = "it has an id, key or number that a line before it has";

/// What is wrong with a line, or with the store while it was written.
pub(crate) enum Wrong {
    Syntax(String),
    Line(String),
    /// A line that was read before.
    Earlier(u64, String),
    Store(String),
}

impl Wrong {
    fn at(self, number: u64) -> ImportError {
        match self {
            Self::Syntax(why) | Self::Line(why) => ImportError::Line { number, why },
            Self::Earlier(number, why) => ImportError::Line { number, why },
            Self::Store(why) => ImportError::Write(why),
        }
    }
}

impl From<rusqlite::Error> for Wrong {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => Self::Line(TAKEN.to_owned()),
            _ => Self::Store(error.to_string()),
        }
    }
}

impl From<Unreadable> for Wrong {
    fn from(error: Unreadable) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<String> for Wrong {
    fn from(why: String) -> Self {
        Self::Line(why)
    }
}

impl From<&str> for Wrong {
    fn from(why: &str) -> Self {
        Self::Line(why.to_owned())
    }
}

/// How far a file was read, and what must hold for the rest of it.
struct Reading {
    part: Part,
    heads: Heads,
    digest: Digest,
    totals: Totals,
    last: (Sequence, Timestamp),
}

impl Reading {
    fn new(header: Header) -> Self {
        Self {
            part: header.part(),
            heads: header.heads(),
            digest: Digest::begin(&header),
            totals: Totals::default(),
            last: (Sequence::START, Timestamp::from_millis(i64::MIN)),
        }
    }

    /// Checks a line, and puts what it has into the store, if there is one. Hands back the last line.
    fn take(
        &mut self,
        bytes: &[u8],
        number: u64,
        import_writer: Option<&mut impl Filled>,
    ) -> Result<Option<End>, Wrong> {
        let line: Line<'_> = serde_json::from_slice(bytes)
            .map_err(|error| Wrong::Syntax(format!("it is no line of an export: {}", plain(&error))))?;
        if let Line::End(end) = line {
            return self.end(end).map(Some);
        }
        self.digest.add(bytes);
        match line {
            Line::Event(json) => {
                self.totals.events += 1;
                let event = self.event(json.get())?;
                import_writer.map(|import_writer| import_writer.event(number, event)).transpose()?;
            }
            Line::Record(line) => {
                self.totals.records += 1;
                let (table, record) = self.record(&line)?;
                import_writer.map(|import_writer| import_writer.record(number, table, record)).transpose()?;
            }
            Line::Key(line) => {
                self.totals.keys += 1;
                if !self.part.is_whole() {
                    return Err("the export of a part of a café has no idempotency keys".into());
                }
                let key = line.read()?;
                import_writer.map(|import_writer| import_writer.key(number, key)).transpose()?;
            }
            Line::End(_) => {}
        }
        Ok(None)
    }

    fn event(&mut self, json: &str) -> Result<StoredEvent, Wrong> {
        let event = StoredEvent::restore(json.to_owned().into())
            .map_err(|error| format!("it is no event: {}", plain(&error)))?;
        let place = (event.sequence, event.timestamp);
        if event.sequence <= self.last.0 || event.sequence > self.heads.sequence {
            return Err(format!(
                "the event's sequence {} is not after {} and up to the head {}",
                event.sequence.0, self.last.0.0, self.heads.sequence.0
            )
            .into());
        }
        if event.timestamp < self.last.1 {
            return Err("the event is older than the one before it".into());
        }
        self.last = place;
        let cells = [("tenant_id", Cell::from(&event.tenant_id)), ("room_id", Cell::from(&event.room_id))];
        self.belongs(|column| cells.iter().find(|(name, _)| *name == column).map(|(_, cell)| cell.clone()))?;
        Ok(event)
    }

    fn record(&self, line: &RecordLine<'_>) -> Result<(&'static Table, StoredRecord), Wrong> {
        let kind = RecordKind::of_table(line.table).filter(|kind| !kind.is_internal());
        let kind = kind.ok_or_else(|| format!("there is no table {:?} that is imported", line.table))?;
        let json = line.json.get().as_bytes().to_vec();
        let record = kind.import(json, self.heads.sequence).map_err(|error| error.to_string())?;
        self.belongs(|column| kind.table.cell(&record, column).cloned())?;
        Ok((kind.table, record))
    }

    /// Whether something is of the part of the café that the first line names.
    fn belongs(&self, cell: impl Fn(&str) -> Option<Cell>) -> Result<(), Wrong> {
        let tenant = self.part.tenant.as_ref().map(Cell::from);
        let room = self.part.room.as_ref().map(Cell::from);
        for (column, wanted) in [("tenant_id", tenant), ("room_id", room)] {
            if wanted.is_some() && cell(column) != wanted {
                return Err("it is of another tenant or room than the first line says".into());
            }
        }
        Ok(())
    }

    fn end(&self, end: End) -> Result<End, Wrong> {
        if end.totals != self.totals {
            return Err(format!(
                "lines are missing: it counts {:?}, but there were {:?}",
                end.totals, self.totals
            )
            .into());
        }
        if self.digest.clone().finish() != end.sha256 {
            return Err("the file was changed after it was exported: its SHA-256 is another".into());
        }
        Ok(end)
    }
}
