//! A connection with its prepared statements and the columns of the tables.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use agentcafe_domain::kernel::{Cell, Key, RecordQuery, Sequence, StoredRecord, Table, Timestamp};
use agentcafe_domain::search::query::WordQuery;
use agentcafe_eventlog::LoggedEvent;
use bytes::{BufMut, BytesMut};
use deadpool_postgres::{Object, Pool, PoolError};
use futures_util::TryStreamExt;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Error, Statement};

use super::connect::TIMEOUT;
use super::schema::Schema;
use super::{events, records, word_query};
use crate::reads::ReadConnection;
use crate::rows::{Parameter, Row};
use crate::sql::Select;
use crate::storage_error::{StorageError, with_causes};

/// The most prepared statements of a connection; some are built for the query of a client.
const MAX_STATEMENTS: usize = 400;

/// A connection out of a pool. Statements stay prepared: there are few, built from the tables.
pub(crate) struct Connection {
    pub(super) client: Object,
    pub(super) schema: Arc<Schema>,
    /// The round trips since it was taken out of the pool.
    round_trips: AtomicU32,
}

impl Connection {
    pub(super) fn new(client: Object, schema: Arc<Schema>) -> Self {
        Self { client, schema, round_trips: AtomicU32::new(0) }
    }

    /// Takes a connection out of a pool.
    pub(super) async fn from_pool(pool: &Pool, schema: &Arc<Schema>) -> Result<Self, StorageError> {
        let client =
            pool.get().await.map_err(|error: PoolError| StorageError::Unreachable(with_causes(&error)))?;
        if client.statement_cache.size() > MAX_STATEMENTS {
            client.statement_cache.clear();
        }
        Ok(Self::new(client, Arc::clone(schema)))
    }

    /// Runs work on this connection with a timeout: a database that was suspended does not answer at all.
    pub(super) async fn with_timeout<T>(
        &self,
        work: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        self.with_deadline(Instant::now() + TIMEOUT, work).await
    }

    /// The same for a part of the work that has to end by then.
    pub(super) async fn with_deadline<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let no_answer = |_| Err(StorageError::Unreachable(format!("no answer in {TIMEOUT:?}")));
        timeout_at(deadline, work).await.unwrap_or_else(no_answer)
    }

    /// Returns the result of work on this connection. If the connection was lost, it does not go back to its pool.
    pub(super) fn discard_if_lost<T>(self, done: Result<T, StorageError>) -> Result<T, StorageError> {
        if done.as_ref().is_err_and(StorageError::is_lost) {
            self.discard();
        }
        done
    }

    /// Closes it, which ends a transaction that is open.
    pub(super) fn discard(self) {
        drop(Object::take(self.client));
    }

    /// A statement, as this connection has prepared it.
    pub(super) async fn prepared(&self, sql: &str) -> Result<Statement, Error> {
        let cache = &self.client.statement_cache;
        let known = cache.size();
        let statement = self.client.prepare_cached(sql).await?;
        if cache.size() > known {
            self.count_round_trip();
        }
        Ok(statement)
    }

    /// Counts a round trip.
    pub(super) fn count_round_trip(&self) {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
    }

    /// The round trips since this connection was taken out of its pool.
    pub(super) fn round_trips(&self) -> u32 {
        self.round_trips.load(Ordering::Relaxed)
    }

    /// The rows that a statement returns.
    pub(super) async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, Error> {
        let statement = self.prepared(sql).await?;
        self.count_round_trip();
        self.client.query(&statement, parameters).await
    }

    /// Runs a statement, and returns how many rows it changed.
    pub(super) async fn execute(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let statement = self.prepared(sql).await?;
        self.count_round_trip();
        self.client.execute(&statement, parameters).await
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Boolean(flag) => out.put_u8((*flag).into()),
            Self::Integer(number) => out.put_i64(*number),
            Self::Text(text) => out.put_slice(text.as_bytes()),
            Self::Bytes(bytes) => out.put_slice(bytes),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A value as PostgreSQL sends it.
struct Raw<'r>(&'r [u8]);

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(_: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Row for tokio_postgres::Row {
    fn cell(&self, at: usize) -> Result<Cell, StorageError> {
        Ok(match *self.columns()[at].type_() {
            Type::TEXT => self.try_get::<_, Option<&str>>(at)?.map_or(Cell::Null, Cell::from),
            _ => self.try_get::<_, Option<i64>>(at)?.map_or(Cell::Null, Cell::Integer),
        })
    }

    fn boolean(&self, at: usize) -> Result<bool, StorageError> {
        Ok(self.try_get(at)?)
    }

    fn integer(&self, at: usize) -> Result<i64, StorageError> {
        Ok(self.try_get(at)?)
    }

    fn optional_text(&self, at: usize) -> Result<Option<&str>, StorageError> {
        Ok(self.try_get(at)?)
    }

    fn bytes(&self, at: usize) -> Result<&[u8], StorageError> {
        Ok(self.try_get::<_, Raw<'_>>(at)?.0)
    }
}

impl ReadConnection for Connection {
    const TRACES: &'static str = "traces";
    const DOCUMENTS_WITH_WORDS: &'static str = word_query::DOCUMENTS_WITH_WORDS;

    async fn read<E: From<StorageError>>(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        mut take: impl FnMut(&dyn Row) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let statement = self.prepared(sql).await.map_err(StorageError::from)?;
        self.count_round_trip();
        let rows = self.client.query_raw(&statement, parameters).await.map_err(StorageError::from)?;
        let mut rows = pin!(rows);
        while let Some(row) = rows.try_next().await.map_err(StorageError::from)? {
            if take(&row)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn last_sequence(&self) -> Result<Sequence, StorageError> {
        Ok(events::CommittedHead::read(self).await?.head)
    }

    async fn last_before(&self, _: Sequence, time: Timestamp) -> Result<Sequence, StorageError> {
        Ok(events::last_before(self, time).await?)
    }

    async fn events_at(
        &self,
        sequences: &[Sequence],
        max_bytes: usize,
    ) -> Result<Vec<LoggedEvent>, StorageError> {
        events::at(self, sequences, max_bytes).await
    }

    async fn records_with_keys(
        &self,
        table: &Table,
        keys: &[Key],
    ) -> Result<Vec<Option<StoredRecord>>, StorageError> {
        records::get(self, table, keys).await
    }

    fn select<'q>(&self, query: &'q RecordQuery) -> Select<'q> {
        records::select(&self.schema, query)
    }

    fn word_query(query: &WordQuery) -> String {
        word_query::word_query(query)
    }

    /// The sums run over the chosen rows in order. The second row is sent even if the first is too large already: it shows that
    /// the page is cut.
    fn limit_bytes(page: &mut String, parameters: &mut Vec<Parameter<'_>>, order: &str, max_bytes: i64) {
        parameters.push(Parameter::Integer(max_bytes));
        *page = format!(
            "SELECT sequence, type, json, checksum FROM (
                 SELECT sequence, type, json, checksum, row_number() OVER (ORDER BY sequence {order}) AS position,
                        sum(octet_length(json)) OVER (ORDER BY sequence {order}) - octet_length(json) AS bytes_before
                 FROM ({page}) AS page) AS summed
             WHERE bytes_before <= ${} OR position = 2 ORDER BY sequence {order}",
            parameters.len()
        );
    }
}
