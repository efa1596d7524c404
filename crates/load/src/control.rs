//! Starts, paces, measures and stops a run: what the connections of one run share.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use memchr::memmem;
use tokio::sync::watch;

use crate::stopwatch::Stopwatch;

/// The switch of one run. The connections ask it before each request.
#[derive(Debug)]
pub struct Control {
    stopped: watch::Sender<bool>,
    measuring: AtomicBool,
    requests_left: AtomicI64,
    stop_at_sequence: Option<u64>,
    pace: Option<Pace>,
    answered: AtomicU64,
    failed: AtomicU64,
}

/// So many requests a second, whoever sends them.
#[derive(Debug)]
struct Pace {
    stopwatch: Stopwatch,
    begins_us: u64,
    per_second: f64,
    taken: AtomicU64,
}

/// Leave to send one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// When it was due, in microseconds of the run's stopwatch, if that has passed while the connection waited for an
    /// answer: who waits for this one has been waiting since then.
    pub due_us: Option<u64>,
}

impl Control {
    /// A run until [`Self::stop`], measured once [`Self::measure`] is called.
    #[must_use]
    pub fn until_stopped() -> Self {
        Self {
            stopped: watch::Sender::new(false),
            measuring: AtomicBool::new(false),
            requests_left: AtomicI64::new(i64::MAX),
            stop_at_sequence: None,
            pace: None,
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// A run of so many requests, measured from the first.
    #[must_use]
    pub fn of_requests(count: u64) -> Self {
        let requests_left = AtomicI64::new(i64::try_from(count).unwrap_or(i64::MAX));
        Self { measuring: AtomicBool::new(true), requests_left, ..Self::until_stopped() }
    }

    /// A run until an answer names a sequence that is at least `sequence`.
    #[must_use]
    pub fn until_sequence(sequence: u64) -> Self {
        Self { stop_at_sequence: Some(sequence), ..Self::until_stopped() }
    }

    /// Sends so many requests a second from now on, instead of as many as are answered. What is late is sent as soon as
    /// possible. The stopwatch is that of the run.
    #[must_use]
    pub fn paced(self, per_second: f64, stopwatch: Stopwatch) -> Self {
        let (begins_us, taken) = (stopwatch.elapsed_us(), AtomicU64::new(0));
        Self { pace: Some(Pace { stopwatch, begins_us, per_second, taken }), ..self }
    }

    /// From now on answers are measured.
    pub fn measure(&self) {
        self.measuring.store(true, Ordering::Relaxed);
    }

    /// No further request is sent, and no answer is measured.
    pub fn stop(&self) {
        self.measuring.store(false, Ordering::Relaxed);
        self.finish();
    }

    /// No further request is sent; the answers to those under way are measured.
    pub fn finish(&self) {
        self.stopped.send_replace(true);
    }

    /// Whether answers are being measured.
    #[must_use]
    pub fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    /// Waits until one more request may be sent, and counts it; none once the run is over.
    pub async fn turn(&self) -> Option<Turn> {
        if self.is_over() || self.requests_left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return None;
        }
        let Some(pace) = &self.pace else {
            return Some(Turn { due_us: None });
        };
        let due_us = pace.take_us();
        let now_us = pace.stopwatch.elapsed_us();
        if due_us <= now_us {
            return Some(Turn { due_us: Some(due_us) });
        }
        let mut stopped = self.stopped.subscribe();
        tokio::select! {
            () = tokio::time::sleep(Duration::from_micros(due_us - now_us)) => Some(Turn { due_us: None }),
            _ = stopped.wait_for(|is_stopped| *is_stopped) => None,
        }
    }

    /// Waits so long, or until the run is over.
    pub async fn pause(&self, duration: Duration) {
        let mut stopped = self.stopped.subscribe();
        // That it took too long is what was asked for.
        let _ = tokio::time::timeout(duration, stopped.wait_for(|is_stopped| *is_stopped)).await;
    }

    /// Looks at an accepted answer, which may end the run.
    pub fn observe(&self, body: &[u8]) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if let Some(goal) = self.stop_at_sequence
            && sequence_in(body).is_some_and(|sequence| sequence >= goal)
        {
            self.stop();
        }
    }

    /// Counts a request that came to nothing.
    pub fn observe_failure(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many answers were accepted so far, and how many requests came to nothing.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.answered.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    fn is_over(&self) -> bool {
        *self.stopped.borrow()
    }
}

impl Pace {
    /// Takes the next place in the row, and gives when it is due.
    fn take_us(&self) -> u64 {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        self.begins_us + (before as f64 / self.per_second * 1e6) as u64
    }
}

/// The first `"sequence"` of a JSON text, found without parsing it.
pub(crate) fn sequence_in(body: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\"sequence\":";
    let value = &body[memmem::find(body, NAME)? + NAME.len()..];
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    crate::http::parse_decimal(&value[..digits]).map(|sequence| sequence as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Option<Turn> = Some(Turn { due_us: None });

    #[tokio::test]
    async fn a_run_of_requests_allows_so_many() {
        let control = Control::of_requests(2);
        assert_eq!([control.turn().await, control.turn().await, control.turn().await], [FREE, FREE, None]);
    }

    #[tokio::test]
    async fn a_run_until_a_sequence_ends_with_it() {
        let control = Control::until_sequence(12);
        for (body, goes_on) in
            [("{}", true), (r#"{"sequence":11}"#, true), (r#"{"sequence":12,"a":1}"#, false)]
        {
            control.observe(body.as_bytes());
            assert_eq!(control.turn().await.is_some(), goes_on, "{body}");
        }
        assert_eq!(control.counts(), (3, 0));
    }

    #[tokio::test]
    async fn requests_are_due_one_after_the_other() {
        let stopwatch = Stopwatch::start();
        tokio::time::sleep(Duration::from_millis(60)).await;
        let begins_us = stopwatch.elapsed_us();
        let control = Control::until_stopped().paced(50.0, stopwatch);
        let first = control.turn().await.and_then(|turn| turn.due_us);
        assert!(first.is_some_and(|due_us| due_us >= begins_us), "{first:?}");
        for after_us in [20_000, 40_000] {
            let turn = control.turn().await.expect("it goes on");
            // One that is late, because the machine is busy, says when it was due.
            assert!(turn.due_us.is_none_or(|due_us| due_us >= begins_us + after_us), "{turn:?}");
        }
        let took_us = stopwatch.elapsed_us() - begins_us;
        assert!(took_us >= 39_000, "{took_us}");
    }

    #[tokio::test]
    async fn who_waits_for_its_turn_hears_of_the_end() {
        let control = Control::until_stopped().paced(0.001, Stopwatch::start());
        assert!(control.turn().await.is_some());
        let (turn, ()) = tokio::join!(control.turn(), async { control.finish() });
        assert_eq!(turn, None);
    }
}
