//! Idempotency keys: found by their hash.

use agentcafe_domain::kernel::{
    command::{Reply, Success},
    idempotency::Hash,
    ids::CorrelationId,
    time::Timestamp,
};
use tokio_postgres::{Error, Row, types::ToSql};

use super::{connection::Connection, open::Unreadable};
use crate::commit::StoredKey;

/// The most keys that one turn deletes, so that no turn becomes long.
pub(super) const PURGED_AT_ONCE: i64 = 2_000;

/// Adds keys that are not there.
pub(super) const INSERT: &str =
    "INSERT INTO idempotency_keys (identity, request, expires_at_ms, correlation_id, success, reply)
     SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::text[], $5::bigint[], $6::bytea[])";

/// Writes the keys of a turn; one that has expired gives way.
pub(super) const WRITE: &str =
    "INSERT INTO idempotency_keys (identity, request, expires_at_ms, correlation_id, success, reply)
     SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::text[], $5::bigint[], $6::bytea[])
     ON CONFLICT (identity) DO UPDATE SET id = DEFAULT, request = excluded.request, expires_at_ms = excluded.expires_at_ms,
         correlation_id = excluded.correlation_id, success = excluded.success, reply = excluded.reply";

/// The columns of the keys of a turn.
pub(super) struct Columns<'k> {
    identities: Vec<&'k [u8]>,
    requests: Vec<&'k [u8]>,
    expiries: Vec<i64>,
    correlations: Vec<&'k str>,
    successes: Vec<i64>,
    replies: Vec<&'k [u8]>,
}

impl<'k> Columns<'k> {
    pub(super) fn of(keys: &'k [StoredKey]) -> Self {
        Self {
            identities: keys.iter().map(|key| key.identity.as_slice()).collect(),
            requests: keys.iter().map(|key| key.request.as_slice()).collect(),
            expiries: keys.iter().map(|key| key.expires_at.as_millis()).collect(),
            correlations: keys.iter().map(|key| key.correlation_id.as_str()).collect(),
            successes: keys.iter().map(|key| code_of(key.reply.success)).collect(),
            replies: keys.iter().map(|key| key.reply.data.as_slice()).collect(),
        }
    }

    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 6] {
        [&self.identities, &self.requests, &self.expiries, &self.correlations, &self.successes, &self.replies]
    }
}

/// Reads the keys with some identities, as far as there are any.
pub(super) const READ: &str = "SELECT identity, request, expires_at_ms, correlation_id, success, reply
                               FROM idempotency_keys WHERE identity = ANY($1::bytea[])";

/// Reads all of them, in the order in which they came.
pub(super) const READ_ALL: &str = "SELECT identity, request, expires_at_ms, correlation_id, success, reply FROM idempotency_keys ORDER BY id";

/// The keys in the answer to [`READ`].
pub(super) fn read(rows: &[Row]) -> Result<Vec<StoredKey>, Unreadable> {
    rows.iter().map(stored_key).collect()
}

/// Deletes a batch of expired keys, and tells whether there may be more.
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

const fn code_of(success: Success) -> i64 {
    match success {
        Success::Ok => 200,
        Success::Created => 201,
        Success::Accepted => 202,
    }
}

fn hash(bytes: &[u8]) -> Result<Hash, Unreadable> {
    bytes.try_into().map_err(|_| Unreadable::Content("an idempotency key of another length".to_owned()))
}

pub(super) fn stored_key(row: &Row) -> Result<StoredKey, Unreadable> {
    let success = match row.try_get::<_, i64>(4)? {
        200 => Success::Ok,
        201 => Success::Created,
        202 => Success::Accepted,
        other => return Err(Unreadable::Content(format!("an answer of kind {other}"))),
    };
    let correlation: &str = row.try_get(3)?;
    Ok(StoredKey {
        identity: hash(row.try_get(0)?)?,
        request: hash(row.try_get(1)?)?,
        expires_at: Timestamp::from_millis(row.try_get(2)?),
        correlation_id: CorrelationId::parse(correlation)
            .map_err(|why| Unreadable::Content(why.to_string()))?,
        reply: Reply { success, data: row.try_get(5)?, stored: None },
    })
}
