//! The statements of idempotency keys.

use agentcafe_domain::{
    command::{Reply, Success},
    idempotency::Hash,
    ids::CorrelationId,
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::turn::StoredKey;

/// The newest use of a key.
pub(crate) fn get(connection: &Connection, identity: Hash) -> rusqlite::Result<Option<StoredKey>> {
    connection
        .prepare_cached(
            "SELECT request, expires_at_ms, correlation_id, success, data FROM idempotency_keys
             WHERE identity = ?1 ORDER BY id DESC LIMIT 1",
        )?
        .query_row([identity], |row| key(row, identity))
        .optional()
}

fn key(row: &Row<'_>, identity: Hash) -> rusqlite::Result<StoredKey> {
    let unreadable = |at, what: &str| {
        rusqlite::Error::InvalidColumnType(at, what.to_owned(), rusqlite::types::Type::Text)
    };
    let correlation: String = row.get(2)?;
    let success = match row.get(3)? {
        200 => Success::Ok,
        201 => Success::Created,
        202 => Success::Accepted,
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(3, other)),
    };
    Ok(StoredKey {
        identity,
        request: row.get(0)?,
        expires_at: Timestamp::from_millis(row.get(1)?),
        correlation_id: CorrelationId::parse(&correlation).map_err(|_| unreadable(2, "correlation_id"))?,
        reply: Reply { success, data: row.get(4)? },
    })
}

/// Keeps a key's use and its answer.
pub(crate) fn append(connection: &Connection, key: &StoredKey) -> rusqlite::Result<()> {
    let success = match key.reply.success {
        Success::Ok => 200,
        Success::Created => 201,
        Success::Accepted => 202,
    };
    connection
        .prepare_cached(
            "INSERT INTO idempotency_keys (identity, request, expires_at_ms, correlation_id, success, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            key.identity,
            key.request,
            key.expires_at.as_millis(),
            key.correlation_id.as_str(),
            success,
            key.reply.data,
        ])?;
    Ok(())
}
