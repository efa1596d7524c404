//! The followers that work on behalf of the café: how far each has come, whether one is stuck, and where it goes on after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{FollowerCursor, SaveCursor, Sequence};
use agentcafe_store::Failure;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

/// How long a follower may work without getting any further before it counts as stuck.
pub const MAX_STANDSTILL: Duration = Duration::from_secs(30);
/// How far a follower goes before it keeps its cursor, when nothing it did depends on that.
const KEEP_EVERY: u64 = 1_000;

/// How a follower stands.
#[derive(Clone, Debug)]
struct FollowerStatus {
    cursor: Sequence,
    /// Since when it works without having got any further, by the stopwatch; none while it waits for events.
    working_since: Option<Duration>,
    last_error: Option<String>,
    has_ended: bool,
}

/// All followers, by name.
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

    /// Those that do not get any further, each in a sentence.
    pub fn stuck(&self, now: Duration) -> Vec<String> {
        let followers = self.0.lock();
        followers.iter().filter_map(|(name, status)| status.trouble(name, now)).collect()
    }

    fn set(&self, name: &'static str, change: impl FnOnce(&mut FollowerStatus)) {
        if let Some(status) = self.0.lock().get_mut(name) {
            change(status);
        }
    }
}

impl FollowerStatus {
    fn trouble(&self, name: &str, now: Duration) -> Option<String> {
        let because = self.last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        if self.has_ended {
            return Some(format!("the follower {name} has ended{because}"));
        }
        let stood = now.saturating_sub(self.working_since?);
        let stuck = || format!("the follower {name} is stuck behind event {}{because}", self.cursor);
        (stood >= MAX_STANDSTILL).then(stuck)
    }
}

/// A follower's own view of itself: it says how it stands, and keeps its cursor.
pub struct Progress {
    engine: Arc<Engine>,
    name: &'static str,
    cursor: Sequence,
    kept: Sequence,
    ending: CancellationToken,
}

impl Progress {
    /// Where the follower of this name goes on: behind its cursor; the first time at the head of the log, which it keeps at once.
    /// That it ends is as it should be only once `ending` is cancelled.
    ///
    /// # Errors
    /// The store cannot be read or written right now.
    pub async fn resume(
        engine: &Arc<Engine>,
        name: &'static str,
        ending: &CancellationToken,
    ) -> Result<Self, Failure> {
        let unread = |_| Failure::Unavailable("the store cannot be read right now");
        let kept: Option<FollowerCursor> =
            engine.store.get(FollowerCursor::key_of(name)).await.map_err(unread)?;
        let cursor = match kept {
            Some(kept) => kept.cursor,
            None => {
                let cursor = engine.store.recent_events().head();
                engine.execute_in_background(Arc::new(SaveCursor { name, cursor })).await?;
                cursor
            }
        };
        let status = FollowerStatus { cursor, working_since: None, last_error: None, has_ended: false };
        engine.followers.0.lock().insert(name, status);
        Ok(Self { engine: Arc::clone(engine), name, cursor, kept: cursor, ending: ending.clone() })
    }

    /// It is done with everything up to here.
    pub fn cursor(&self) -> Sequence {
        self.cursor
    }

    /// It has begun to work on what comes next.
    pub fn begin(&self) {
        let now = self.engine.clock.stopwatch();
        self.engine.followers.set(self.name, |status| {
            status.working_since.get_or_insert(now);
        });
    }

    /// It is done with everything up to here, and waits for more or begins anew.
    pub fn reach(&mut self, cursor: Sequence) {
        self.cursor = self.cursor.max(cursor);
        let cursor = self.cursor;
        self.engine.followers.set(self.name, |status| {
            status.cursor = cursor;
            status.working_since = None;
            status.last_error = None;
        });
    }

    /// It could not go on, for now.
    pub fn fail(&self, error: &str) {
        self.engine.followers.set(self.name, |status| {
            let known = status.last_error.replace(error.to_owned());
            if known.as_deref() != Some(error) {
                tracing::warn!(follower = self.name, error, "a follower could not go on; it tries again");
            }
        });
    }

    /// Keeps the cursor, so that a restart goes on from here.
    ///
    /// # Errors
    /// The store cannot be written right now; the next time keeps more.
    pub async fn keep(&mut self) -> Result<(), Failure> {
        let (name, cursor) = (self.name, self.cursor);
        if cursor > self.kept {
            self.engine.execute_in_background(Arc::new(SaveCursor { name, cursor })).await?;
            self.kept = cursor;
        }
        Ok(())
    }

    /// Keeps the cursor if it has come far since it was last kept.
    ///
    /// # Errors
    /// As [`Progress::keep`].
    pub async fn keep_now_and_then(&mut self) -> Result<(), Failure> {
        if self.cursor.0 - self.kept.0 < KEEP_EVERY { Ok(()) } else { self.keep().await }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.ending.is_cancelled() {
            // Another node may go on: how it stands is said there.
            self.engine.followers.0.lock().remove(self.name);
        } else {
            self.engine.followers.set(self.name, |status| status.has_ended = true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CONTRACT 25.7: stuck is who works for 30 s without getting any further, or is gone; not who waits.
    #[test]
    fn who_waits_is_not_stuck() {
        let second = Duration::from_secs;
        let cases = [
            (None, false, 1_000, false),
            (Some(100), false, 129, false),
            (Some(100), false, 130, true),
            (None, true, 0, true),
        ];
        for (working_since, has_ended, now, want) in cases {
            let status = FollowerStatus {
                cursor: Sequence(7),
                working_since: working_since.map(second),
                last_error: Some("why".to_owned()),
                has_ended,
            };
            let followers = Followers(Mutex::new(BTreeMap::from([("test", status)])));
            let stuck = followers.stuck(second(now));
            assert_eq!(!stuck.is_empty(), want, "{working_since:?} {has_ended} {now}: {stuck:?}");
            assert!(stuck.iter().all(|sentence| sentence.contains("test") && sentence.ends_with(": why")));
            assert_eq!((followers.lag("test", Sequence(9)), followers.lag("none", Sequence(9))), (2, 0));
        }
    }
}
