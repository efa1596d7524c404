//! The write mode: how many commands a server accepts, and how fast.

use std::io;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::notes::Notes;
use crate::progress::Onlooker;
use crate::report::{Check, Effort, Generator, Requests, Verdict, per_second, whole_ms};
use crate::script::{Crowd, SayScript};
use crate::speech::{Speech, Wishes};
use crate::stopwatch::Stopwatch;

/// Who says what to whom, and what is good enough.
#[derive(Clone, Debug)]
pub struct Writes {
    /// How.
    pub speech: Speech,
    /// Who speaks where.
    pub crowd: Crowd,
    /// What is good enough.
    pub wishes: Wishes,
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
        let Speech { target, connections, duration, request_timeout, threads, .. } = &self.speech;
        let reached = tokio::time::timeout(*request_timeout, target.connect()).await;
        let reached = reached.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        drop(reached.with_context(|| format!("{target} cannot be reached"))?);
        let effort = Effort::start(*threads);
        let stopwatch = Stopwatch::start();
        let scripts = SayScript::for_connections(target, &self.crowd, *connections);
        let run = self.speech.begin(scripts, stopwatch, false);
        run.watch("saying", *duration, onlooker).await;
        let elapsed = stopwatch.elapsed();
        let tally = run.drain(*request_timeout).await?;
        let generator = effort.so_far();
        let mut notes = Notes::default();
        notes.explain("commands", &tally.failures, target.has_key());
        notes.explain_effort(generator);
        let write =
            Commands { requests: Requests::of(&tally), per_second: per_second(tally.completed, elapsed) };
        let gate = self.wishes.judge_writes(&write);
        Ok(WriteReport { config: self.config(), write, gate, generator, notes: notes.into_sentences() })
    }

    fn config(&self) -> WriteConfig {
        WriteConfig {
            target_url: self.speech.target.to_string(),
            tenant_id: self.crowd.tenant.clone(),
            room_id_prefix: format!("{}-", self.crowd.room),
            rooms: self.crowd.rooms,
            actors: self.crowd.actors,
            connections: self.speech.connections,
            rate: self.speech.rate,
            duration_ms: whole_ms(self.speech.duration),
            timeout_ms: whole_ms(self.speech.request_timeout),
        }
    }
}

impl Wishes {
    /// Whether what was written is good enough.
    #[must_use]
    pub fn judge_writes(&self, write: &Commands) -> Verdict {
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
