//! A connection with its prepared statements, and what the columns of the tables are.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use deadpool_postgres::{Object, Pool, PoolError};
use tokio::time::timeout;
use tokio_postgres::{Error, Row, Statement, types::ToSql};

use super::{
    open::{TIMEOUT, Unreadable, with_causes},
    schema::Schema,
};

/// The most statements that a connection remembers; some are made for what a client asks.
const MAX_STATEMENTS: usize = 400;

/// A connection on loan from a pool. What it has prepared it remembers: the texts are few, and made from tables.
pub(super) struct Connection {
    pub(super) client: Object,
    pub(super) schema: Arc<Schema>,
    /// How often the database was waited for.
    round_trips: AtomicU32,
}

impl Connection {
    pub(super) fn new(client: Object, schema: Arc<Schema>) -> Self {
        Self { client, schema, round_trips: AtomicU32::new(0) }
    }

    /// Takes a connection out of a pool.
    pub(super) async fn of(pool: &Pool, schema: &Arc<Schema>) -> Result<Self, Unreadable> {
        let client =
            pool.get().await.map_err(|error: PoolError| Unreadable::Unreachable(with_causes(&error)))?;
        if client.statement_cache.size() > MAX_STATEMENTS {
            client.statement_cache.clear();
        }
        Ok(Self::new(client, Arc::clone(schema)))
    }

    /// Waits for what is done on this connection, but not for ever: a database that was stopped says nothing at all.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Unreadable>>,
    ) -> Result<T, Unreadable> {
        let silent = |_| Err(Unreadable::Unreachable(format!("no answer in {TIMEOUT:?}")));
        timeout(TIMEOUT, work).await.unwrap_or_else(silent)
    }

    /// Gives it back with what was done on it; if that was lost, the connection is not used again.
    pub(super) fn adapt<T>(self, done: Result<T, Unreadable>) -> Result<T, Unreadable> {
        if done.as_ref().is_err_and(Unreadable::is_lost) {
            self.discard();
        }
        done
    }

    /// Closes it, and with it ends whatever transaction is open.
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

    /// Says that the database is waited for once more.
    pub(super) fn count_round_trip(&self) {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the database was waited for, since this connection was taken out of its pool.
    pub(super) fn round_trips(&self) -> u32 {
        self.round_trips.load(Ordering::Relaxed)
    }

    /// The rows that a statement answers.
    pub(super) async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let statement = self.prepared(sql).await?;
        self.count_round_trip();
        self.client.query(&statement, parameters).await
    }

    /// Runs a statement, and tells how many rows it touched.
    pub(super) async fn execute(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let statement = self.prepared(sql).await?;
        self.count_round_trip();
        self.client.execute(&statement, parameters).await
    }
}
