//! The time of a store: it follows the wall clock while that is plausible, and elapses evenly while it is not.
//!
//! Everything that lasts (sessions, presences, keys, cooldowns, retries) is decided by this time. While the wall clock is
//! behind, it elapses a tenth slower, until the wall clock has caught up. A wall clock that jumps ahead counts only when its
//! new time has stood for a minute: a clock that was wrong for less ends nothing.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Clock, ClockAnchor, Timestamp};
use parking_lot::Mutex;

/// Smaller differences are those of two clocks that run well.
const TOLERANCE_MS: i64 = 1_000;
/// How long a jump ahead must stand before it counts.
const STANDS_AFTER_MS: i64 = 60_000;
/// How long a thread may pause between its readings of both clocks, and how often it reads them again.
const MAX_PAUSE_MS: i64 = 20;
const MAX_TRIES: usize = 10;
/// How much slower the time elapses while it is ahead of the wall clock: by one part in so many.
const SLEW: i64 = 10;

/// The time of a store.
pub struct SteadyClock {
    wall: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// What the time was at the last reading.
struct State {
    now_ms: i64,
    /// What elapsed until then, by the stopwatch.
    elapsed_ms: i64,
    /// Tenths of a millisecond that elapsed beyond that: slowing down loses nothing to rounding.
    tenths: i64,
    /// How far the wall clock is ahead of this time (behind it, if negative), beyond the tolerance.
    ahead_ms: Option<i64>,
    /// When the present jump ahead was seen first, by the stopwatch.
    jumped_at_ms: i64,
}

impl SteadyClock {
    /// A clock that continues from an anchor of this boot of the machine, else begins with the wall clock; never before
    /// `not_before`, the time of what is stored already.
    pub fn new(wall: Arc<dyn Clock>, anchor: Option<&ClockAnchor>, not_before: Timestamp) -> Self {
        let elapsed_ms = millis(wall.stopwatch());
        let anchored = anchor.filter(|anchor| wall.boot_id() == Some(anchor.boot_id.as_str()));
        let start = anchored.map_or_else(|| wall.now().as_millis(), |anchor| anchor.offset_ms + elapsed_ms);
        let now_ms = start.max(not_before.as_millis());
        Self { wall, state: Mutex::new(State::at(now_ms, elapsed_ms)) }
    }

    /// A clock of a process without a store, which begins with the wall clock.
    pub fn starting_now(wall: Arc<dyn Clock>) -> Self {
        Self::new(wall, None, Timestamp::from_millis(0))
    }

    /// What the wall clock and the stopwatch show at the same time: a thread that had to pause between them tries again.
    fn read_clocks(&self) -> (i64, i64) {
        let mut began = millis(self.wall.stopwatch());
        for _ in 0..MAX_TRIES {
            let (wall, ended) = (self.wall.now().as_millis(), millis(self.wall.stopwatch()));
            if ended - began <= MAX_PAUSE_MS {
                return (wall, ended);
            }
            began = ended;
        }
        (self.wall.now().as_millis(), millis(self.wall.stopwatch()))
    }

    /// The time, which others have seen to be at least `seen`.
    pub(crate) fn now_after(&self, seen: Timestamp) -> Timestamp {
        let mut state = self.state.lock();
        let (wall_ms, elapsed_ms) = self.read_clocks();
        let now = state.read(wall_ms, elapsed_ms);
        state.now_ms = now.max(seen.as_millis());
        Timestamp::from_millis(state.now_ms)
    }

    /// How far the wall clock is ahead of the time (behind it, if negative), in milliseconds; 0 while it is plausible.
    pub fn wall_clock_ahead_ms(&self) -> i64 {
        self.state.lock().ahead_ms.unwrap_or_default()
    }

    /// From where a restart continues; none if the stopwatch does not count since a boot.
    pub fn anchor(&self) -> Option<ClockAnchor> {
        let boot_id = self.wall.boot_id()?.to_owned();
        let state = self.state.lock();
        Some(ClockAnchor { boot_id, offset_ms: state.now_ms - state.elapsed_ms })
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        self.now_after(Timestamp::from_millis(i64::MIN))
    }

    fn stopwatch(&self) -> Duration {
        self.wall.stopwatch()
    }

    fn wall(&self) -> Timestamp {
        self.wall.wall()
    }

    fn boot_id(&self) -> Option<&str> {
        self.wall.boot_id()
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl State {
    const fn at(now_ms: i64, elapsed_ms: i64) -> Self {
        Self { now_ms, elapsed_ms, tenths: 0, ahead_ms: None, jumped_at_ms: 0 }
    }

    /// The time, now that the wall clock shows `wall_ms` and the stopwatch `elapsed_ms`.
    fn read(&mut self, wall_ms: i64, elapsed_ms: i64) -> i64 {
        let passed = (elapsed_ms - self.elapsed_ms).max(0);
        self.elapsed_ms += passed;
        let ahead = wall_ms - (self.now_ms + passed);
        if ahead < 0 {
            let tenths = passed * (SLEW - 1) + self.tenths;
            self.now_ms += tenths / SLEW;
            self.tenths = tenths % SLEW;
        } else if ahead <= TOLERANCE_MS || self.stands(ahead) {
            self.now_ms = wall_ms;
        } else {
            self.now_ms += passed;
        }
        self.note(wall_ms - self.now_ms);
        self.now_ms
    }

    /// Whether a jump ahead has stood long enough to count.
    fn stands(&mut self, ahead: i64) -> bool {
        if self.ahead_ms.is_none_or(|before| (before - ahead).abs() > TOLERANCE_MS) {
            self.jumped_at_ms = self.elapsed_ms;
        }
        self.elapsed_ms - self.jumped_at_ms >= STANDS_AFTER_MS
    }

    /// Keeps how far the wall clock is ahead, and logs when that begins and ends.
    fn note(&mut self, ahead: i64) {
        let implausible = Some(ahead).filter(|ahead| ahead.abs() > TOLERANCE_MS);
        match (self.ahead_ms, implausible) {
            (None, None) => {}
            (Some(before), Some(ahead)) if (before < 0) == (ahead < 0) => {}
            (_, Some(ahead_ms)) if ahead_ms > 0 => {
                tracing::error!(
                    ahead_ms,
                    "the wall clock jumped ahead; it counts when it has stood for a minute"
                );
            }
            (_, Some(ahead)) => {
                let behind_ms = -ahead;
                tracing::error!(
                    behind_ms,
                    "the wall clock is behind; time elapses a tenth slower until it has caught up"
                );
            }
            (Some(_), None) => tracing::warn!("the wall clock is followed again"),
        }
        self.ahead_ms = implausible;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn state() -> State {
        State::at(0, 0)
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
        assert_eq!(state.read(20_100, 20_100), 20_490);
    }

    /// Two days ahead for 20 seconds: nothing ends, and what elapsed is what elapsed.
    #[test]
    fn steady_clock_ignores_a_jump_ahead_that_does_not_stand() {
        let mut state = state();
        run(&mut state, 0, 1_000, 0);
        assert_eq!(run(&mut state, 1_100, 21_000, 2 * DAY), 21_000);
        assert_eq!(run(&mut state, 21_100, 30_000, 0), 30_000);
        assert_eq!(state.ahead_ms, None);
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
        assert_eq!(state.ahead_ms, Some(1_000 - hour));
        let later = 11 * hour;
        assert_eq!(run(&mut state, 11_100, later, -hour), later - hour);
    }
}
