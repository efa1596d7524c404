//! What keeps the store from growing without need: expired keys and old traces go, a little at a time.

use agentcafe_domain::time::Timestamp;
use rusqlite::{Connection, params};

use super::keys;

/// How many traces are kept; the newest.
pub(crate) const KEPT_TRACES: i64 = 100_000;
/// The most rows of a kind that one turn deletes, so that no turn becomes long.
const BATCH: i64 = 2_000;

/// Deletes a batch of what is no longer needed. Tells whether there may be more.
pub(crate) fn purge(connection: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
    let keys = keys::purge(connection, now, BATCH)?;
    let traces = connection
        .prepare_cached(
            "DELETE FROM traces WHERE id IN
                 (SELECT id FROM traces WHERE id <= (SELECT max(id) FROM traces) - ?1 ORDER BY id LIMIT ?2)",
        )?
        .execute(params![KEPT_TRACES, BATCH])?;
    let full = usize::try_from(BATCH).unwrap_or(usize::MAX);
    Ok(keys == full || traces == full)
}
