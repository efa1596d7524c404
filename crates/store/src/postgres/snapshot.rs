//! What a database holds at one moment, read a row at a time: one transaction that lasts as long as this does.

use agentcafe_domain::kernel::{command::Heads, record::Table};
use futures_util::TryStreamExt;
use tokio::runtime::Runtime;
use tokio_postgres::{Row, types::ToSql};

use super::{
    connection::Connection,
    events, keys,
    open::{self, Address, PostgresOptions, Unreadable},
    schema::Schema,
    start::unfit,
};
use crate::{
    commit::StoredKey,
    export::{ExportError, Source},
    sqlite::open::OpenError,
    transfer::Part,
};

/// A café in PostgreSQL, or a part of it, at one moment.
pub(crate) struct Snapshot {
    runtime: Runtime,
    connection: Connection,
    part: Part,
}

impl Snapshot {
    /// What is there now. None if nothing ever was.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) fn take(options: &PostgresOptions, part: Part) -> Result<Option<Self>, OpenError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unfit)?;
        let taking = async {
            let address = Address::read(options.url.expose()).map_err(OpenError::Database)?;
            let client = open::patiently(&address.pool("exports", 1)).await.map_err(unfit)?;
            // It reads as long as its reader takes.
            let begin = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
                         BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
            client.batch_execute(begin).await.map_err(unfit)?;
            let known = client.query_one("SELECT to_regclass('log_head') IS NOT NULL", &[]).await;
            let is_there: bool = known.and_then(|row| row.try_get(0)).map_err(unfit)?;
            Ok::<_, OpenError>(is_there.then(|| Connection::new(client, Schema::default().into())))
        };
        let connection = runtime.block_on(taking)?;
        Ok(connection.map(|connection| Self { runtime, connection, part }))
    }

    fn each(
        &self,
        sql: &str,
        values: &[&str],
        mut take: impl FnMut(&Row) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        self.runtime.block_on(async {
            let statement = self.connection.prepared(sql).await.map_err(Unreadable::from)?;
            let values = values.iter().map(|value| value as &(dyn ToSql + Sync));
            let rows = self.connection.client.query_raw(&statement, values).await;
            let mut rows = std::pin::pin!(rows.map_err(Unreadable::from)?);
            while let Some(row) = rows.try_next().await.map_err(Unreadable::from)? {
                take(&row)?;
            }
            Ok(())
        })
    }

    fn each_json(
        &self,
        table: &str,
        order: &str,
        take: &mut dyn FnMut(&[u8]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let Part { tenant, room } = &self.part;
        let columns = [
            ("tenant_id", tenant.as_ref().map(|id| id.as_str())),
            ("room_id", room.as_ref().map(|id| id.as_str())),
        ];
        let (mut conditions, mut values) = ("true".to_owned(), Vec::new());
        for (column, value) in columns {
            if let Some(value) = value {
                values.push(value);
                conditions.push_str(&format!(" AND {column} = ${}", values.len()));
            }
        }
        let sql = format!("SELECT json FROM {table} WHERE {conditions} ORDER BY {order}");
        self.each(&sql, &values, |row| take(row.try_get::<_, &str>(0).map_err(Unreadable::from)?.as_bytes()))
    }
}

impl Source for Snapshot {
    fn heads(&self) -> Result<Heads, ExportError> {
        let mut heads = Heads::default();
        self.each("SELECT sequence, inbox, audit FROM log_head", &[], |row| {
            let head = |at| row.try_get(at).map(events::sequence).map_err(Unreadable::from);
            heads = Heads { sequence: head(0)?, inbox: head(1)?, audit: head(2)? };
            Ok(())
        })?;
        Ok(heads)
    }

    fn each_event(&self, take: &mut dyn FnMut(&[u8]) -> Result<(), ExportError>) -> Result<(), ExportError> {
        self.each_json("events", "sequence", take)
    }

    fn each_record(
        &self,
        table: &Table,
        take: &mut dyn FnMut(&[u8]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        self.each_json(table.name, &table.key.join(", "), take)
    }

    fn each_key(
        &self,
        take: &mut dyn FnMut(StoredKey) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        self.each(keys::READ_ALL, &[], |row| take(keys::stored_key(row)?))
    }
}
