//! The system's clock and randomness. No other code reads either.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agentcafe_domain::kernel::{Clock, IdSource, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use uuid::{Builder, Uuid};

/// The machine's clock. Its stopwatch counts since the boot, also while the machine sleeps.
#[derive(Clone, Debug)]
pub struct SystemClock {
    boot_id: Option<String>,
}

impl SystemClock {
    /// The clock of this machine, which does not boot while the process lives.
    pub fn of_this_boot() -> Self {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        Self { boot_id: boot_id.ok().map(|id| id.trim().to_owned()) }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn stopwatch(&self) -> Duration {
        clock_gettime(ClockId::Boottime).try_into().unwrap_or_default()
    }

    fn boot_id(&self) -> Option<&str> {
        self.boot_id.as_deref()
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
