//! The gate: is the server, as it is now, fast and sound enough? Reads and streams only; nothing is written.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::control::Control;
use crate::http::ProtocolError;
use crate::latency::Summary;
use crate::notes::{Notes, STREAMS};
use crate::play::{LatencyEnds, Manner};
use crate::progress::{Onlooker, Progress};
use crate::report::{Check, Effort, Generator, Kinds, Requests, Verdict, share, whole_ms};
use crate::run::Run;
use crate::script::AlternatingScript;
use crate::stopwatch::Stopwatch;
use crate::subscriber::wait_until_ready;
use crate::tally::Tally;
use crate::target::{Target, shown_path};

/// What is asked, of whom, and what is good enough.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The API.
    pub target: Target,
    /// Where streams are.
    pub stream_target: Target,
    /// What is asked first.
    pub api_path: String,
    /// What is asked in turn with it.
    pub api_path_alt: String,
    /// The stream.
    pub stream_path: String,
    /// How long the API is asked.
    pub duration: Duration,
    /// By how many at once.
    pub concurrency: usize,
    /// How often before, one after the other.
    pub warmup_requests: u64,
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// How many streams are opened at once.
    pub stream_fanout: usize,
    /// How long a stream may take until it is ready.
    pub stream_timeout: Duration,
    /// What is good enough.
    pub objectives: Objectives,
    /// The threads this process loads with.
    pub threads: usize,
}

/// What is good enough.
#[derive(Clone, Copy, Debug)]
pub struct Objectives {
    /// 95 % of requests, in milliseconds.
    pub api_p95_ms: f64,
    /// 99 % of requests, in milliseconds.
    pub api_p99_ms: f64,
    /// The share of requests that may fail.
    pub api_error_rate_max: f64,
    /// 95 % of streams, in milliseconds.
    pub stream_ready_p95_ms: f64,
    /// The share of streams that must succeed.
    pub stream_success_rate_min: f64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct GateReport {
    /// What was asked.
    pub config: GateConfig,
    /// The requests.
    pub api: Requests,
    /// The streams.
    pub stream: Streams,
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
#[expect(missing_docs, reason = "the settings that they are named after are explained where they are read")]
pub struct GateConfig {
    pub target_url: String,
    pub stream_url: String,
    pub duration_ms: u64,
    pub concurrency: usize,
    pub warmup_requests: u64,
    pub timeout_ms: u64,
    pub stream_fanout: usize,
    pub stream_timeout_ms: u64,
    pub stream_path: String,
    pub api_path: String,
    pub api_path_alt: String,
    pub slo_api_p95_ms: f64,
    pub slo_api_p99_ms: f64,
    pub slo_api_error_rate_max: f64,
    pub slo_stream_ready_p95_ms: f64,
    pub slo_stream_success_rate_min: f64,
}

/// Streams in a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Streams {
    /// From connecting until `ready`, of those that were.
    #[serde(flatten)]
    pub latencies: Summary,
    /// How many there were.
    pub total: u64,
    /// How many of them were never ready.
    pub errors: u64,
    /// The share of the others; 0 if there was nothing.
    pub success_rate: f64,
    /// How they failed.
    #[serde(flatten)]
    pub kinds: Kinds,
}

impl Gate {
    /// Asks, and judges what comes of it.
    ///
    /// # Errors
    /// When there is no server.
    pub async fn run(&self, onlooker: &dyn Onlooker) -> Result<GateReport> {
        self.warm_up(onlooker).await.with_context(|| format!("{} cannot be reached", self.target))?;
        let effort = Effort::start(self.threads);
        let api = self.ask(onlooker).await?;
        let streams = self.open_streams(onlooker).await;
        let generator = effort.so_far();
        let mut notes = Notes::default();
        notes.explain("requests", &api.failures, self.target.has_key());
        notes.explain(STREAMS, &streams.failures, self.stream_target.has_key());
        notes.explain_effort(generator);
        let (api, stream) = (Requests::of(&api), Streams::of(&streams));
        let gate = self.objectives.judge(&api, &stream);
        if !gate.pass && api.kinds.rate_limited + stream.kinds.rate_limited > 0 {
            notes.add(self.objectives.judge_but_for_the_rate_limit(&api, &stream));
        }
        Ok(GateReport { config: self.config(), gate, api, stream, generator, notes: notes.into_sentences() })
    }

