//! Durable followers: their stored cursors, their lag, and whether one is stuck.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{FollowerCursor, SaveCursor, Sequence, TenantId};
use agentcafe_store::Failure;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

/// How long a follower may work without progress before it counts as stuck.
const MAX_STALL: Duration = Duration::from_secs(30);

/// The status of a follower.
#[derive(Clone, Debug)]
struct FollowerStatus {
    cursor: Sequence,
    /// Since when it works without progress, by the stopwatch; none while it waits for events.
    working_since: Option<Duration>,
    last_error: Option<String>,
    has_ended: bool,
}

/// The status of all followers, by name.
#[derive(Default)]
pub struct Followers(Mutex<BTreeMap<&'static str, FollowerStatus>>);

impl Followers {
    /// How far each is behind the head of the log.
    pub fn lags(&self, head: Sequence) -> Vec<(&'static str, u64)> {
        let followers = self.0.lock();
        followers.iter().map(|(name, status)| (*name, head.0.saturating_sub(status.cursor.0))).collect()
    }

    /// How far one is behind the head of the log; 0 if there is none of this name.
    pub fn lag(&self, name: &str, head: Sequence) -> u64 {
        self.0.lock().get(name).map_or(0, |status| head.0.saturating_sub(status.cursor.0))
    }

    /// A sentence for each follower that is stuck or has ended.
    pub fn stuck(&self, now: Duration) -> Vec<String> {
        let followers = self.0.lock();
        followers.iter().filter_map(|(name, status)| status.problem(name, now)).collect()
    }

    fn set(&self, name: &'static str, change: impl FnOnce(&mut FollowerStatus)) {
        if let Some(status) = self.0.lock().get_mut(name) {
            change(status);
        }
    }
}

impl FollowerStatus {
    fn problem(&self, name: &str, now: Duration) -> Option<String> {
        let cause = self.last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        if self.has_ended {
            return Some(format!("the follower {name} has ended{cause}"));
        }
        let stalled = now.saturating_sub(self.working_since?);
        let stuck = || format!("the follower {name} is stuck behind event {}{cause}", self.cursor);
        (stalled >= MAX_STALL).then(stuck)
    }
}

/// A follower's handle to its status and its stored cursor.
pub struct Progress {
    engine: Arc<Engine>,
    name: &'static str,
    ending: CancellationToken,
}

impl Progress {
    /// Resumes the follower with this name after its stored cursor, which is returned; the first time at the head of the log,
    /// which is saved at once. If it is dropped before `ending` is cancelled, it counts as failed.
    ///
    /// # Errors
    /// The store cannot be read or written right now.
    pub async fn resume(
        engine: &Arc<Engine>,
        name: &'static str,
        ending: &CancellationToken,
    ) -> Result<(Self, FollowerCursor), Failure> {
        let unread = |_| Failure::Unavailable("the store cannot be read right now");
        let progress = Self { engine: Arc::clone(engine), name, ending: ending.clone() };
        let saved = engine.store.get::<FollowerCursor>(FollowerCursor::key_of(name)).await;
        let saved = match saved.map_err(unread)? {
            Some(saved) => saved,
            None => {
                let (cursor, lanes) = (engine.store.recent_events().head(), BTreeMap::new());
                progress.save(cursor, lanes.clone()).await?;
                FollowerCursor { name: name.to_owned(), cursor, lanes, updated_at: engine.now() }
            }
        };
        let cursor = saved.lanes.values().fold(saved.cursor, |least, cursor| least.min(*cursor));
        progress.start_at(cursor);
        Ok((progress, saved))
    }

    /// The handle of a follower that keeps its cursor elsewhere. If it is dropped before `ending` is cancelled, it counts as
    /// failed.
    pub fn without_cursor(engine: &Arc<Engine>, name: &'static str, ending: &CancellationToken) -> Self {
        let progress = Self { engine: Arc::clone(engine), name, ending: ending.clone() };
        progress.start_at(Sequence::START);
        progress
    }

    fn start_at(&self, cursor: Sequence) {
        let status = FollowerStatus { cursor, working_since: None, last_error: None, has_ended: false };
        self.engine.followers.0.lock().insert(self.name, status);
    }

    /// Records that the follower continues from this cursor, which may be further back.
    pub fn continue_at(&self, cursor: Sequence) {
        let has_caught_up = cursor >= self.engine.store.recent_events().head();
        self.engine.followers.set(self.name, |status| {
            status.cursor = cursor;
            if has_caught_up {
                status.working_since = None;
                status.last_error = None;
            }
        });
    }

    /// Records that the follower works on the next events.
    pub fn begin(&self) {
        let now = self.engine.clock.stopwatch();
        self.engine.followers.set(self.name, |status| {
            status.working_since.get_or_insert(now);
        });
    }

    /// Records that everything up to `cursor` has been processed. If that is no further than before, something is still slow.
    pub fn reach(&self, cursor: Sequence) {
        self.engine.followers.set(self.name, |status| {
            if cursor > status.cursor {
                status.cursor = cursor;
                status.working_since = None;
                status.last_error = None;
            }
        });
    }

    /// Records an error that the follower retries.
    pub fn fail(&self, error: &str) {
        self.engine.followers.set(self.name, |status| {
            let known = status.last_error.replace(error.to_owned());
            if known.as_deref() != Some(error) {
                tracing::warn!(follower = self.name, error, "a follower failed and will retry");
            }
        });
    }

    /// Saves the cursor, and those of the tenants that are behind, so that a restart resumes from them.
    ///
    /// # Errors
    /// The store cannot be written right now.
    pub async fn save(&self, cursor: Sequence, lanes: BTreeMap<TenantId, Sequence>) -> Result<(), Failure> {
        let save = SaveCursor { name: self.name, cursor, lanes };
        self.engine.execute_in_background(Arc::new(save)).await.map(drop)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.ending.is_cancelled() {
            // Another node may continue, and report the status.
            self.engine.followers.0.lock().remove(self.name);
        } else {
            self.engine.followers.set(self.name, |status| status.has_ended = true);
        }
    }
}
