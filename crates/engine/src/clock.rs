//! The system's clock and randomness. No other code reads either.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agentcafe_domain::kernel::{Clock, IdSource, Timestamp};
use uuid::{Builder, Uuid};

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose stopwatch is at zero.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn stopwatch(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}

/// Randomness read from the operating system at once, in bytes.
const POOL_BYTES: usize = 1_024;
/// Randomness of one id, in bytes: the 74 random bits of a version 7 UUID.
const ID_BYTES: usize = 10;

/// Generates version 7 UUIDs. They begin with the time, so that indexes grow at their end; the rest is random.
pub struct RandomIds {
    pool: [u8; POOL_BYTES],
    used: usize,
}

impl Default for RandomIds {
    /// A source with an empty pool.
    fn default() -> Self {
        Self { pool: [0; POOL_BYTES], used: POOL_BYTES }
    }
}

impl IdSource for RandomIds {
    fn fresh(&mut self, now: Timestamp) -> Uuid {
        if self.used + ID_BYTES > POOL_BYTES {
            getrandom::fill(&mut self.pool).expect("the operating system provides randomness");
            self.used = 0;
        }
        let mut random = [0; ID_BYTES];
        random.copy_from_slice(&self.pool[self.used..self.used + ID_BYTES]);
        self.used += ID_BYTES;
        Builder::from_unix_timestamp_millis(now.as_millis().unsigned_abs(), &random).into_uuid()
    }
}
