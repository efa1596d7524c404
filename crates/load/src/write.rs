//! The write mode: how many commands a server accepts, and how fast.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::control::Control;
use crate::notes::Notes;
use crate::play::{LatencyEnds, Manner};
use crate::progress::Onlooker;
use crate::report::{Check, Effort, Generator, Requests, Verdict, per_second, whole_ms};
use crate::run::Run;
use crate::script::{Crowd, SayScript};
use crate::stopwatch::Stopwatch;
use crate::target::Target;

/// Who says what to whom, and what is good enough.
#[derive(Clone, Debug)]
pub struct Writes {
    /// The API.
    pub target: Target,
    /// Who speaks where.
    pub crowd: Crowd,
    /// On how many connections.
    pub connections: u64,
    /// How many a second, all together; as many as are answered if missing.
    pub rate: Option<f64>,
    /// For how long.
    pub duration: Duration,
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// What is good enough.
    pub objectives: WriteObjectives,
    /// The threads this process loads with.
    pub threads: usize,
}

/// What is good enough.
#[derive(Clone, Copy, Debug)]
pub struct WriteObjectives {
    /// The share of commands that may fail.
    pub error_rate_max: f64,
    /// 99 % of commands, in milliseconds, if that is asked.
    pub p99_ms: Option<f64>,
    /// Accepted commands a second, if that is asked.
    pub per_second: Option<f64>,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct WriteReport {
    /// What was asked.
    pub config: WriteConfig,
    /// The commands.
    pub write: Commands,
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
pub struct WriteConfig {
    pub target_url: String,
    pub tenant_id: String,
    pub room_id_prefix: String,
    pub rooms: u64,
    pub actors: u64,
    pub connections: u64,
    pub rate: Option<f64>,
    pub duration_ms: u64,
    pub timeout_ms: u64,
}

/// Commands in a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Commands {
    /// As requests.
    #[serde(flatten)]
    pub requests: Requests,
    /// Accepted commands a second.
    pub per_second: f64,
}

impl Writes {
    /// Speaks, and judges what comes of it.
    ///
    /// # Errors
    /// When there is no server, or requests stay unanswered beyond their deadlines.
    pub async fn run(&self, onlooker: &dyn Onlooker) -> Result<WriteReport> {
        let reached = tokio::time::timeout(self.request_timeout, self.target.connect()).await;
        let reached = reached.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        drop(reached.with_context(|| format!("{} cannot be reached", self.target))?);
        let effort = Effort::start(self.threads);
        let stopwatch = Stopwatch::start();
        let mut control = Control::until_stopped();
        if let Some(rate) = self.rate {
            control = control.paced(rate, stopwatch);
        }
        control.measure();
        let manner = Manner {
            request_timeout: self.request_timeout,
            reconnects: true,
            latency_ends: LatencyEnds::WithBody,
            collects_sequences: false,
        };
        let scripts = SayScript::for_connections(&self.target, &self.crowd, self.connections);
        let run = Run::start(&self.target, control, stopwatch, manner, scripts);
        run.watch("saying", self.duration, onlooker).await;
        run.control().finish();
        let elapsed = stopwatch.elapsed();
        let tally = run.drain(self.request_timeout).await?;
        let generator = effort.so_far();
        let mut notes = Notes::default();
        notes.explain("commands", &tally.failures, self.target.has_key());
        notes.explain_effort(generator);
        let write =
            Commands { requests: Requests::of(&tally), per_second: per_second(tally.completed, elapsed) };
        let gate = self.objectives.judge(&write);
        Ok(WriteReport { config: self.config(), write, gate, generator, notes: notes.into_sentences() })
    }

    fn config(&self) -> WriteConfig {
        WriteConfig {
            target_url: self.target.to_string(),
            tenant_id: self.crowd.tenant.clone(),
            room_id_prefix: format!("{}-", self.crowd.room),
            rooms: self.crowd.rooms,
            actors: self.crowd.actors,
            connections: self.connections,
            rate: self.rate,
            duration_ms: whole_ms(self.duration),
            timeout_ms: whole_ms(self.request_timeout),
        }
    }
}

impl WriteObjectives {
    /// Whether what was seen is good enough.
    #[must_use]
    pub fn judge(&self, write: &Commands) -> Verdict {
        let requests = &write.requests;
        let mut checks =
            vec![Check::at_most("write_error_rate", Some(requests.error_rate), self.error_rate_max)];
        if let Some(p99_ms) = self.p99_ms {
            checks.push(Check::at_most("write_p99", requests.latencies.p99_ms, p99_ms));
        }
        if let Some(wanted) = self.per_second {
            checks.push(Check::at_least("writes_per_second", Some(write.per_second), wanted));
        }
        Verdict::of(checks)
    }
}
