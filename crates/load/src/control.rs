//! Starts, measures and stops a run: what the connections of one run share.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use memchr::memmem;

/// The switch of one run. The connections ask it before each request.
#[derive(Debug)]
pub struct Control {
    stopped: AtomicBool,
    measuring: AtomicBool,
    requests_left: AtomicI64,
    stop_at_sequence: Option<u64>,
}

impl Control {
    /// A run until [`Self::stop`], measured once [`Self::measure`] is called.
    #[must_use]
    pub fn until_stopped() -> Self {
        Self {
            stopped: AtomicBool::new(false),
            measuring: AtomicBool::new(false),
            requests_left: AtomicI64::new(i64::MAX),
            stop_at_sequence: None,
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

    /// From now on answers are measured.
    pub fn measure(&self) {
        self.measuring.store(true, Ordering::Relaxed);
    }

    /// No further request is sent, and no answer is measured.
    pub fn stop(&self) {
        self.measuring.store(false, Ordering::Relaxed);
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether answers are being measured.
    #[must_use]
    pub fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    /// Whether one more request may be sent; counts it.
    #[must_use]
    pub fn take_turn(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed) && self.requests_left.fetch_sub(1, Ordering::Relaxed) > 0
    }

    /// Looks at an accepted answer, which may end the run.
    pub fn observe(&self, body: &[u8]) {
        if let Some(goal) = self.stop_at_sequence
            && sequence_in(body).is_some_and(|sequence| sequence >= goal)
        {
            self.stop();
        }
    }
}

/// The first `"sequence"` of a JSON text, found without parsing it.
fn sequence_in(body: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\"sequence\":";
    let value = &body[memmem::find(body, NAME)? + NAME.len()..];
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    crate::http::parse_decimal(&value[..digits]).map(|sequence| sequence as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_requests_allows_so_many() {
        let control = Control::of_requests(2);
        assert_eq!([control.take_turn(), control.take_turn(), control.take_turn()], [true, true, false]);
    }

    #[test]
    fn a_run_until_a_sequence_ends_with_it() {
        let control = Control::until_sequence(12);
        for (body, goes_on) in
            [("{}", true), (r#"{"sequence":11}"#, true), (r#"{"sequence":12,"a":1}"#, false)]
        {
            control.observe(body.as_bytes());
            assert_eq!(control.take_turn(), goes_on, "{body}");
        }
    }
}
