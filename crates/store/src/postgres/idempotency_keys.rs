//! Idempotency keys: found by their hash.

use agentcafe_domain::kernel::{Hash, Timestamp};
use tokio_postgres::Error;

use super::connection::Connection;
use super::pipeline::BoundStatement;
use crate::rows::{Parameter, RowFormat, success_code};
use crate::storage::StoredKey;

/// The most keys that one commit batch deletes, so that none takes long.
const PURGED_AT_ONCE: i64 = 2_000;

/// The keys.
pub(super) const KEYS: RowFormat<StoredKey, 6> = RowFormat {
    table: "idempotency_keys",
    columns: "identity, request, expires_at_ms, correlation_id, success, reply",
    types: ["bytea", "bytea", "bigint", "text", "bigint", "bytea"],
    values: |key| {
        [
            Parameter::bytes(&key.identity),
            Parameter::bytes(&key.request),
            Parameter::Integer(key.expires_at.as_millis()),
            Parameter::Text(key.correlation_id.as_str()),
            Parameter::Integer(success_code(key.reply.success)),
            Parameter::bytes(&key.reply.data),
        ]
    },
};

/// Overwrites keys, which have expired.
pub(super) const OVERWRITE: &str =
    " ON CONFLICT (identity) DO UPDATE SET id = DEFAULT, request = excluded.request,
     expires_at_ms = excluded.expires_at_ms, correlation_id = excluded.correlation_id,
     success = excluded.success, reply = excluded.reply";

/// Reads the keys with these identities.
pub(super) fn read(identities: &[Hash]) -> BoundStatement<'_> {
    let sql = "SELECT identity, request, expires_at_ms, correlation_id, success, reply
               FROM idempotency_keys WHERE identity = ANY($1::bytea[])";
    let identities: Vec<_> = identities.iter().map(|identity| Parameter::bytes(identity)).collect();
    BoundStatement::new(sql, vec![Box::new(identities)])
}

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
