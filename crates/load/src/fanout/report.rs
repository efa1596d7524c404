//! What a fan-out came to.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::Fanout;
use crate::audience::Differences;
use crate::latency::{Latencies, Summary};
use crate::notes::{Notes, STREAMS};
use crate::report::{Check, Generator, Kinds, Requests, Verdict, per_second, whole_ms};
use crate::speech::Wishes;
use crate::tally::{Failures, Tally};
use crate::target::shown_path;
use crate::write::Commands;

/// What is there once everybody has gone home.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) says: Tally,
    pub(super) spoke: Duration,
    pub(super) ready: u64,
    pub(super) delivered: u64,
    pub(super) delivered_meanwhile: u64,
    pub(super) ended: (u64, Failures, Option<String>),
    pub(super) latencies: Latencies,
    /// Or why the log could not be read.
    pub(super) comparison: Option<Result<Comparison>>,
}

/// What comparing with the log gave.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) differences: Differences,
    pub(super) logged: u64,
    pub(super) accepted_but_not_logged: u64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct FanoutReport {
    /// What was asked.
    pub config: FanoutConfig,
    /// The says.
    pub write: Commands,
    /// What was delivered of them.
    pub fanout: Deliveries,
    /// Whether it is good enough.
    pub gate: Verdict,
    /// What it cost to ask.
    pub generator: Generator,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What was asked, in a report.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the options that they are named after are explained where they are read")]
pub struct FanoutConfig {
    pub target_url: String,
    pub stream_url: String,
    pub stream_path: String,
    pub tenant_id: String,
    pub room_id: String,
    pub subscribers: usize,
    pub connections: u64,
    pub rate: Option<f64>,
    pub duration_ms: u64,
    pub timeout_ms: u64,
    pub settle_timeout_ms: u64,
}

/// What subscribers received, in a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deliveries {
    /// From just before a say was sent until a subscriber had its event.
    #[serde(flatten)]
    pub latencies: Summary,
    /// Subscribers whose stream was ready.
    pub ready: u64,
    /// Subscribers whose stream ended before the end.
    pub ended: u64,
    /// How their streams ended.
    #[serde(flatten)]
    pub kinds: Kinds,
    /// Events received by all together.
    pub delivered: u64,
    /// The same a second, while there were says.
    pub per_second: f64,
    /// Events of the room in the log, that everybody should have received; none if the log could not be read.
    pub logged: Option<u64>,
    /// Deliveries that did not happen.
    pub lost: Option<u64>,
    /// Deliveries that happened again.
    pub repeated: Option<u64>,
    /// Deliveries behind that of a later event.
    pub out_of_order: Option<u64>,
    /// Subscribers that received anything but exactly the log.
    pub subscribers_with_another_log: Option<u64>,
    /// Says that were answered as accepted and are not in the log.
    pub accepted_but_not_logged: Option<u64>,
}

impl FanoutReport {
    pub(super) fn of(fanout: &Fanout, outcome: Outcome, generator: Generator) -> Self {
        let (ended, failures, first_failure) = &outcome.ended;
        let mut notes = Notes::default();
        notes.explain("says", &outcome.says.failures, fanout.speech.target.has_key());
        notes.explain(STREAMS, failures, fanout.stream_target.has_key());
        notes.explain_effort(generator);
        if let Some(Err(error)) = &outcome.comparison {
            notes.add(format!("what was delivered could not be compared with the log: {error:#}"));
        }
        let comparison = outcome.comparison.as_ref().and_then(|comparison| comparison.as_ref().ok());
        let differences = comparison.map(|comparison| comparison.differences);
        let write = Commands {
            requests: Requests::of(&outcome.says),
            per_second: per_second(outcome.says.completed, outcome.spoke),
        };
        let deliveries = Deliveries {
            latencies: outcome.latencies.summary(),
            ready: outcome.ready,
            ended: *ended,
            kinds: Kinds::of(failures, first_failure.clone()),
            delivered: outcome.delivered,
            per_second: per_second(outcome.delivered_meanwhile, outcome.spoke),
            logged: comparison.map(|comparison| comparison.logged),
            lost: differences.map(|differences| differences.lost),
            repeated: differences.map(|differences| differences.repeated),
            out_of_order: differences.map(|differences| differences.out_of_order),
            subscribers_with_another_log: differences.map(|differences| differences.subscribers),
            accepted_but_not_logged: comparison.map(|comparison| comparison.accepted_but_not_logged),
        };
        let gate = fanout.wishes.judge_deliveries(fanout.subscribers, &write, &deliveries);
        Self {
            config: FanoutConfig::of(fanout),
            write,
            fanout: deliveries,
            gate,
            generator,
            notes: notes.into_sentences(),
        }
    }
}

