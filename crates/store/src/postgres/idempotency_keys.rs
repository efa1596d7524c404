//! Idempotency keys: found by their hash.

use agentcafe_domain::kernel::{CorrelationId, Hash, Reply, Timestamp};
use tokio_postgres::{Error, Row};

use super::connect::PostgresError;
use super::connection::Connection;
use super::pipeline::{BoundStatement, column};
use crate::storage::{StoredKey, success_code, success_from_code};

/// The most keys that one commit batch deletes, so that none takes long.
const PURGED_AT_ONCE: i64 = 2_000;

/// Inserts keys; an error if there is one already.
pub(super) fn insert(keys: &[StoredKey]) -> BoundStatement<'_> {
    insert_or(keys, "")
}

/// Writes keys, over those that have expired.
pub(super) fn upsert(keys: &[StoredKey]) -> BoundStatement<'_> {
    insert_or(
        keys,
        " ON CONFLICT (identity) DO UPDATE SET id = DEFAULT, request = excluded.request,
          expires_at_ms = excluded.expires_at_ms, correlation_id = excluded.correlation_id,
          success = excluded.success, reply = excluded.reply",
    )
}

fn insert_or<'k>(keys: &'k [StoredKey], on_conflict: &str) -> BoundStatement<'k> {
    BoundStatement::new(
        format!(
            "INSERT INTO idempotency_keys (identity, request, expires_at_ms, correlation_id, success, reply)
             SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::text[], $5::bigint[], $6::bytea[])
             {on_conflict}"
        ),
        vec![
            column(keys, |key| key.identity.as_slice()),
            column(keys, |key| key.request.as_slice()),
            column(keys, |key| key.expires_at.as_millis()),
            column(keys, |key| key.correlation_id.as_str()),
            column(keys, |key| success_code(key.reply.success)),
            column(keys, |key| key.reply.data.as_slice()),
        ],
    )
}

/// Reads the keys with these identities.
pub(super) fn read(identities: &[Hash]) -> BoundStatement<'_> {
    let sql = "SELECT identity, request, expires_at_ms, correlation_id, success, reply
               FROM idempotency_keys WHERE identity = ANY($1::bytea[])";
    BoundStatement::new(sql, vec![column(identities, |identity| identity.as_slice())])
}

/// Reads all keys, in order of arrival.
pub(super) const READ_ALL: &str = "SELECT identity, request, expires_at_ms, correlation_id, success, reply
                                   FROM idempotency_keys ORDER BY id";

/// Deletes a limited number of expired keys, and returns whether there may be more.
pub(super) async fn purge(connection: &Connection, now: Timestamp) -> Result<bool, Error> {
    let deleted = connection
        .execute(
            "DELETE FROM idempotency_keys WHERE identity IN
                 (SELECT identity FROM idempotency_keys WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2)",
            &[&now.as_millis(), &PURGED_AT_ONCE],
        )
        .await?;
    Ok(deleted == PURGED_AT_ONCE.unsigned_abs())
}

fn hash(bytes: &[u8]) -> Result<Hash, PostgresError> {
    bytes.try_into().map_err(|_| PostgresError::Corrupt("an idempotency key of another length".to_owned()))
}

/// A key in the answer to [`read`] or [`READ_ALL`].
pub(super) fn stored_key(row: &Row) -> Result<StoredKey, PostgresError> {
    let code = row.try_get(4)?;
    let success =
        success_from_code(code).ok_or_else(|| PostgresError::Corrupt(format!("an answer of kind {code}")))?;
    let correlation: &str = row.try_get(3)?;
    Ok(StoredKey {
        identity: hash(row.try_get(0)?)?,
        request: hash(row.try_get(1)?)?,
        expires_at: Timestamp::from_millis(row.try_get(2)?),
        correlation_id: CorrelationId::parse(correlation)
            .map_err(|why| PostgresError::Corrupt(why.to_string()))?,
        reply: Reply { success, data: row.try_get(5)?, stored: None },
    })
}
