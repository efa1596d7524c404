//! Rows and the parameters of statements, as both databases have them.

use std::borrow::Cow;

use agentcafe_domain::kernel::{
    ActorId, Cell, CorrelationId, EventType, Hash, Owner, Reply, RoomId, Sequence, StoredEvent, StoredRecord,
    Success, Table, Timestamp,
};
use agentcafe_eventlog::{DamagedEvents, LoggedEvent};
use bytes::Bytes;

use crate::envelope::TraceNote;
use crate::event_damage::checksum;
use crate::sql::{number, sequence};
use crate::storage::StoredKey;
use crate::storage_error::StorageError;

/// The value of a parameter, or of a column that is written.
#[derive(Clone, Debug)]
pub(crate) enum Parameter<'p> {
    Null,
    Boolean(bool),
    Integer(i64),
    Text(&'p str),
    /// What SQLite stores as bytes, and PostgreSQL as bytes, as a UUID or as text.
    Bytes(Cow<'p, [u8]>),
}

impl<'p> Parameter<'p> {
    pub(crate) fn bytes(bytes: &'p [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
    }

    pub(crate) fn optional(text: Option<&'p str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

impl<'p> From<&'p Cell> for Parameter<'p> {
    fn from(cell: &'p Cell) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Integer(number) => Self::Integer(*number),
            Cell::Text(text) => Self::Text(text),
        }
    }
}

/// A row of an answer. Its columns are numbered from 0.
pub(crate) trait Row {
    /// A column of a record: a number, a text or nothing.
    fn cell(&self, at: usize) -> Result<Cell, StorageError>;
    fn boolean(&self, at: usize) -> Result<bool, StorageError>;
    fn integer(&self, at: usize) -> Result<i64, StorageError>;
    fn optional_text(&self, at: usize) -> Result<Option<&str>, StorageError>;
    /// What was written as [`Parameter::Bytes`].
    fn bytes(&self, at: usize) -> Result<&[u8], StorageError>;

    fn text(&self, at: usize) -> Result<&str, StorageError> {
        self.optional_text(at)?.ok_or_else(|| StorageError::Corrupt("a row without a text".to_owned()))
    }

    fn hash(&self, at: usize) -> Result<Hash, StorageError> {
        self.bytes(at)?.try_into().map_err(|_| StorageError::Corrupt("a hash of another length".to_owned()))
    }

    fn timestamp(&self, at: usize) -> Result<Timestamp, StorageError> {
        self.integer(at).map(Timestamp::from_millis)
    }
}

/// How rows of a kind are inserted: the table, its columns, their types in PostgreSQL, and the values.
pub(crate) struct RowFormat<R, const N: usize> {
    pub(crate) table: &'static str,
    pub(crate) columns: &'static str,
    pub(crate) types: [&'static str; N],
    pub(crate) values: for<'r> fn(&'r R) -> [Parameter<'r>; N],
}

/// The events.
pub(crate) const EVENTS: RowFormat<StoredEvent, 10> = RowFormat {
    table: "events",
    columns: "sequence, event_id, tenant_id, room_id, actor_id, type, at_ms, mentioned_actor_id, checksum, json",
    types: ["bigint", "uuid", "text", "text", "text", "text", "bigint", "text", "bigint", "text"],
    values: |event| {
        [
            Parameter::Integer(number(event.sequence)),
            Parameter::bytes(event.event_id.as_bytes()),
            Parameter::Text(event.tenant_id.as_str()),
            Parameter::Text(event.room_id.as_str()),
            Parameter::Text(event.actor_id.as_str()),
            Parameter::Text(event.kind.as_str()),
            Parameter::Integer(event.timestamp.as_millis()),
            Parameter::optional(event.mentioned.as_ref().map(ActorId::as_str)),
            Parameter::Integer(checksum(event.sequence, event.kind.as_str(), &event.json)),
            Parameter::bytes(&event.json),
        ]
    },
};

/// The attempts that traces are made of.
pub(crate) const ATTEMPTS: RowFormat<TraceNote, 13> = RowFormat {
    table: "traces",
    columns:
        "trace_id, correlation_id, request_id, route, method, tenant_id, room_id, actor_id, started_at_ms,
              ended_at_ms, succeeded, steps, owner",
    types: [
        "uuid", "text", "text", "text", "text", "text", "text", "text", "bigint", "bigint", "boolean",
        "text", "text",
    ],
    values: |note| {
        let origin = &note.origin;
        let steps = serde_json::to_vec(&note.steps).expect("a step has text keys and finite numbers");
        [
            Parameter::bytes(origin.trace_id.as_bytes()),
            Parameter::Text(note.correlation_id.as_str()),
            Parameter::Text(&origin.request_id),
            Parameter::Text(&origin.route),
            Parameter::Text(origin.method),
            Parameter::Text(origin.tenant_id.as_str()),
            Parameter::optional(origin.room_id.as_ref().map(RoomId::as_str)),
            Parameter::optional(origin.actor_id.as_ref().map(ActorId::as_str)),
            Parameter::Integer(origin.started_at.as_millis()),
            Parameter::Integer(note.ended_at.as_millis()),
            Parameter::Boolean(note.succeeded),
            Parameter::Bytes(Cow::Owned(steps)),
            Parameter::optional(origin.owner.as_ref().map(Owner::as_str)),
        ]
    },
};

/// The event in a row of `sequence, type, json, checksum`.
///
/// # Errors
/// [`StorageError::DamagedEvents`] if that is not what was written.
pub(crate) fn logged_event(row: &dyn Row) -> Result<LoggedEvent, StorageError> {
    EventRow::read(row).map(|event| event.to_event())
}

/// An intact event in a row of the log.
pub(crate) struct EventRow<'r> {
    pub(crate) sequence: Sequence,
    kind: EventType,
    pub(crate) json: &'r [u8],
}

impl<'r> EventRow<'r> {
    /// Reads the columns sequence, type, json and checksum.
    pub(crate) fn read(row: &'r dyn Row) -> Result<Self, StorageError> {
        let sequence = sequence(row.integer(0)?);
        let read = || {
            let (kind, json) = (row.text(1)?, row.bytes(2)?);
            check_checksum(row.cell(3)?, sequence, kind, json)?;
            Ok(Self { sequence, kind: event_type(kind)?, json })
        };
        read().map_err(|_: StorageError| StorageError::DamagedEvents(DamagedEvents::one(sequence)))
    }

    pub(crate) fn to_event(&self) -> LoggedEvent {
        LoggedEvent { sequence: self.sequence, kind: self.kind, json: Bytes::copy_from_slice(self.json) }
    }
}

/// Compares a row of the log with its stored checksum. Rows of earlier versions have none.
pub(crate) fn check_checksum(
    stored: Cell,
    sequence: Sequence,
    kind: &str,
    json: &[u8],
) -> Result<(), StorageError> {
    if stored == Cell::Null || stored == Cell::Integer(checksum(sequence, kind, json)) {
        return Ok(());
    }
    Err(StorageError::Corrupt("another checksum than its content".to_owned()))
}

/// The stored name of an event type.
pub(crate) fn event_type(name: &str) -> Result<EventType, StorageError> {
    EventType::parse(name).ok_or_else(|| StorageError::Corrupt(format!("an event of type {name:?}")))
}

/// The record in a row of the table's key, columns and body.
pub(crate) fn stored_record(table: &Table, row: &dyn Row) -> Result<StoredRecord, StorageError> {
    let keys = table.key.len();
    let columns = keys + table.columns.len();
    Ok(StoredRecord {
        key: (0..keys).map(|at| row.cell(at)).collect::<Result<_, _>>()?,
        columns: (keys..columns).map(|at| row.cell(at)).collect::<Result<_, _>>()?,
        json: row.bytes(columns)?.to_vec(),
    })
}

/// The key in a row of `identity, request, expires_at_ms, correlation_id, success` and the reply.
pub(crate) fn stored_key(row: &dyn Row) -> Result<StoredKey, StorageError> {
    let code = row.integer(4)?;
    let success = success_from_code(code);
    Ok(StoredKey {
        identity: row.hash(0)?,
        request: row.hash(1)?,
        expires_at: row.timestamp(2)?,
        correlation_id: CorrelationId::parse(row.text(3)?)
            .map_err(|why| StorageError::Corrupt(why.to_string()))?,
        reply: Reply {
            success: success.ok_or_else(|| StorageError::Corrupt(format!("an answer of kind {code}")))?,
            data: row.bytes(5)?.to_vec(),
            stored: None,
        },
    })
}

/// The number of a kind of success in a database and in an export.
pub(crate) const fn success_code(success: Success) -> i64 {
    match success {
        Success::Ok => 200,
        Success::Created => 201,
        Success::Accepted => 202,
    }
}

/// The kind of success with this number; none if there is none.
pub(crate) const fn success_from_code(code: i64) -> Option<Success> {
    match code {
        200 => Some(Success::Ok),
        201 => Some(Success::Created),
        202 => Some(Success::Accepted),
        _ => None,
    }
}
