//! Many subscribers of one stream, and whether each of them receives exactly the log.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::latency::Latencies;
use crate::progress::{Onlooker, Progress};
use crate::stopwatch::Stopwatch;
use crate::subscriber::{IdSet, Received, SendWindow, subscribe};
use crate::tally::Failures;
use crate::target::Target;

/// Pause between two looks at what has been received.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// All subscribers.
pub struct Audience {
    stopwatch: Stopwatch,
    window: Arc<SendWindow>,
    latencies: Arc<Mutex<Latencies>>,
    receipts: Vec<Arc<Mutex<Received>>>,
    /// Their tasks; dropping them closes the streams.
    _streams: JoinSet<()>,
}

/// How many subscribe, and which of them time what they receive.
#[derive(Clone, Copy, Debug)]
pub struct Seats {
    /// Subscribers.
    pub count: usize,
    /// Every so many of them one times what it receives; timing costs a little.
    pub timed_every: usize,
}

/// How waiting for all subscribers ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// What was waited for holds for every subscriber.
    All,
    /// The stream of at least one has ended.
    Ended,
    /// It took too long.
    TooLong,
}

/// In what the subscribers' receipts differ from the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Events that should have been received and were not.
    pub lost: u64,
    /// Events received again, right behind themselves.
    pub repeated: u64,
    /// Events received behind later ones.
    pub out_of_order: u64,
    /// Subscribers that received anything but exactly the log.
    pub subscribers: u64,
}

impl Audience {
    /// Has them subscribe to the stream at `path`; they time what was sent by this stopwatch.
    #[must_use]
    pub fn subscribe(target: &Target, path: &str, seats: Seats, stopwatch: Stopwatch) -> Self {
        let (target, path) = (Arc::new(target.clone()), Arc::<str>::from(path));
        let window = Arc::new(SendWindow::default());
        let latencies = Arc::new(Mutex::new(Latencies::default()));
        let mut streams = JoinSet::new();
        let mut receipts = Vec::new();
        for number in 0..seats.count {
            let timing = number.is_multiple_of(seats.timed_every).then(|| Arc::clone(&latencies));
            let received = Arc::new(Mutex::new(Received::nothing(timing)));
            receipts.push(Arc::clone(&received));
            let (target, path, window) = (Arc::clone(&target), Arc::clone(&path), Arc::clone(&window));
            streams.spawn(async move { subscribe(&target, &path, stopwatch, &window, &received).await });
        }
        Self { stopwatch, window, latencies, receipts, _streams: streams }
    }

    /// From now on what is sent is timed.
    pub fn open_window(&self) {
        self.window.open(self.stopwatch.elapsed_us());
    }

    /// From now on what is sent is not timed any more.
    pub fn close_window(&self) {
        self.window.close(self.stopwatch.elapsed_us());
    }

    /// Events received so far, by all together.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.receipts().map(|received| received.ids.count).sum()
    }

    /// Waits until `condition` holds for every subscriber, or the stream of one has ended.
    pub async fn wait_until(
        &self,
        phase: &'static str,
        deadline: Duration,
        onlooker: &dyn Onlooker,
        condition: impl Fn(&Received) -> bool,
    ) -> Waited {
        let stopwatch = Stopwatch::start();
        loop {
            let (mut done, mut failed) = (0, 0);
            for received in self.receipts() {
                failed += u64::from(received.failure.is_some());
                done += u64::from(condition(&received));
            }
            let elapsed = stopwatch.elapsed();
            onlooker.show(&Progress { phase, elapsed, duration: deadline, done, failed });
            if failed > 0 {
                return Waited::Ended;
            }
            if done == self.receipts.len() as u64 {
                return Waited::All;
            }
            if elapsed > deadline {
                return Waited::TooLong;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// How many subscribers `condition` holds for.
    #[must_use]
    pub fn count(&self, condition: impl Fn(&Received) -> bool) -> u64 {
        self.receipts().filter(|received| condition(received)).count() as u64
    }

    /// How many streams have ended, why, and what the first of them gives as the reason.
    #[must_use]
    pub fn ended(&self) -> (u64, Failures, Option<String>) {
        let (mut count, mut failures, mut sample) = (0, Failures::default(), None);
        for received in self.receipts() {
            if let Some(error) = &received.failure {
                count += 1;
                failures.lose(error);
                sample.get_or_insert_with(|| error.to_string());
            }
        }
        (count, failures, sample)
    }

    /// Closes the streams and gives what each received, and all latencies together.
    #[must_use]
    pub fn dismiss(self) -> (Vec<Received>, Latencies) {
        let receipts = self.receipts().map(|mut received| std::mem::take(&mut *received)).collect();
        let latencies = self.latencies.lock().expect("no holder panics").clone();
        (receipts, latencies)
    }

    fn receipts(&self) -> impl Iterator<Item = MutexGuard<'_, Received>> {
        self.receipts.iter().map(|received| received.lock().expect("no holder panics"))
    }
}

/// Compares what each subscriber received with the log: with all of it up to `last`, the last event that everybody
/// should have, and for a subscriber that received later ones, up to those.
#[must_use]
pub fn differences(receipts: &[Received], log: &[u64], last: u64) -> Differences {
    let prefixes = id_sets(log);
    let mut total = Differences::default();
    for received in receipts {
        let last = last.max(received.ids.last);
        let length = prefixes.partition_point(|prefix| prefix.last <= last);
        let expected = length.checked_sub(1).map_or_else(IdSet::default, |at| prefixes[at]);
        total.lost += expected.count.saturating_sub(received.ids.count);
        total.repeated += received.repeated;
        total.out_of_order += received.out_of_order;
        let is_exact = received.ids == expected && received.repeated == 0 && received.out_of_order == 0;
        total.subscribers += u64::from(!is_exact);
    }
    total
}

/// The set of the first id, of the first two, and so on.
fn id_sets(sequences: &[u64]) -> Vec<IdSet> {
    let grow = |ids: &mut IdSet, sequence: &u64| {
        ids.add(*sequence);
        Some(*ids)
    };
    sequences.iter().scan(IdSet::default(), grow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(ids: &[u64]) -> Received {
        let mut received = Received::default();
        for id in ids {
            received.ids.add(*id);
        }
        received
    }

    #[test]
    fn receipts_are_compared_with_the_log() {
        let log = [3, 5, 9, 12];
        let cases: [(&[u64], u64, u64); 7] = [
            (&[3, 5, 9], 0, 0),
            (&[3, 5, 9, 12], 0, 0),
            (&[3, 9], 1, 1),
            (&[3, 9, 12], 1, 1),
            (&[], 3, 1),
            (&[3, 5, 8], 0, 1),
            (&[3, 4, 5, 9], 0, 1),
        ];
        for (ids, lost, subscribers) in cases {
            let found = differences(&[received(ids)], &log, 9);
            assert_eq!(found, Differences { lost, subscribers, ..Differences::default() }, "{ids:?}");
        }
        let mut doubled = received(&[3, 5, 9]);
        (doubled.repeated, doubled.out_of_order) = (2, 1);
        let found = differences(&[doubled, received(&[3, 5, 9])], &log, 9);
        assert_eq!(found, Differences { lost: 0, repeated: 2, out_of_order: 1, subscribers: 1 });
        assert_eq!(differences(&[received(&[])], &[], 0), Differences::default());
    }
}