impl FanoutConfig {
    fn of(fanout: &Fanout) -> Self {
        Self {
            target_url: fanout.speech.target.to_string(),
            stream_url: fanout.stream_target.to_string(),
            stream_path: shown_path(&fanout.stream_path),
            tenant_id: fanout.tenant.clone(),
            room_id: fanout.room.clone(),
            subscribers: fanout.subscribers,
            connections: fanout.speech.connections,
            rate: fanout.speech.rate,
            duration_ms: whole_ms(fanout.speech.duration),
            timeout_ms: whole_ms(fanout.speech.request_timeout),
            settle_timeout_ms: whole_ms(fanout.settle_timeout),
        }
    }
}

impl Wishes {
    /// Whether what was delivered is good enough.
    #[must_use]
    pub fn judge_deliveries(&self, subscribers: usize, write: &Commands, deliveries: &Deliveries) -> Verdict {
        let none = |name, count: Option<u64>| Check::at_most(name, count.map(|count| count as f64), 0.0);
        let requests = &write.requests;
        let error_rate = (requests.total > 0).then_some(requests.error_rate);
        let mut checks = vec![
            Check::at_least("subscribers_ready", Some(deliveries.ready as f64), subscribers as f64),
            none("streams_ended", Some(deliveries.ended)),
            Check::at_most("write_error_rate", error_rate, self.error_rate_max),
            none("events_lost", deliveries.lost),
            none("events_repeated", deliveries.repeated),
            none("events_out_of_order", deliveries.out_of_order),
            none("subscribers_with_another_log", deliveries.subscribers_with_another_log),
            none("accepted_but_not_logged", deliveries.accepted_but_not_logged),
        ];
        if let Some(p99_ms) = self.p99_ms {
            checks.push(Check::at_most("delivery_p99", deliveries.latencies.p99_ms, p99_ms));
        }
        if let Some(wanted) = self.per_second {
            checks.push(Check::at_least("deliveries_per_second", Some(deliveries.per_second), wanted));
        }
        Verdict::of(checks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISHES: Wishes = Wishes { error_rate_max: 0.01, p99_ms: Some(50.0), per_second: Some(900.0) };

    fn commands(completed: u64) -> Commands {
        let tally = Tally { completed, ..Tally::default() };
        Commands { requests: Requests::of(&tally), per_second: 10.0 }
    }

    fn sound() -> Deliveries {
        let mut latencies = Latencies::default();
        latencies.record_us(40_000);
        Deliveries {
            latencies: latencies.summary(),
            ready: 100,
            ended: 0,
            kinds: Kinds::of(&Failures::default(), None),
            delivered: 1000,
            per_second: 1000.0,
            logged: Some(10),
            lost: Some(0),
            repeated: Some(0),
            out_of_order: Some(0),
            subscribers_with_another_log: Some(0),
            accepted_but_not_logged: Some(0),
        }
    }

    #[test]
    fn one_thing_wrong_is_enough_and_what_is_unknown_is_wrong() {
        let cases: [(Deliveries, u64, &[&str]); 9] = [
            (sound(), 10, &[]),
            (sound(), 0, &["write_error_rate"]),
            (Deliveries { ready: 99, ..sound() }, 10, &["subscribers_ready"]),
            (Deliveries { ended: 1, ..sound() }, 10, &["streams_ended"]),
            (Deliveries { lost: Some(1), ..sound() }, 10, &["events_lost"]),
            (Deliveries { repeated: None, ..sound() }, 10, &["events_repeated"]),
            (Deliveries { accepted_but_not_logged: Some(1), ..sound() }, 10, &["accepted_but_not_logged"]),
            (Deliveries { latencies: Summary::default(), ..sound() }, 10, &["delivery_p99"]),
            (Deliveries { per_second: 899.0, ..sound() }, 10, &["deliveries_per_second"]),
        ];
        for (deliveries, said, failed) in cases {
            let verdict = WISHES.judge_deliveries(100, &commands(said), &deliveries);
            assert_eq!(verdict.failed(), failed);
        }
        let lenient = Wishes { p99_ms: None, per_second: None, ..WISHES };
        let slow = Deliveries { latencies: Summary::default(), per_second: 0.0, ..sound() };
        assert!(lenient.judge_deliveries(100, &commands(10), &slow).pass);
    }
}
