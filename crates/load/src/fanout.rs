//! The fan-out mode: what is said in a room, to many subscribers, none of whom may miss anything.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use url::form_urlencoded;

use crate::audience::{Audience, Seats, Waited, differences};
use crate::connection::Connection;
use crate::http::ProtocolError;
use crate::progress::Onlooker;
use crate::report::Effort;
use crate::room_log::read_from;
use crate::script::TimedSayScript;
use crate::speech::{Speech, Wishes};
use crate::stopwatch::Stopwatch;
use crate::target::Target;

mod report;

use report::{Comparison, Outcome};
pub use report::{Deliveries, FanoutConfig, FanoutReport};

/// Who says what to whom, who listens where, and what is good enough.
#[derive(Clone, Debug)]
pub struct Fanout {
    /// How says are sent, each connection as an actor of its own.
    pub speech: Speech,
    /// Where the streams are: the API or a realtime service.
    pub stream_target: Target,
    /// The stream there; tenant, room and cursor are added.
    pub stream_path: String,
    /// The tenant.
    pub tenant: String,
    /// The room.
    pub room: String,
    /// Runs with other seeds use other idempotency keys.
    pub seed: u64,
    /// How many listen.
    pub subscribers: usize,
    /// How long it may take until all streams are ready, until all have received the last event, and until the log
    /// is read.
    pub settle_timeout: Duration,
    /// What is good enough, beside that nothing may be lost, repeated or out of order.
    pub wishes: Wishes,
}

#[derive(Deserialize)]
struct Bootstrap {
    data: Head,
}

#[derive(Deserialize)]
struct Head {
    cursor: u64,
}

impl Fanout {
    /// Subscribes, speaks, compares, and judges what comes of it.
    ///
    /// # Errors
    /// When there is no server, or it refuses to tell where its log stands.
    pub async fn run(&self, onlooker: &dyn Onlooker) -> Result<FanoutReport> {
        let head = self.head().await.with_context(|| format!("{} cannot be used", self.speech.target))?;
        let effort = Effort::start(self.speech.threads);
        let stopwatch = Stopwatch::start();
        let seats = Seats { count: self.subscribers, timed_every: 1 };
        let path = self.path_from(head);
        let audience = Audience::subscribe(&self.stream_target, &path, seats, stopwatch);
        let waited =
            audience.wait_until("subscribing", self.settle_timeout, onlooker, |each| each.is_ready).await;
        let ready = audience.count(|each| each.is_ready);
        let mut outcome = Outcome { ready, ..Outcome::default() };
        // Without an audience there is nothing to learn from speaking.
        if waited == Waited::All {
            self.speak(&audience, stopwatch, onlooker, &mut outcome).await?;
        }
        self.compare(audience, head, onlooker, &mut outcome).await;
        Ok(FanoutReport::of(self, outcome, effort.so_far()))
    }

    /// Says what is to be delivered.
    async fn speak(
        &self,
        audience: &Audience,
        stopwatch: Stopwatch,
        onlooker: &dyn Onlooker,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let speaking = Stopwatch::start();
        let Speech { target, connections, duration, request_timeout, .. } = &self.speech;
        let scripts = TimedSayScript::for_actors(target, &self.tenant, &self.room, self.seed, *connections);
        audience.open_window();
        let run = self.speech.begin(scripts, stopwatch, true);
        run.watch("saying", *duration, onlooker).await;
        run.control().finish();
        outcome.delivered_meanwhile = audience.delivered();
        outcome.spoke = speaking.elapsed();
        outcome.says = run.drain(*request_timeout).await?;
        Ok(())
    }

    /// Waits until everybody has received what was said, and compares what they received with the log.
    async fn compare(&self, audience: Audience, head: u64, onlooker: &dyn Onlooker, outcome: &mut Outcome) {
        let log = self.log_from(head).await;
        let last = log.as_ref().ok().and_then(|log| log.last().copied()).unwrap_or(0);
        audience
            .wait_until("receiving the last events", self.settle_timeout, onlooker, |each| {
                each.ids.last >= last
            })
            .await;
        outcome.ended = audience.ended();
        outcome.delivered = audience.delivered();
        let (receipts, latencies) = audience.dismiss();
        outcome.latencies = latencies;
        let whole = match log {
            Ok(mut log) => self.log_from(last.max(head)).await.map(|more| {
                log.extend(more);
                log
            }),
            Err(error) => Err(error),
        };
        outcome.comparison = Some(whole.map(|log| {
            let is_missing = |sequence: &&u64| log.binary_search(sequence).is_err();
            Comparison {
                differences: differences(&receipts, &log, last),
                logged: log.len() as u64,
                accepted_but_not_logged: outcome.says.sequences.iter().filter(is_missing).count() as u64,
            }
        }));
    }

    /// The room's events behind this one.
    async fn log_from(&self, cursor: u64) -> Result<Vec<u64>> {
        let query = self.query();
        let reading = read_from(&self.speech.target, &query, cursor);
        tokio::time::timeout(self.settle_timeout, reading).await.context("the log cannot be read in time")?
    }

    /// Tenant and room, as they stand in queries.
    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("tenantId", &self.tenant).append_pair("roomId", &self.room);
        query.finish()
    }

    fn path_from(&self, cursor: u64) -> String {
        let separator = if self.stream_path.contains('?') { '&' } else { '?' };
        format!("{}{separator}{}&cursor={cursor}", self.stream_path, self.query())
    }

    /// Where the log stands, of which only what comes now counts.
    async fn head(&self) -> Result<u64> {
        let request = self.speech.target.get(&format!("/v1/bootstrap?{}", self.query()));
        let answered = tokio::time::timeout(self.speech.request_timeout, async {
            let mut connection = Connection::open(&self.speech.target).await?;
            connection.exchange(&request).await?;
            Ok::<_, ProtocolError>(connection)
        });
        let connection = answered.await.unwrap_or(Err(ProtocolError::TimedOut))?;
        let response = connection.response();
        let hint = match response.status {
            401 if self.speech.target.has_key() => ": the key in LOAD_API_KEY is not the server's",
            401 => ": set LOAD_API_KEY",
            429 => ": its rate limit (API_RATE_LIMIT_PER_MIN) does not let this in",
            _ => "",
        };
        ensure!(response.status == 200, "it answers with status {}{hint}", response.status);
        let bootstrap: Bootstrap = serde_json::from_slice(response.body).context("it is no AgentCafe API")?;
        Ok(bootstrap.data.cursor)
    }
}