    async fn warm_up(&self, onlooker: &dyn Onlooker) -> Result<(), ProtocolError> {
        let stopwatch = Stopwatch::start();
        let request = self.target.get(&self.api_path);
        let mut kept: Option<Connection> = None;
        for done in 0..self.warmup_requests {
            let (elapsed, duration) = (stopwatch.elapsed(), self.request_timeout);
            onlooker.show(&Progress { phase: "warming up", elapsed, duration, done, failed: 0 });
            let answered = tokio::time::timeout(self.request_timeout, async {
                let mut connection = match kept.take() {
                    Some(connection) => connection,
                    None => Connection::open(&self.target).await?,
                };
                connection.exchange(&request).await?;
                Ok::<_, ProtocolError>(connection)
            });
            let connection = answered.await.unwrap_or(Err(ProtocolError::TimedOut))?;
            kept = connection.stays().then_some(connection);
        }
        Ok(())
    }

    async fn ask(&self, onlooker: &dyn Onlooker) -> Result<Tally> {
        let script = AlternatingScript::of_gets(&self.target, &[&self.api_path, &self.api_path_alt]);
        let manner = Manner {
            request_timeout: self.request_timeout,
            reconnects: true,
            latency_ends: LatencyEnds::WithHead,
            collects_sequences: false,
        };
        let control = Control::until_stopped();
        control.measure();
        let scripts = vec![script; self.concurrency];
        let run = Run::start(&self.target, control, Stopwatch::start(), manner, scripts);
        run.watch("asking the API", self.duration, onlooker).await;
        run.drain(self.request_timeout).await
    }

    async fn open_streams(&self, onlooker: &dyn Onlooker) -> Tally {
        let stopwatch = Stopwatch::start();
        let mut streams = JoinSet::new();
        for _ in 0..self.stream_fanout {
            let (target, path, timeout) =
                (self.stream_target.clone(), self.stream_path.clone(), self.stream_timeout);
            streams.spawn(async move {
                let begun_us = stopwatch.elapsed_us();
                let ready = tokio::time::timeout(timeout, wait_until_ready(&target, &path)).await;
                (ready.unwrap_or(Err(ProtocolError::TimedOut)), stopwatch.elapsed_us() - begun_us)
            });
        }
        let mut tally = Tally::default();
        while let Some(joined) = streams.join_next().await {
            match joined.expect("waiting for a stream does not panic") {
                (Ok(()), latency_us) => {
                    tally.completed += 1;
                    tally.latencies.record_us(latency_us);
                }
                (Err(error), latency_us) => tally.lose(&error, latency_us),
            }
            onlooker.show(&Progress {
                phase: "opening streams",
                elapsed: stopwatch.elapsed(),
                duration: self.stream_timeout,
                done: tally.completed,
                failed: tally.failed,
            });
        }
        tally
    }

    fn config(&self) -> GateConfig {
        GateConfig {
            target_url: self.target.to_string(),
            stream_url: self.stream_target.to_string(),
            duration_ms: whole_ms(self.duration),
            concurrency: self.concurrency,
            warmup_requests: self.warmup_requests,
            timeout_ms: whole_ms(self.request_timeout),
            stream_fanout: self.stream_fanout,
            stream_timeout_ms: whole_ms(self.stream_timeout),
            stream_path: shown_path(&self.stream_path),
            api_path: shown_path(&self.api_path),
            api_path_alt: shown_path(&self.api_path_alt),
            slo_api_p95_ms: self.objectives.api_p95_ms,
            slo_api_p99_ms: self.objectives.api_p99_ms,
            slo_api_error_rate_max: self.objectives.api_error_rate_max,
            slo_stream_ready_p95_ms: self.objectives.stream_ready_p95_ms,
            slo_stream_success_rate_min: self.objectives.stream_success_rate_min,
        }
    }
}

impl Streams {
    /// What came of the streams.
    #[must_use]
    pub fn of(tally: &Tally) -> Self {
        let total = tally.completed + tally.failed;
        Self {
            latencies: tally.latencies.summary(),
            total,
            errors: tally.failed,
            success_rate: share(tally.completed, total, 0.0),
            kinds: Kinds::of(&tally.failures, tally.failure_sample.clone()),
        }
    }
}

impl Objectives {
    /// Whether what was seen is good enough.
    #[must_use]
    pub fn judge(&self, api: &Requests, stream: &Streams) -> Verdict {
        let ready = stream.latencies.p95_ms;
        Verdict::of(vec![
            Check::at_most("api_p95", api.latencies.p95_ms, self.api_p95_ms),
            Check::at_most("api_p99", api.latencies.p99_ms, self.api_p99_ms),
            Check::at_most("api_error_rate", Some(api.error_rate), self.api_error_rate_max),
            Check::at_most("stream_ready_p95", ready, self.stream_ready_p95_ms),
            Check::at_least("stream_success_rate", Some(stream.success_rate), self.stream_success_rate_min),
        ])
    }

