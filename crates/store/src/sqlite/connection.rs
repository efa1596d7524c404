//! A connection as the shared statements use it. It answers at once.

use std::ops::ControlFlow;

use agentcafe_domain::kernel::{Cell, Key, RecordQuery, Sequence, StoredRecord, Table, Timestamp};
use agentcafe_domain::search::query::WordQuery;
use agentcafe_eventlog::LoggedEvent;
use futures_util::FutureExt;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql};

use super::{events, records, word_query};
use crate::reads::ReadConnection;
use crate::rows::{Parameter, Row};
use crate::sql::Select;
use crate::storage::BlockingConnection;
use crate::storage_error::StorageError;

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Boolean(flag) => ToSqlOutput::Owned(Value::Integer((*flag).into())),
            Self::Integer(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// A value of another type than the column has.
fn unreadable(error: rusqlite::types::FromSqlError) -> StorageError {
    rusqlite::Error::from(error).into()
}

impl Row for rusqlite::Row<'_> {
    fn cell(&self, at: usize) -> Result<Cell, StorageError> {
        match self.get_ref(at)? {
            ValueRef::Null => Ok(Cell::Null),
            ValueRef::Integer(number) => Ok(Cell::Integer(number)),
            ValueRef::Text(text) => Ok(Cell::from(String::from_utf8_lossy(text).as_ref())),
            other => Err(StorageError::Corrupt(format!("a key or column of type {}", other.data_type()))),
        }
    }

    fn boolean(&self, at: usize) -> Result<bool, StorageError> {
        Ok(self.get(at)?)
    }

    fn integer(&self, at: usize) -> Result<i64, StorageError> {
        self.get_ref(at)?.as_i64().map_err(unreadable)
    }

    fn optional_text(&self, at: usize) -> Result<Option<&str>, StorageError> {
        self.get_ref(at)?.as_str_or_null().map_err(unreadable)
    }

    fn bytes(&self, at: usize) -> Result<&[u8], StorageError> {
        self.get_ref(at)?.as_blob().map_err(unreadable)
    }
}

/// The result of what does not wait for anything.
pub(super) fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("SQLite answers at once")
}

/// Runs a statement that returns no rows.
pub(super) fn execute<'p>(
    connection: &Connection,
    sql: &str,
    parameters: impl IntoIterator<Item = Parameter<'p>>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    for (at, parameter) in parameters.into_iter().enumerate() {
        statement.raw_bind_parameter(at + 1, parameter)?;
    }
    statement.raw_execute().map(|_| ())
}

impl ReadConnection for Connection {
    const TRACES: &'static str = "(SELECT * FROM traces_even WHERE correlation_id = $1
                                     UNION ALL SELECT * FROM traces_odd WHERE correlation_id = $1)";
    const DOCUMENTS_WITH_WORDS: &'static str = word_query::DOCUMENTS_WITH_WORDS;

    async fn read<E: From<StorageError>>(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        mut take: impl FnMut(&dyn Row) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let mut statement = self.prepare_cached(sql).map_err(StorageError::from)?;
        for (at, parameter) in parameters.iter().enumerate() {
            debug_assert_eq!(statement.parameter_name(at + 1), Some(format!("${}", at + 1).as_str()));
            statement.raw_bind_parameter(at + 1, parameter).map_err(StorageError::from)?;
        }
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(StorageError::from)? {
            if take(row)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn last_sequence(&self) -> Result<Sequence, StorageError> {
        Ok(events::head(self)?.0)
    }

    async fn last_before(&self, head: Sequence, time: Timestamp) -> Result<Sequence, StorageError> {
        Ok(events::last_before(self, head, time)?)
    }

    async fn events_at(
        &self,
        sequences: &[Sequence],
        max_bytes: usize,
    ) -> Result<Vec<LoggedEvent>, StorageError> {
        events::at(self, sequences, max_bytes)
    }

    async fn records_with_keys(
        &self,
        table: &Table,
        keys: &[Key],
    ) -> Result<Vec<Option<StoredRecord>>, StorageError> {
        keys.iter().map(|key| records::get(self, table, key)).collect()
    }

    fn select<'q>(&self, query: &'q RecordQuery) -> Select<'q> {
        Select::new(query, false)
    }

    fn word_query(query: &WordQuery) -> String {
        word_query::word_query(query)
    }
}

impl BlockingConnection for Connection {
    type Connection = Self;

    fn connection(&self) -> &Self {
        self
    }

    fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        now(answer)
    }
}
