//! Copies of unread counts in Redis: written after each commit batch that changed one, and regularly compared with the store.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::inbox::UnreadCount;
use agentcafe_domain::kernel::{ActorInRoom, Record, RecordQuery, SortKey, Timestamp};
use agentcafe_redis::unread;
use agentcafe_store::CommitReport;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::engine::Engine;
use crate::lease::while_held;
use crate::redis::Redis;

/// The most changed counts in the queue; more are left to the next comparison.
const MAX_QUEUED: usize = 100_000;
/// How many counts are written or compared at once.
const BATCH: usize = 500;
/// The interval between comparisons of all copies with the store.
const COMPARE_INTERVAL: Duration = Duration::from_secs(300);
/// The pause after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The pause after a failed comparison, which reads all copies.
const COMPARE_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// The longest time from the timestamp of a commit batch until its writes can be read.
const MAX_COMMIT_MS: i64 = 5_000;

/// Counts that changed and whose copies are not written yet.
#[derive(Default)]
pub struct UnreadCopies {
    queued: Mutex<HashMap<ActorInRoom, (UnreadCount, Timestamp)>>,
    changed: Notify,
    /// Copies that a comparison with the store corrected.
    pub rebuilt: Counter,
}

impl UnreadCopies {
    /// Enqueues the counts that a commit batch changed.
    pub fn learn(&self, report: &CommitReport) {
        if report.unread.is_empty() {
            return;
        }
        let mut queued = self.queued.lock();
        for count in &report.unread {
            if queued.len() < MAX_QUEUED {
                queued.insert(owner(count), (count.clone(), report.at));
            }
        }
        self.changed.notify_one();
    }

    fn take(&self) -> Vec<(UnreadCount, Timestamp)> {
        let mut queued = self.queued.lock();
        let owners: Vec<ActorInRoom> = queued.keys().take(BATCH).cloned().collect();
        owners.iter().filter_map(|owner| queued.remove(owner)).collect()
    }

    /// Enqueues again what could not be written, unless a newer count is in the queue.
    fn put_back(&self, counts: Vec<(UnreadCount, Timestamp)>) {
        let mut queued = self.queued.lock();
        for (count, at) in counts {
            queued.entry(owner(&count)).or_insert((count, at));
        }
    }

    async fn write(&self, redis: &Redis) {
        loop {
            redis.connection.wait_connected().await;
            let counts = self.take();
            if counts.is_empty() {
                self.changed.notified().await;
                continue;
            }
            let copies = counts.iter().map(|(count, at)| (count, *at));
            if unread::put(&redis.connection, &redis.keys, copies).await.is_err() {
                self.put_back(counts);
                sleep(RETRY_AFTER).await;
            }
        }
    }
}

fn owner(count: &UnreadCount) -> ActorInRoom {
    ActorInRoom {
        tenant_id: count.tenant_id.clone(),
        room_id: count.room_id.clone(),
        actor_id: count.actor_id.clone(),
    }
}

/// Maintains the copies until the engine stops.
pub async fn run(engine: Arc<Engine>) {
    let Some(redis) = engine.redis.clone() else { return };
    let writing = engine.stopping.run_until_cancelled(redis.unread.write(&redis));
    let comparing = while_held(Arc::clone(&engine), "unread-copies", |lease| {
        let (engine, redis) = (Arc::clone(&engine), Arc::clone(&redis));
        async move {
            lease.ending.run_until_cancelled(compare(&engine, &redis)).await;
        }
    });
    tokio::join!(writing, comparing);
}

/// Compares now, after each reconnect, and at each interval.
async fn compare(engine: &Engine, redis: &Redis) {
    loop {
        let connection = redis.connection.wait_connected().await;
        match compare_once(engine, redis).await {
            Ok(()) => tokio::select! {
                () = redis.connection.wait_disconnected(connection) => {}
                () = sleep(COMPARE_INTERVAL) => {}
            },
            Err(error) => {
                tracing::debug!(%error, "unread counts could not be compared");
                tokio::select! {
                    () = redis.connection.wait_disconnected(connection) => {}
                    () = sleep(COMPARE_AGAIN_AFTER) => {}
                }
            }
        }
    }
}

/// Corrects all copies.
async fn compare_once(engine: &Engine, redis: &Redis) -> Result<(), Box<dyn Error + Send + Sync>> {
    // First the copies that exist, then the counts without a copy.
    let copies = unread::all(&redis.connection, &redis.keys).await?;
    for batch in copies.chunks(BATCH) {
        let at = valid_since(engine);
        let stored = engine.store.get_all::<UnreadCount>(batch.iter().map(Record::key).collect()).await?;
        let wrong: Vec<UnreadCount> = batch
            .iter()
            .zip(stored)
            .filter(|(copy, stored)| stored.as_ref() != Some(*copy))
            .map(|(copy, stored)| stored.unwrap_or_else(|| UnreadCount { unread: 0, ..copy.clone() }))
            .collect();
        unread::put(&redis.connection, &redis.keys, wrong.iter().map(|count| (count, at))).await?;
        redis.unread.rebuilt.inc_by(wrong.len() as u64);
    }
    let known: HashSet<ActorInRoom> = copies.iter().map(owner).collect();
    let mut last_key = None;
    loop {
        let at = valid_since(engine);
        let find = RecordQuery::all::<UnreadCount>("tenant_id", BATCH).behind(last_key);
        let counts: Vec<UnreadCount> = engine.store.find(find).await?;
        let missing = counts.iter().filter(|count| !known.contains(&owner(count)));
        let missing: Vec<_> = missing.map(|count| (count, at)).collect();
        let rebuilt = missing.len() as u64;
        unread::put(&redis.connection, &redis.keys, missing).await?;
        redis.unread.rebuilt.inc_by(rebuilt);
        let Some(last) = counts.last().filter(|_| counts.len() == BATCH) else { return Ok(()) };
        last_key = Some(SortKey { sorted_by: (&last.tenant_id).into(), key: last.key() });
    }
}

/// Since when counts that are read now have been valid for certain: a commit batch may have its timestamp already, and commit
/// only later.
fn valid_since(engine: &Engine) -> Timestamp {
    engine.now().plus_ms(-MAX_COMMIT_MS)
}