    /// What the verdict would be without what the rate limit refused, in words.
    fn judge_but_for_the_rate_limit(&self, api: &Requests, stream: &Streams) -> String {
        let (mut api, mut stream) = (api.clone(), stream.clone());
        api.errors -= api.kinds.rate_limited;
        api.error_rate = share(api.errors, api.total - api.kinds.rate_limited, 1.0);
        stream.errors -= stream.kinds.rate_limited;
        let total = stream.total - stream.kinds.rate_limited;
        stream.success_rate = share(total - stream.errors, total, 0.0);
        let verdict = self.judge(&api, &stream);
        if verdict.pass {
            return "but for its rate limit, the server is good enough".to_owned();
        }
        format!(
            "but for its rate limit, the server is not good enough either: {}",
            verdict.failed().join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTIVES: Objectives = Objectives {
        api_p95_ms: 200.0,
        api_p99_ms: 500.0,
        api_error_rate_max: 0.01,
        stream_ready_p95_ms: 1200.0,
        stream_success_rate_min: 0.98,
    };

    fn tally(latencies_ms: &[u64], failed: u64) -> Tally {
        let mut tally = Tally { completed: latencies_ms.len() as u64, ..Tally::default() };
        latencies_ms.iter().for_each(|ms| tally.latencies.record_us(ms * 1000));
        (0..failed).for_each(|_| tally.lose(&ProtocolError::TimedOut, 5_000_000));
        tally
    }

    #[test]
    fn the_rate_limit_is_told_from_the_server() {
        let limited = |mut tally: Tally| {
            let wire = b"HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n";
            let head = crate::http::parse_head(wire).unwrap().unwrap();
            (0..50).for_each(|_| tally.refuse(head, b"", 1));
            tally
        };
        let cases = [
            (limited(tally(&[10; 100], 1)), limited(tally(&[10; 50], 1)), "the server is good enough"),
            (limited(tally(&[10; 9], 1)), tally(&[10; 50], 0), "not good enough either: api_error_rate"),
            (limited(tally(&[], 0)), tally(&[10; 50], 0), "either: api_p95, api_p99, api_error_rate"),
        ];
        for (api, stream, expected) in cases {
            let (api, stream) = (Requests::of(&api), Streams::of(&stream));
            assert!(!OBJECTIVES.judge(&api, &stream).pass);
            let note = OBJECTIVES.judge_but_for_the_rate_limit(&api, &stream);
            assert!(note.ends_with(expected), "{note}");
        }
    }

    #[test]
    fn the_gate_names_what_is_not_good_enough() {
        let fast = vec![10; 100];
        let slow_tail = [vec![10; 98], vec![600; 2]].concat();
        let cases: [(Tally, Tally, &[&str]); 6] = [
            (tally(&fast, 0), tally(&fast, 0), &[]),
            (tally(&fast, 1), tally(&fast, 2), &[]),
            (tally(&fast, 2), tally(&fast, 3), &["api_error_rate", "stream_success_rate"]),
            (tally(&slow_tail, 0), tally(&fast, 0), &["api_p99"]),
            (tally(&[300; 10], 0), tally(&[1300; 10], 0), &["api_p95", "stream_ready_p95"]),
            (
                tally(&[], 0),
                tally(&[], 0),
                &["api_p95", "api_p99", "api_error_rate", "stream_ready_p95", "stream_success_rate"],
            ),
        ];
        for (api, stream, failed) in cases {
            let verdict = OBJECTIVES.judge(&Requests::of(&api), &Streams::of(&stream));
            assert_eq!(verdict.failed(), failed);
            assert_eq!(verdict.pass, failed.is_empty());
        }
    }
}
