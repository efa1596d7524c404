//! A connection with its prepared statements, and what the columns of the tables are.

use std::sync::Arc;

use deadpool_postgres::{Object, Pool, PoolError};
use tokio_postgres::{Error, Row, types::ToSql};

use super::{open::Unreadable, schema::Schema};

/// A connection on loan from a pool. What it has prepared it remembers: the texts are few, and made from tables.
pub(super) struct Connection {
    pub(super) client: Object,
    pub(super) schema: Arc<Schema>,
}

impl Connection {
    /// Takes a connection out of a pool.
    pub(super) async fn of(pool: &Pool, schema: &Arc<Schema>) -> Result<Self, Unreadable> {
        let client = pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => Unreadable::Database(error),
            other => Unreadable::Unreachable(other.to_string()),
        })?;
        Ok(Self { client, schema: Arc::clone(schema) })
    }

    /// The rows that a statement answers.
    pub(super) async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let statement = self.client.prepare_cached(sql).await?;
        self.client.query(&statement, parameters).await
    }

    /// Runs a statement, and tells how many rows it touched.
    pub(super) async fn execute(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let statement = self.client.prepare_cached(sql).await?;
        self.client.execute(&statement, parameters).await
    }
}
