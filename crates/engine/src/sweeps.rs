//! Periodic sweeps: presences, table sessions and API keys expire, expired idempotency keys, snapshots and tickets are deleted.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Command, Record, RecordQuery};
use agentcafe_domain::keys::ApiKey;
use agentcafe_domain::keys::revoke::{self, ExpireKey};
use agentcafe_domain::keys::tickets::{DeleteExpiredTickets, Ticket};
use agentcafe_domain::presence::ExpirePresence;
use agentcafe_domain::snapshots::{DeleteExpiredSnapshots, Snapshot};
use agentcafe_domain::tables::end::ExpireTableSessions;
use agentcafe_domain::webhooks::Subscription;
use agentcafe_store::ReadError;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::lease::{LeaseGuard, while_held};

/// The interval between sweeps of expired keys, snapshots and tickets. It may be long: reads ignore them.
const PURGE_INTERVAL: Duration = Duration::from_secs(10);

/// The interval between sweeps of expired API keys, which lets what was set up with them act for so long.
const KEY_INTERVAL: Duration = Duration::from_secs(2);

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
                repeat(KEY_INTERVAL, &ending, || keys(&engine)),
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

/// Disables what was set up with expired API keys: one key in each command, because that may be much.
async fn keys(engine: &Engine) -> bool {
    let Some(due) = found(engine.store.find::<ApiKey>(ExpireKey::due(engine.now())).await) else {
        return false;
    };
    for key in &due {
        let Some(set_up) = found(engine.store.find::<Subscription>(revoke::subscriptions(key)).await) else {
            return false;
        };
        if execute(engine, Arc::new(ExpireKey::new(key, &set_up))).await == 0 {
            return false;
        }
    }
    due.len() == ExpireKey::BATCH
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
    match found(engine.store.find::<R>(due).await) {
        Some(expired) if !expired.is_empty() => execute(engine, Arc::new(delete(expired))).await,
        Some(_) | None => 0,
    }
}

/// The records of a sweep; none if the store cannot be read.
fn found<R: Record>(read: Result<Vec<R>, ReadError>) -> Option<Vec<R>> {
    let warn = |error: &ReadError| {
        tracing::warn!(%error, table = R::TABLE.name, "expired records could not be read; the next sweep retries");
    };
    read.inspect_err(warn).ok()
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
