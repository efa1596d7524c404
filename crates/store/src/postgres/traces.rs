//! Deletes traces that are no longer kept.

use tokio_postgres::Error;

use super::connection::Connection;

/// How many of the newest attempts are always kept.
const KEPT: i64 = 20_000;
/// The most attempts that one commit batch deletes, so that none takes long.
const PURGED_AT_ONCE: i64 = 5_000;

/// Deletes a limited number of the oldest attempts, and returns whether there may be more.
pub(super) async fn purge(connection: &Connection) -> Result<bool, Error> {
    let deleted = connection
        .execute(
            "DELETE FROM traces WHERE id IN
                 (SELECT id FROM traces WHERE id <= (SELECT max(id) FROM traces) - $1 ORDER BY id LIMIT $2)",
            &[&KEPT, &PURGED_AT_ONCE],
        )
        .await?;
    Ok(deleted == PURGED_AT_ONCE.unsigned_abs())
}
