//! Latencies as a histogram: microseconds in, milliseconds out.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest latency told apart; a longer one counts as this.
const MAX_LATENCY_US: u64 = 120_000_000;
/// Decimal digits kept of each value: a quantile is at most a thousandth above the truth.
const SIGNIFICANT_DIGITS: u8 = 3;

/// A set of latencies. The shortest, the longest and the mean are exact.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
    min_us: u64,
    max_us: u64,
    sum_us: u64,
}

/// A set of latencies in a report; all but the count are missing in an empty one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How many there are.
    pub count: u64,
    /// The shortest.
    pub min_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
    /// The mean.
    pub avg_ms: Option<f64>,
    /// The median.
    pub p50_ms: Option<f64>,
    /// What nine of ten do not exceed.
    pub p90_ms: Option<f64>,
    /// What 95 of a hundred do not exceed.
    pub p95_ms: Option<f64>,
    /// What 99 of a hundred do not exceed.
    pub p99_ms: Option<f64>,
    /// How many there are up to 1, 2, 4, … ms and above the step before; only steps that have any.
    pub histogram: Vec<Step>,
}

/// A step of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its upper end.
    pub up_to_ms: u64,
    /// How many latencies fall into it.
    pub count: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, MAX_LATENCY_US, SIGNIFICANT_DIGITS)
            .expect("the bounds and digits are in the library's range");
        Self { histogram, min_us: u64::MAX, max_us: 0, sum_us: 0 }
    }
}

impl Latencies {
    /// Adds one latency, in microseconds.
    pub fn record_us(&mut self, latency_us: u64) {
        self.histogram.saturating_record(latency_us.max(1));
        self.min_us = self.min_us.min(latency_us);
        self.max_us = self.max_us.max(latency_us);
        self.sum_us = self.sum_us.saturating_add(latency_us);
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all sets have the same bounds");
        self.min_us = self.min_us.min(other.min_us);
        self.max_us = self.max_us.max(other.max_us);
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that the share `quantile` (0 to 1) does not exceed, in milliseconds: of `n` in order that at place
    /// `⌈quantile · n⌉`.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        let bounds = self.min_us.min(self.max_us)..=self.max_us;
        self.histogram.value_at_quantile(quantile).clamp(*bounds.start(), *bounds.end()) as f64 / 1e3
    }

    /// The mean, in milliseconds.
    #[must_use]
    pub fn mean_ms(&self) -> f64 {
        self.sum_us as f64 / self.count().max(1) as f64 / 1e3
    }

    /// The longest, in milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> f64 {
        self.max_us as f64 / 1e3
    }

    /// What a report says of them.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let count = self.count();
        if count == 0 {
            return Summary::default();
        }
        let quantile = |quantile| Some(self.quantile_ms(quantile));
        Summary {
            count,
            min_ms: Some(self.min_us as f64 / 1e3),
            max_ms: Some(self.max_ms()),
            avg_ms: Some((self.mean_ms() * 1e3).round() / 1e3),
            p50_ms: quantile(0.50),
            p90_ms: quantile(0.90),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            histogram: self.steps(),
        }
    }

    fn steps(&self) -> Vec<Step> {
        let (mut steps, mut up_to_ms, mut counted) = (Vec::new(), 1, 0);
        while counted < self.count() {
            // What is longer than can be told apart belongs to the last step.
            let up_to_us = if up_to_ms * 1000 >= MAX_LATENCY_US { u64::MAX } else { up_to_ms * 1000 };
            let below = self.histogram.count_between(0, up_to_us);
            if below > counted {
                steps.push(Step { up_to_ms, count: below - counted });
                counted = below;
            }
            up_to_ms *= 2;
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(latencies_ms: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        latencies_ms.into_iter().for_each(|ms| latencies.record_us(ms * 1000));
        latencies
    }

    /// The place of the quantile `p` of `n` is `⌈p · n⌉`; the value is off by a thousandth at most.
    #[test]
    fn quantiles_are_those_of_the_sorted_latencies() {
        let hundred: Vec<u64> = (1..=100).rev().collect();
        let cases: [(&[u64], f64, f64); 9] = [
            (&hundred, 0.50, 50.0),
            (&hundred, 0.95, 95.0),
            (&hundred, 0.99, 99.0),
            (&hundred, 1.0, 100.0),
            (&hundred, 0.0, 1.0),
            (&[7], 0.5, 7.0),
            (&[7], 0.99, 7.0),
            (&[10, 20], 0.5, 10.0),
            (&[10, 20], 0.51, 20.0),
        ];
        for (latencies, quantile, expected) in cases {
            let actual = of(latencies.iter().copied()).quantile_ms(quantile);
            assert!((actual - expected).abs() <= expected / 1000.0, "{quantile}: {actual}, not {expected}");
        }
    }

    #[test]
    fn a_summary_says_what_was_recorded() {
        let summary = of([1, 2, 3, 1000]).summary();
        let exact = (summary.count, summary.min_ms, summary.max_ms, summary.avg_ms);
        assert_eq!(exact, (4, Some(1.0), Some(1000.0), Some(251.5)));
        let steps: Vec<_> = summary.histogram.iter().map(|step| (step.up_to_ms, step.count)).collect();
        assert_eq!(steps, [(1, 1), (2, 1), (4, 1), (1024, 1)]);
        assert_eq!(Latencies::default().summary(), Summary::default());
        let counted: u64 = of([0, 150_000]).summary().histogram.iter().map(|step| step.count).sum();
        assert_eq!(counted, 2);
    }

    #[test]
    fn sets_add_up() {
        let mut one = of([5]);
        one.merge(&of([1, 9]));
        one.merge(&Latencies::default());
        assert_eq!(one.summary(), of([1, 5, 9]).summary());
    }
}
