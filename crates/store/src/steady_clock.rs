//! The time of a store: it follows the wall clock while that is plausible, and elapses evenly while it is not.
//!
//! Everything that lasts (sessions, presences, keys, cooldowns, retries) is decided by this time. A wall clock that steps
//! back makes it elapse a tenth slower until the wall clock has caught up. One that jumps ahead moves it only when the new
//! time has stood for a minute: a clock that was wrong for less ends nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use agentcafe_domain::kernel::{Clock, Timestamp};
use parking_lot::Mutex;

/// Smaller differences are those of two clocks that run well, and the wall clock is followed.
const TOLERANCE_MS: i64 = 1_000;
/// How long a jump ahead must stand before it counts.
const STANDS_AFTER: Duration = Duration::from_secs(60);
/// How much slower the time elapses while it is ahead of the wall clock: by one part in so many.
const SLEW: i64 = 10;

/// The time of a store.
pub(crate) struct SteadyClock {
    wall: Arc<dyn Clock>,
    state: Mutex<State>,
    /// By how much the wall clock is ahead of this one, in milliseconds; 0 while it is followed.
    ahead_ms: AtomicI64,
}

/// What the time was at the last reading.
struct State {
    now_ms: i64,
    /// Milliseconds that are less than one tenth of what elapsed: slowing down loses nothing to rounding.
    remainder: i64,
    elapsed_ms: i64,
    jump: Option<Jump>,
}

/// A wall clock that is somewhere else.
#[derive(Clone, Copy)]
struct Jump {
    ahead_ms: i64,
    since_ms: i64,
}

impl SteadyClock {
    /// A clock that begins at `start`, or with the wall clock.
    pub(crate) fn new(wall: Arc<dyn Clock>, start: Option<Timestamp>) -> Self {
        let now_ms = start.unwrap_or_else(|| wall.now()).as_millis();
        let elapsed_ms = millis(wall.stopwatch());
        let state = State { now_ms, remainder: 0, elapsed_ms, jump: None };
        Self { wall, state: Mutex::new(state), ahead_ms: AtomicI64::new(0) }
    }

    /// By how much the wall clock is ahead of this one (behind it, if negative), in milliseconds; none while it is followed.
    pub(crate) fn offset_ms(&self) -> Option<i64> {
        Some(self.ahead_ms.load(Ordering::Relaxed)).filter(|ahead| *ahead != 0)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl State {
    /// The time, now that the wall clock shows `wall_ms` and the stopwatch `elapsed_ms`.
    fn read(&mut self, wall_ms: i64, elapsed_ms: i64) -> i64 {
        let passed = (elapsed_ms - self.elapsed_ms).max(0);
        self.elapsed_ms = elapsed_ms.max(self.elapsed_ms);
        let ahead = wall_ms - (self.now_ms + passed);
        if ahead.abs() <= TOLERANCE_MS {
            if self.jump.take().is_some() {
                tracing::info!("the wall clock is plausible again and is followed");
            }
            self.now_ms = wall_ms.max(self.now_ms);
        } else if ahead > 0 {
            self.now_ms = if self.stands(ahead) { wall_ms } else { self.now_ms + passed };
        } else {
            if self.jump.is_none_or(|jump| jump.ahead_ms > 0) {
                tracing::error!(behind_ms = -ahead, "the wall clock stepped back; time elapses a tenth slower until it has caught up");
                self.jump = Some(Jump { ahead_ms: ahead, since_ms: self.elapsed_ms });
            }
            let tenths = passed * (SLEW - 1) + self.remainder;
            self.now_ms += tenths / SLEW;
            self.remainder = tenths % SLEW;
        }
        self.now_ms
    }

    /// Whether a jump ahead has stood long enough to count.
    fn stands(&mut self, ahead: i64) -> bool {
        let same = self.jump.filter(|jump| (jump.ahead_ms - ahead).abs() <= TOLERANCE_MS);
        let Some(jump) = same else {
            tracing::error!(ahead_ms = ahead, "the wall clock jumped ahead; it counts when it has stood for a minute");
            self.jump = Some(Jump { ahead_ms: ahead, since_ms: self.elapsed_ms });
            return false;
        };
        let stands = self.elapsed_ms - jump.since_ms >= millis(STANDS_AFTER);
        if stands {
            tracing::warn!(ahead_ms = ahead, "the wall clock has stood for a minute and counts now");
            self.jump = None;
        }
        stands
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        let mut state = self.state.lock();
        let now = state.read(self.wall.now().as_millis(), millis(self.wall.stopwatch()));
        self.ahead_ms.store(state.jump.map_or(0, |jump| jump.ahead_ms), Ordering::Relaxed);
        Timestamp::from_millis(now)
    }

    fn stopwatch(&self) -> Duration {
        self.wall.stopwatch()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn state() -> State {
        State { now_ms: 0, remainder: 0, elapsed_ms: 0, jump: None }
    }

    /// Readings of a wall clock that is `offset` off, every 100 ms from `from` to `to`.
    fn run(state: &mut State, from: i64, to: i64, offset: i64) -> i64 {
        (from..=to).step_by(100).map(|elapsed| state.read(elapsed + offset, elapsed)).last().unwrap()
    }

    #[test]
    fn steady_clock_follows_a_wall_clock_that_runs_well() {
        let mut state = state();
        assert_eq!(run(&mut state, 0, 10_000, 0), 10_000);
        assert_eq!(run(&mut state, 10_100, 20_000, 400), 20_400);
        // It never goes back, not even by the little that two clocks differ.
        assert_eq!(state.read(20_100, 20_100), 20_400);
    }

    /// Two days ahead for 20 seconds: nothing ends, and what elapsed is what elapsed.
    #[test]
    fn steady_clock_ignores_a_jump_ahead_that_does_not_stand() {
        let mut state = state();
        run(&mut state, 0, 1_000, 0);
        assert_eq!(run(&mut state, 1_100, 21_000, 2 * DAY), 21_000);
        assert_eq!(run(&mut state, 21_100, 30_000, 0), 30_000);
        assert!(state.jump.is_none());
    }

    #[test]
    fn steady_clock_adopts_a_jump_ahead_that_stands_for_a_minute() {
        let mut state = state();
        run(&mut state, 0, 1_000, 0);
        assert_eq!(run(&mut state, 1_100, 61_000, DAY), 61_000);
        assert_eq!(run(&mut state, 61_100, 62_000, DAY), DAY + 62_000);
    }

    /// An hour back: cooldowns and presences go on, and the time is the wall clock's again after ten hours.
    #[test]
    fn steady_clock_elapses_slower_while_the_wall_clock_is_behind() {
        let mut state = state();
        run(&mut state, 0, 1_000, 0);
        let hour = DAY / 24;
        assert_eq!(run(&mut state, 1_100, 11_000, -hour), 10_000);
        let later = 11 * hour;
        assert_eq!(run(&mut state, 11_100, later, -hour), later - hour);
    }
}
