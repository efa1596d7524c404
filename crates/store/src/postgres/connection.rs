//! A connection with its prepared statements and the columns of the tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use deadpool_postgres::{Object, Pool, PoolError};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

use super::connect::{PostgresError, TIMEOUT, with_causes};
use super::schema::Schema;

/// The most prepared statements of a connection; some are built for the query of a client.
const MAX_STATEMENTS: usize = 400;

/// A connection out of a pool. Statements stay prepared: there are few, built from the tables.
pub(super) struct Connection {
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
    pub(super) async fn from_pool(pool: &Pool, schema: &Arc<Schema>) -> Result<Self, PostgresError> {
        let client =
            pool.get().await.map_err(|error: PoolError| PostgresError::Unreachable(with_causes(&error)))?;
        if client.statement_cache.size() > MAX_STATEMENTS {
            client.statement_cache.clear();
        }
        Ok(Self::new(client, Arc::clone(schema)))
    }

    /// Runs work on this connection with a timeout: a database that was suspended does not answer at all.
    pub(super) async fn with_timeout<T>(
        &self,
        work: impl Future<Output = Result<T, PostgresError>>,
    ) -> Result<T, PostgresError> {
        self.with_deadline(Instant::now() + TIMEOUT, work).await
    }

    /// The same for a part of the work that has to end by then.
    pub(super) async fn with_deadline<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, PostgresError>>,
    ) -> Result<T, PostgresError> {
        let no_answer = |_| Err(PostgresError::Unreachable(format!("no answer in {TIMEOUT:?}")));
        timeout_at(deadline, work).await.unwrap_or_else(no_answer)
    }

    /// Returns the result of work on this connection. If the connection was lost, it does not go back to its pool.
    pub(super) fn discard_if_lost<T>(self, done: Result<T, PostgresError>) -> Result<T, PostgresError> {
        if done.as_ref().is_err_and(PostgresError::is_lost) {
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
    ) -> Result<Vec<Row>, Error> {
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
