//! Starts, paces and stops a run: the state that its workers share.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use memchr::memmem;
use tokio::sync::watch;

use crate::http::parse_decimal;
use crate::stats::Stopwatch;

/// Controls one run. Workers take a permit from it before each request.
#[derive(Debug)]
pub struct RunControl {
    stopped: watch::Sender<bool>,
    measuring: AtomicBool,
    requests_left: AtomicI64,
    stop_at_sequence: Option<u64>,
    pace: Option<Pace>,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

/// A fixed rate, shared by all workers.
#[derive(Debug)]
struct Pace {
    stopwatch: Stopwatch,
    begins_us: u64,
    per_second: f64,
    permits: AtomicU64,
}

/// Permission to send one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendPermit {
    /// When the request was due, in microseconds of the run's stopwatch, if it is sent late because the worker was waiting
    /// for a response. Latency counts from then: a server that stalls must show in the percentiles ("coordinated
    /// omission").
    pub due_us: Option<u64>,
}

impl RunControl {
    /// A run that lasts until [`Self::stop`] and is measured after [`Self::start_measuring`].
    #[must_use]
    pub fn until_stopped() -> Self {
        Self {
            stopped: watch::Sender::new(false),
            measuring: AtomicBool::new(false),
            requests_left: AtomicI64::new(i64::MAX),
            stop_at_sequence: None,
            pace: None,
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// A run of `count` requests, measured from the first.
    #[must_use]
    pub fn for_requests(count: u64) -> Self {
        let requests_left = AtomicI64::new(i64::try_from(count).unwrap_or(i64::MAX));
        Self { measuring: AtomicBool::new(true), requests_left, ..Self::until_stopped() }
    }

    /// A run that lasts until a response names a sequence of at least `sequence`.
    #[must_use]
    pub fn until_sequence(sequence: u64) -> Self {
        Self { stop_at_sequence: Some(sequence), ..Self::until_stopped() }
    }

    /// Paces the run from now on to `per_second` requests a second, measured by the run's stopwatch. A late request is sent
    /// as soon as possible.
    #[must_use]
    pub fn paced(self, per_second: f64, stopwatch: Stopwatch) -> Self {
        let (begins_us, permits) = (stopwatch.elapsed_us(), AtomicU64::new(0));
        Self { pace: Some(Pace { stopwatch, begins_us, per_second, permits }), ..self }
    }

    /// Measures responses from now on.
    pub fn start_measuring(&self) {
        self.measuring.store(true, Ordering::Relaxed);
    }

    /// Ends the run: no further request is sent, and no further response is measured.
    pub fn stop(&self) {
        self.measuring.store(false, Ordering::Relaxed);
        self.finish();
    }

    /// Ends the run: no further request is sent, but the responses to those in flight are measured.
    pub fn finish(&self) {
        self.stopped.send_replace(true);
    }

    /// Whether responses are measured.
    #[must_use]
    pub fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    /// Waits until one more request may be sent; `None` once the run has ended.
    pub async fn acquire(&self) -> Option<SendPermit> {
        if *self.stopped.borrow() || self.requests_left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return None;
        }
        let Some(pace) = &self.pace else {
            return Some(SendPermit { due_us: None });
        };
        let due_us = pace.next_due_us();
        let now_us = pace.stopwatch.elapsed_us();
        if due_us <= now_us {
            return Some(SendPermit { due_us: Some(due_us) });
        }
        let has_ended = self.pause(Duration::from_micros(due_us - now_us)).await;
        (!has_ended).then_some(SendPermit { due_us: None })
    }

    /// Waits for `duration`, or until the run ends; whether it has ended.
    pub async fn pause(&self, duration: Duration) -> bool {
        let mut stopped = self.stopped.subscribe();
        tokio::time::timeout(duration, stopped.wait_for(|is_stopped| *is_stopped)).await.is_ok()
    }

    /// Counts a success; its body may end the run.
    pub fn record_success(&self, body: &[u8]) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        if let Some(last) = self.stop_at_sequence
            && find_sequence(body).is_some_and(|sequence| sequence >= last)
        {
            self.stop();
        }
    }

    /// Counts a failure.
    pub fn record_failure(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Successes and failures so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.succeeded.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

impl Pace {
    /// When the next request is due; each call counts one.
    fn next_due_us(&self) -> u64 {
        let before = self.permits.fetch_add(1, Ordering::Relaxed);
        self.begins_us + (before as f64 / self.per_second * 1e6) as u64
    }
}

/// The first `"sequence"` of a JSON text, found without parsing it.
pub(crate) fn find_sequence(body: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\"sequence\":";
    let value = &body[memmem::find(body, NAME)? + NAME.len()..];
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    parse_decimal(&value[..digits]).map(|sequence| sequence as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMMEDIATE: Option<SendPermit> = Some(SendPermit { due_us: None });

    #[tokio::test]
    async fn run_control_for_requests_grants_so_many_permits() {
        let control = RunControl::for_requests(2);
        let permits = [control.acquire().await, control.acquire().await, control.acquire().await];
        assert_eq!(permits, [IMMEDIATE, IMMEDIATE, None]);
    }

    #[tokio::test]
    async fn run_control_until_sequence_ends_with_it() {
        let control = RunControl::until_sequence(12);
        for (body, goes_on) in
            [("{}", true), (r#"{"sequence":11}"#, true), (r#"{"sequence":12,"a":1}"#, false)]
        {
            control.record_success(body.as_bytes());
            assert_eq!(control.acquire().await.is_some(), goes_on, "{body}");
        }
        assert_eq!(control.counts(), (3, 0));
    }

    #[tokio::test]
    async fn run_control_paced_spaces_requests() {
        let stopwatch = Stopwatch::start();
        tokio::time::sleep(Duration::from_millis(60)).await;
        let begins_us = stopwatch.elapsed_us();
        let control = RunControl::until_stopped().paced(50.0, stopwatch);
        let first = control.acquire().await.and_then(|permit| permit.due_us);
        assert!(first.is_some_and(|due_us| due_us >= begins_us), "{first:?}");
        for after_us in [20_000, 40_000] {
            let permit = control.acquire().await.expect("the run goes on");
            // A permit that is late, because the machine is busy, says when it was due.
            assert!(permit.due_us.is_none_or(|due_us| due_us >= begins_us + after_us), "{permit:?}");
        }
        let took_us = stopwatch.elapsed_us() - begins_us;
        assert!(took_us >= 39_000, "{took_us}");
    }

    #[tokio::test]
    async fn run_control_finish_wakes_a_paced_worker() {
        let control = RunControl::until_stopped().paced(0.001, Stopwatch::start());
        assert!(control.acquire().await.is_some());
        let (permit, ()) = tokio::join!(control.acquire(), async { control.finish() });
        assert_eq!(permit, None);
    }
}
