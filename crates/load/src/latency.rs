//! Latencies as a histogram: microseconds in, milliseconds out.

use hdrhistogram::Histogram;

/// Longest latency told apart; a longer one counts as this.
const MAX_LATENCY_US: u64 = 120_000_000;
/// Decimal digits kept of each value.
const SIGNIFICANT_DIGITS: u8 = 3;

/// A set of latencies.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, MAX_LATENCY_US, SIGNIFICANT_DIGITS)
            .expect("the bounds and digits are in the library's range");
        Self { histogram }
    }
}

impl Latencies {
    /// Adds one latency, in microseconds.
    pub fn record_us(&mut self, latency_us: u64) {
        self.histogram.saturating_record(latency_us.max(1));
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all sets have the same bounds");
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that the share `quantile` (0 to 1) does not exceed, in milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        self.histogram.value_at_quantile(quantile) as f64 / 1e3
    }

    /// The mean, in milliseconds.
    #[must_use]
    pub fn mean_ms(&self) -> f64 {
        self.histogram.mean() / 1e3
    }

    /// The longest, in milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> f64 {
        self.histogram.max() as f64 / 1e3
    }
}
