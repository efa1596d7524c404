//! Publishes what other nodes have committed to the recent events of this one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use agentcafe_domain::kernel::{ActorId, Clock, InvalidId, RoomId, StoredEvent, TenantId, Timestamp};
use agentcafe_eventlog::RecentEvents;
use bytes::Bytes;
use deadpool_postgres::Pool;
use tokio_postgres::Row;

use super::clock::SharedClock;
use super::connection::Connection;
use super::events::CommittedHead;
use super::schema::Schema;
use crate::rows::{Row as _, check_checksum, event_type};
use crate::sql::{number, sequence};
use crate::steady_clock::SteadyClock;
use crate::storage_error::StorageError;
use crate::table_changes::TableChanges;

/// The most events that are read at once, and their size.
const MAX_EVENTS: i64 = 2_000;
const MAX_BYTES: i64 = 4 << 20;
/// The next events of the log: as many as fit, and the first in any case.
const NEXT: &str =
    "SELECT sequence, event_id, tenant_id, room_id, actor_id, type, at_ms, mentioned_actor_id, json, checksum
     FROM (SELECT *, sum(octet_length(json)) OVER (ORDER BY sequence) AS bytes
           FROM (SELECT * FROM events WHERE sequence > $1 AND sequence <= $2
                 ORDER BY sequence LIMIT $3) AS page) AS summed
     WHERE bytes <= $4 OR bytes = octet_length(json) ORDER BY sequence";
/// The most events that recent events catch up with one after the other; further behind, they start again at the head.
const MAX_BEHIND: u64 = 50_000;

/// A node's copy of the state of the log, kept up to date with the commits of other nodes.
pub(super) struct NodeState {
    pub(super) recent_events: Arc<RecentEvents>,
    pub(super) table_changes: Arc<TableChanges>,
    pub(super) shared_clock: Arc<SharedClock>,
    /// The time of the store.
    pub(super) clock: Arc<SteadyClock>,
}

/// Catches up with the log.
#[derive(Clone)]
pub(super) struct CatchUp {
    pool: Pool,
    schema: Arc<Schema>,
    state: Arc<NodeState>,
    /// How many runs have begun.
    begun: Arc<AtomicU64>,
    /// The number of the last run that succeeded; locked during a run.
    done: Arc<tokio::sync::Mutex<u64>>,
}

impl CatchUp {
    pub(super) fn new(pool: Pool, schema: Arc<Schema>, state: Arc<NodeState>) -> Self {
        Self { pool, schema, state, begun: Arc::default(), done: Arc::default() }
    }

    /// Catches up with the head of the log. An error is logged, and the next run tries again.
    pub(super) async fn run(&self) {
        if let Err(error) = self.try_run().await {
            tracing::warn!(%error, "the events of other nodes cannot be read right now");
        }
    }

    /// The same. All callers that wait for a run to end share the next one.
    ///
    /// # Errors
    /// The recent events are as far as the run came.
    pub(super) async fn try_run(&self) -> Result<(), StorageError> {
        let before = self.begun.load(Ordering::SeqCst);
        let mut done = self.done.lock().await;
        if *done > before {
            // That run has read the head after this was called.
            return Ok(());
        }
        let this = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let connection = Connection::from_pool(&self.pool, &self.schema).await?;
        let caught_up = connection.with_timeout(self.publish_next(&connection)).await;
        connection.discard_if_lost(caught_up)?;
        *done = this;
        Ok(())
    }

    async fn publish_next(&self, connection: &Connection) -> Result<(), StorageError> {
        let NodeState { recent_events, table_changes, shared_clock, clock } = self.state.as_ref();
        let asked_at = shared_clock.stopwatch();
        let CommittedHead { head, table_versions, now, at } = CommittedHead::read(connection).await?;
        shared_clock.learn(now, asked_at);
        clock.now_after(at);
        // Before the events are visible, so that a reader of these events reloads cached records.
        table_changes.publish(&table_versions);
        if head.0.saturating_sub(recent_events.last_sequence().0) > MAX_BEHIND {
            recent_events.reset_to(head);
            return Ok(());
        }
        while recent_events.last_sequence() < head {
            let (after, up_to) = (number(recent_events.last_sequence()), number(head));
            let rows = connection.query(NEXT, &[&after, &up_to, &MAX_EVENTS, &MAX_BYTES]).await?;
            let batch = match rows.iter().map(stored_event).collect::<Result<Vec<_>, _>>() {
                Err(error) if error.is_damage() => {
                    // Followers read on in the database, which tells them what is damaged.
                    tracing::error!(%error, "events of other nodes are damaged");
                    recent_events.reset_to(head);
                    return Ok(());
                }
                batch => batch?,
            };
            if batch.is_empty() {
                return Ok(());
            }
            recent_events.publish(batch);
        }
        Ok(())
    }
}

fn stored_event(row: &Row) -> Result<StoredEvent, StorageError> {
    let invalid = |why: InvalidId| StorageError::Corrupt(why.to_string());
    let text = |at: usize| row.try_get::<_, &str>(at);
    let mentioned: Option<&str> = row.try_get(7)?;
    let sequence = sequence(row.try_get(0)?);
    check_checksum(row.cell(9)?, sequence, text(5)?, text(8)?.as_bytes())?;
    Ok(StoredEvent {
        sequence,
        event_id: row.try_get(1)?,
        tenant_id: TenantId::parse(text(2)?).map_err(invalid)?,
        room_id: RoomId::parse(text(3)?).map_err(invalid)?,
        actor_id: ActorId::parse(text(4)?).map_err(invalid)?,
        kind: event_type(text(5)?)?,
        timestamp: Timestamp::from_millis(row.try_get(6)?),
        mentioned: mentioned.map(ActorId::parse).transpose().map_err(invalid)?,
        json: Bytes::copy_from_slice(text(8)?.as_bytes()),
    })
}
