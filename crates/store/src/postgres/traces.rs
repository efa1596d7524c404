//! Deletes traces that are no longer kept.

use tokio_postgres::Error;

use super::connection::Connection;

/// How many attempts are kept.
const KEPT: i64 = 20_000;
/// The most attempts that one commit batch deletes, so that none takes long.
const PURGED_AT_ONCE: i64 = 5_000;

/// Deletes the oldest attempts of the tenant that has the most, so that it does not displace those of others.
const PURGE: &str = "WITH sizes AS (SELECT tenant_id, count(*) AS size FROM traces GROUP BY tenant_id),
         largest AS (
             SELECT tenant_id, (SELECT sum(size)::bigint FROM sizes) - $1 AS surplus
             FROM sizes ORDER BY size DESC LIMIT 1
         )
     DELETE FROM traces WHERE id IN (
         SELECT id FROM traces WHERE tenant_id = (SELECT tenant_id FROM largest) ORDER BY id
         LIMIT (SELECT least(greatest(surplus, 0), $2) FROM largest)
     )";

/// Deletes a limited number of attempts, and returns whether there may be more.
pub(super) async fn purge(connection: &Connection) -> Result<bool, Error> {
    let deleted = connection.execute(PURGE, &[&KEPT, &PURGED_AT_ONCE]).await?;
    Ok(deleted == PURGED_AT_ONCE.unsigned_abs())
}
