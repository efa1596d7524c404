//! Copies of unread counts in Redis: written after each turn that changed one, and compared with the store now and then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::inbox::UnreadCount;
use agentcafe_domain::kernel::{ActorInRoom, Record, RecordQuery, SortKey, Timestamp};
use agentcafe_redis::{RedisUnavailable, unread};
use agentcafe_store::{CommitReport, ReadError};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::engine::Engine;
use crate::lease::while_held;
use crate::redis::Redis;

/// The most changed counts that wait for Redis; past it they are left to the next comparison.
const MAX_WAITING: usize = 100_000;
/// How many counts are written, or compared, at once.
const AT_ONCE: usize = 500;
/// How often all copies are compared with the store.
const COMPARE_EVERY: Duration = Duration::from_secs(300);
/// The pause after something failed.
const PAUSE: Duration = Duration::from_secs(1);
/// What a comparison read may be older than a turn that is just being committed, by so much.
const IN_DOUBT_MS: i64 = 5_000;

/// Counts that changed and whose copies are not written yet.
#[derive(Default)]
pub struct UnreadCopies {
    waiting: Mutex<HashMap<ActorInRoom, (UnreadCount, Timestamp)>>,
    changed: Notify,
    /// Copies that a comparison with the store wrote anew.
    pub rebuilt: Counter,
}

/// Why copies could not be made.
enum NotCopied {
    RedisUnavailable(RedisUnavailable),
    Store,
}

impl From<RedisUnavailable> for NotCopied {
    fn from(error: RedisUnavailable) -> Self {
        Self::RedisUnavailable(error)
    }
}

impl From<ReadError> for NotCopied {
    fn from(_: ReadError) -> Self {
        Self::Store
    }
}

impl UnreadCopies {
    /// Takes what a turn changed.
    pub fn learn(&self, report: &CommitReport) {
        if report.unread.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        for count in &report.unread {
            if waiting.len() < MAX_WAITING {
                waiting.insert(owner(count), (count.clone(), report.at));
            }
        }
        self.changed.notify_one();
    }

    fn take(&self) -> Vec<(UnreadCount, Timestamp)> {
        let mut waiting = self.waiting.lock();
        let owners: Vec<ActorInRoom> = waiting.keys().take(AT_ONCE).cloned().collect();
        owners.iter().filter_map(|owner| waiting.remove(owner)).collect()
    }

    /// Puts back what could not be written; what has changed again meanwhile stays.
    fn put_back(&self, counts: Vec<(UnreadCount, Timestamp)>) {
        let mut waiting = self.waiting.lock();
        for (count, at) in counts {
            waiting.entry(owner(&count)).or_insert((count, at));
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
                sleep(PAUSE).await;
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

/// Keeps the copies, until the engine stops.
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

/// Compares now, each time Redis comes back, and now and then.
async fn compare(engine: &Engine, redis: &Redis) {
    loop {
        let connection = redis.connection.wait_connected().await;
        match compare_once(engine, redis).await {
            Ok(count) => {
                redis.unread.rebuilt.inc_by(count);
                tokio::select! {
                    () = redis.connection.wait_disconnected(connection) => {}
                    () = sleep(COMPARE_EVERY) => {}
                }
            }
            Err(NotCopied::RedisUnavailable(error)) => {
                tracing::debug!(%error, "unread counts could not be compared");
                sleep(PAUSE).await;
            }
            Err(NotCopied::Store) => sleep(PAUSE).await,
        }
    }
}

async fn compare_once(engine: &Engine, redis: &Redis) -> Result<u64, NotCopied> {
    let mut written = 0;
    // First what is there and should not be, then what should be there.
    let copies = unread::all(&redis.connection, &redis.keys).await?;
    for some in copies.chunks(AT_ONCE) {
        let at = before(engine);
        let kept = engine.store.get_all::<UnreadCount>(some.iter().map(Record::key).collect()).await?;
        let wrong: Vec<UnreadCount> = some
            .iter()
            .zip(kept)
            .filter(|(copy, kept)| kept.as_ref() != Some(*copy))
            .map(|(copy, kept)| kept.unwrap_or_else(|| UnreadCount { unread: 0, ..copy.clone() }))
            .collect();
        written += wrong.len() as u64;
        unread::put(&redis.connection, &redis.keys, wrong.iter().map(|count| (count, at))).await?;
    }
    let known: HashMap<ActorInRoom, u64> = copies.iter().map(|copy| (owner(copy), copy.unread)).collect();
    let mut place = None;
    loop {
        let at = before(engine);
        let find = RecordQuery::all::<UnreadCount>("tenant_id", AT_ONCE).behind(place);
        let counts: Vec<UnreadCount> = engine.store.find(find).await?;
        let missing: Vec<&UnreadCount> =
            counts.iter().filter(|count| !known.contains_key(&owner(count))).collect();
        written += missing.len() as u64;
        unread::put(&redis.connection, &redis.keys, missing.into_iter().map(|count| (count, at))).await?;
        let Some(last) = counts.last().filter(|_| counts.len() == AT_ONCE) else { return Ok(written) };
        place = Some(SortKey { sorted_by: (&last.tenant_id).into(), key: last.key() });
    }
}

/// Since when what is read now is certainly true: a turn may have its time already, and be committed only later.
fn before(engine: &Engine) -> Timestamp {
    engine.now().plus_ms(-IN_DOUBT_MS)
}
