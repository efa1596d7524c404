//! Reads what a database holds at one moment, a row at a time: one transaction that lasts as long as this does.

use agentcafe_domain::kernel::Heads;
use futures_util::TryStreamExt;
use tokio::runtime::Runtime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connect::{Address, PostgresError, PostgresOptions, connect_with_retry};
use super::connection::Connection;
use super::open::open_error;
use super::schema::Schema;
use super::{events, idempotency_keys};
use crate::export::{ExportError, Snapshot};
use crate::export_format::ExportScope;
use crate::open_error::OpenError;
use crate::sql::scope_conditions;
use crate::storage::StoredKey;

/// A store, or a part of it, at one moment.
pub(crate) struct PostgresSnapshot {
    runtime: Runtime,
    connection: Connection,
    scope: ExportScope,
}

impl PostgresSnapshot {
    /// What the database holds now. None if it was never a store.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) fn take(options: &PostgresOptions, scope: ExportScope) -> Result<Option<Self>, OpenError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(open_error)?;
        let taking = async {
            let address = Address::parse(options.url.expose()).map_err(OpenError::Database)?;
            let client = connect_with_retry(&address.pool("exports", 1)).await.map_err(open_error)?;
            // It lasts as long as what is read takes to be written.
            let begin = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
                         BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
            client.batch_execute(begin).await.map_err(open_error)?;
            let table = client.query_one("SELECT to_regclass('log_head') IS NOT NULL", &[]).await;
            let exists: bool = table.and_then(|row| row.try_get(0)).map_err(open_error)?;
            Ok::<_, OpenError>(exists.then(|| Connection::new(client, Schema::default().into())))
        };
        let connection = runtime.block_on(taking)?;
        Ok(connection.map(|connection| Self { runtime, connection, scope }))
    }

    fn each(
        &self,
        sql: &str,
        values: &[&str],
        mut take: impl FnMut(&Row) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        self.runtime.block_on(async {
            let statement = self.connection.prepared(sql).await.map_err(PostgresError::from)?;
            let values = values.iter().map(|value| value as &(dyn ToSql + Sync));
            let rows = self.connection.client.query_raw(&statement, values).await;
            let mut rows = std::pin::pin!(rows.map_err(PostgresError::from)?);
            while let Some(row) = rows.try_next().await.map_err(PostgresError::from)? {
                take(&row)?;
            }
            Ok(())
        })
    }
}

impl Snapshot for PostgresSnapshot {
    fn heads(&self) -> Result<Heads, ExportError> {
        let mut heads = Heads::default();
        self.each("SELECT sequence, inbox, audit FROM log_head", &[], |row| {
            heads = events::heads(row, [0, 1, 2]).map_err(PostgresError::from)?;
            Ok(())
        })?;
        Ok(heads)
    }

    fn each_json(
        &self,
        table: &str,
        order_by: &str,
        take: &mut dyn FnMut(&[u8]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let (mut conditions, mut values) = ("true".to_owned(), Vec::new());
        for (column, value) in scope_conditions(&self.scope) {
            values.push(value);
            conditions.push_str(&format!(" AND {column} = ${}", values.len()));
        }
        let sql = format!("SELECT json FROM {table} WHERE {conditions} ORDER BY {order_by}");
        self.each(&sql, &values, |row| {
            take(row.try_get::<_, &str>(0).map_err(PostgresError::from)?.as_bytes())
        })
    }

    fn each_key(
        &self,
        take: &mut dyn FnMut(StoredKey) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        self.each(idempotency_keys::READ_ALL, &[], |row| take(idempotency_keys::stored_key(row)?))
    }
}
