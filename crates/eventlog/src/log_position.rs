//! Which log this is and where it ends, and whether the cursor of a reader belongs to it.

use agentcafe_domain::kernel::{Code, DomainError, Sequence};
use schemars::JsonSchema;
use serde::Serialize;

/// A log, and where it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogPosition {
    /// The head of the log: the sequence of the last event.
    pub head: Sequence,
    /// The id of the log. A cursor that comes from a log with another id is not valid in this one.
    pub log_id: String,
}

/// What a reader has of a log: its cursor, and the id of the log that the cursor is from.
#[derive(Clone, Debug, Default)]
pub struct ReaderPosition {
    /// The cursor; none for a reader that starts anew.
    pub cursor: Option<Sequence>,
    /// The id of its log, if the reader sent it.
    pub log_id: Option<String>,
}

/// What a client sends as the id of the last event that it received, when it reconnects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastEventId {
    /// Nothing: it connects for the first time.
    #[default]
    Missing,
    /// The sequence of an event.
    Sequence(Sequence),
    /// Something else: the id of an event of another server at the same address.
    Foreign,
}

impl LastEventId {
    /// The sequence, if it is one.
    pub fn sequence(self) -> Option<Sequence> {
        match self {
            Self::Sequence(sequence) => Some(sequence),
            Self::Missing | Self::Foreign => None,
        }
    }
}

/// Why a cursor is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// It is beyond the head of the log.
    CursorAhead,
    /// It is from another log.
    OtherLog,
}

impl LogPosition {
    /// Why the cursor of a reader is not valid in this log; none if it is.
    pub fn reset_reason(&self, reader: &ReaderPosition) -> Option<ResetReason> {
        let cursor = reader.cursor?;
        if reader.log_id.as_ref().is_some_and(|log_id| *log_id != self.log_id) {
            return Some(ResetReason::OtherLog);
        }
        (cursor > self.head).then_some(ResetReason::CursorAhead)
    }

    /// Checks that the cursor of a reader is valid in this log.
    ///
    /// # Errors
    /// `ERR_CURSOR_AHEAD {head, logId}`.
    pub fn check(&self, reader: &ReaderPosition) -> Result<(), DomainError> {
        let why = match self.reset_reason(reader) {
            None => return Ok(()),
            Some(ResetReason::CursorAhead) => "the cursor is beyond the head of the log",
            Some(ResetReason::OtherLog) => "the cursor is from another log",
        };
        let error = DomainError::new(Code::CursorAhead)
            .saying(format!("{why}; read the state again and continue from head, with the new logId"));
        Err(error.with("head", self.head.0).with("logId", self.log_id.as_str()))
    }
}
