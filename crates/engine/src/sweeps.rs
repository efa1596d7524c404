//! Periodic sweeps: presences and table sessions expire, expired idempotency keys, snapshots and tickets are deleted.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Command, Record, RecordQuery};
use agentcafe_domain::keys::tickets::{DeleteExpiredTickets, Ticket};
use agentcafe_domain::presence::ExpirePresence;
use agentcafe_domain::snapshots::{DeleteExpiredSnapshots, Snapshot};
use agentcafe_domain::tables::end::ExpireTableSessions;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::lease::{LeaseGuard, while_held};

/// The interval between sweeps of expired keys, snapshots and tickets. It may be long: reads ignore them.
const PURGE_INTERVAL: Duration = Duration::from_secs(10);

/// The lease that a node holds while it sweeps.
const LEASE: &str = "sweeps";

/// The configurable intervals between sweeps.
#[derive(Clone, Copy, Debug)]
pub struct SweepIntervals {
    /// Of expired presences.
    pub presence: Duration,
    /// Of expired table sessions.
    pub table_sessions: Duration,
}

/// Sweeps, on one node at a time, until the engine stops.
pub async fn run(engine: Arc<Engine>, intervals: SweepIntervals) {
    let sweeper = Arc::clone(&engine);
    let sweep_all = |lease: LeaseGuard| {
        let (engine, ending) = (Arc::clone(&sweeper), lease.ending);
        async move {
            tokio::join!(
                repeat(intervals.presence, &ending, || presence(&engine)),
                repeat(intervals.table_sessions, &ending, || table_sessions(&engine)),
                repeat(PURGE_INTERVAL, &ending, || engine.store.purge()),
                repeat(PURGE_INTERVAL, &ending, || snapshots(&engine)),
                repeat(PURGE_INTERVAL, &ending, || tickets(&engine)),
            );
        }
    };
    while_held(engine, LEASE, sweep_all).await;
}

/// Runs a sweep at each interval, batch by batch for as long as `batch` returns that there may be more. Runs never overlap.
async fn repeat<Batch>(every: Duration, ending: &CancellationToken, batch: impl Fn() -> Batch)
where
    Batch: Future<Output = bool>,
{
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while ending.run_until_cancelled(ticks.tick()).await.is_some() {
        while batch().await {}
    }
}

/// Marks actors as absent whose presence has expired.
async fn presence(engine: &Engine) -> bool {
    execute(engine, Arc::new(ExpirePresence { now: engine.now() })).await == ExpirePresence::BATCH
}

/// Ends expired table sessions.
async fn table_sessions(engine: &Engine) -> bool {
    execute(engine, Arc::new(ExpireTableSessions { now: engine.now() })).await == ExpireTableSessions::BATCH
}

/// Deletes expired snapshots.
async fn snapshots(engine: &Engine) -> bool {
    let due = DeleteExpiredSnapshots::due(engine.now());
    let delete = |expired| DeleteExpiredSnapshots { expired };
    delete_expired::<Snapshot, _>(engine, due, delete).await == DeleteExpiredSnapshots::BATCH
}

/// Deletes tickets that were not used.
async fn tickets(engine: &Engine) -> bool {
    let due = DeleteExpiredTickets::due(engine.now());
    let delete = |expired| DeleteExpiredTickets { expired };
    delete_expired::<Ticket, _>(engine, due, delete).await == DeleteExpiredTickets::BATCH
}

/// Deletes the records that a query selects, and returns their number. They are read before the commit batch, which then has
/// nothing to wait for.
async fn delete_expired<R: Record, C: Command + 'static>(
    engine: &Engine,
    due: RecordQuery,
    delete: impl FnOnce(Vec<R>) -> C,
) -> usize {
    match engine.store.find::<R>(due).await {
        Ok(expired) if expired.is_empty() => 0,
        Ok(expired) => execute(engine, Arc::new(delete(expired))).await,
        Err(error) => {
            tracing::warn!(%error, table = R::TABLE.name, "expired records could not be read; the next sweep retries");
            0
        }
    }
}

/// Executes a batch and returns its size; 0 if it failed, so that the next tick retries.
async fn execute(engine: &Engine, batch: Arc<dyn Command>) -> usize {
    match engine.execute_in_background(batch).await {
        Ok(reply) => serde_json::from_slice(&reply.data).unwrap_or(0),
        Err(failure) => {
            tracing::warn!(%failure, "a sweep failed and will be retried");
            0
        }
    }
}
