//! The index in tables of the same database. Whatever node writes it, a batch moves the cursor from where the batch before left
//! it, or is not written.

use std::collections::BTreeMap;
use std::sync::Arc;

use agentcafe_domain::kernel::Sequence;
use agentcafe_domain::search::{Document, DocumentKind};
use deadpool_postgres::Pool;

use super::connection::Connection;
use super::pipeline::{self, BoundStatement};
use super::schema::Schema;
use crate::index_rows::{COLUMNS, entry_values};
use crate::rows::Parameter;
use crate::sql::{number, sequence};
use crate::storage_error::StorageError;

/// Without waiting for the disk: what a crash takes from the index, it gets from the log again.
const NO_FLUSH: &str = "SELECT set_config('synchronous_commit', 'off', true)";
const MOVE_CURSOR: &str =
    "UPDATE search_state SET cursor = $3 WHERE identity = $1 AND cursor = $2 RETURNING cursor";
const DELETE: &str = "DELETE FROM search_documents AS d
     USING unnest($1::text[], $2::text[], $3::text[]) AS old (tenant_id, id, kind)
     WHERE d.tenant_id = old.tenant_id AND d.id = old.id AND d.kind = old.kind";

/// The words of a document with their positions, as PostgreSQL reads them.
fn text_vector(document: &Document) -> String {
    let mut positions = BTreeMap::<String, String>::new();
    for (at, word) in document.words().enumerate() {
        let known = positions.entry(word).or_default();
        let separator = if known.is_empty() { ":" } else { "," };
        known.push_str(&format!("{separator}{}", at + 1));
    }
    positions.iter().map(|(word, positions)| format!("'{word}'{positions}")).collect::<Vec<_>>().join(" ")
}

/// The index in PostgreSQL.
pub(crate) struct PostgresIndex {
    /// The connection that writes.
    pub(super) pool: Pool,
    pub(super) schema: Arc<Schema>,
    pub(super) identity: String,
}

impl PostgresIndex {
    /// Returns the cursor; begins anew if the index is of another log or version, or ahead of the log.
    pub(crate) async fn resume(&self, head: Sequence) -> Result<Sequence, StorageError> {
        let connection = Connection::from_pool(&self.pool, &self.schema).await?;
        let resumed = connection.with_timeout(self.resume_on(&connection, head)).await;
        if resumed.is_err() {
            connection.discard();
        }
        resumed
    }

    async fn resume_on(&self, connection: &Connection, head: Sequence) -> Result<Sequence, StorageError> {
        let select = "SELECT cursor FROM search_state WHERE identity = $1";
        let rows = connection.query(select, &[&self.identity]).await?;
        let cursor = rows.first().map(|row| row.try_get(0).map(sequence)).transpose()?;
        if let Some(cursor) = cursor.filter(|cursor| *cursor <= head) {
            return Ok(cursor);
        }
        if head > Sequence::START {
            tracing::info!("the index of messages and words is built anew");
        }
        let statements = [
            BoundStatement::new("BEGIN", Vec::new()),
            BoundStatement::new("DELETE FROM search_state", Vec::new()),
            BoundStatement::new("TRUNCATE search_documents", Vec::new()),
            BoundStatement::new(
                "INSERT INTO search_state (identity, cursor) VALUES ($1, 0)",
                vec![Box::new(&self.identity)],
            ),
            BoundStatement::new("COMMIT", Vec::new()),
        ];
        pipeline::run(connection, &statements).await?;
        Ok(Sequence::START)
    }

    /// Adds documents and moves the cursor, unless it is elsewhere.
    pub(crate) async fn write(
        &self,
        after: Sequence,
        documents: &[Document],
        to: Sequence,
    ) -> Result<bool, StorageError> {
        let connection = Connection::from_pool(&self.pool, &self.schema).await?;
        let written = connection.with_timeout(self.write_on(&connection, after, documents, to)).await;
        if !matches!(written, Ok(true)) {
            // A transaction that is open ends with the connection.
            connection.discard();
        }
        written
    }

    async fn write_on(
        &self,
        connection: &Connection,
        after: Sequence,
        documents: &[Document],
        to: Sequence,
    ) -> Result<bool, StorageError> {
        let begin = [
            BoundStatement::new("BEGIN", Vec::new()),
            BoundStatement::new(NO_FLUSH, Vec::new()),
            BoundStatement::new(
                MOVE_CURSOR,
                vec![Box::new(&self.identity), Box::new(number(after)), Box::new(number(to))],
            ),
        ];
        let moved = pipeline::run(connection, &begin).await?.pop().unwrap_or_default();
        if moved.is_empty() {
            return Ok(false);
        }
        let vectors: Vec<String> = documents.iter().map(text_vector).collect();
        let rest =
            [delete(documents), insert(documents, &vectors), BoundStatement::new("COMMIT", Vec::new())];
        pipeline::run(connection, &rest).await?;
        Ok(true)
    }
}

/// Deletes the documents that the records had.
fn delete(documents: &[Document]) -> BoundStatement<'_> {
    let records = documents.iter().map(|document| &document.entry);
    let records: Vec<_> = records.filter(|entry| entry.kind != DocumentKind::Message).collect();
    let tenants: Vec<_> = records.iter().map(|entry| Parameter::Text(entry.tenant_id.as_str())).collect();
    let ids: Vec<_> = records.iter().map(|entry| Parameter::Text(&entry.id)).collect();
    let kinds: Vec<_> = records.iter().map(|entry| Parameter::Text(entry.kind.as_str())).collect();
    BoundStatement::new(DELETE, vec![Box::new(tenants), Box::new(ids), Box::new(kinds)])
}

fn insert<'d>(documents: &'d [Document], vectors: &'d [String]) -> BoundStatement<'d> {
    let mut arrays = [const { Vec::new() }; 9];
    for (document, vector) in documents.iter().zip(vectors) {
        let values = entry_values(&document.entry).into_iter().chain([Parameter::Text(vector)]);
        arrays.iter_mut().zip(values).for_each(|(array, value)| array.push(value));
    }
    let sql = format!(
        "INSERT INTO search_documents ({COLUMNS}, words) SELECT {COLUMNS}, words::tsvector
         FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
              AS new ({COLUMNS}, words)"
    );
    BoundStatement::new(sql, arrays.into_iter().map(|array| Box::new(array) as _).collect())
}
