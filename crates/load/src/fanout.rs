//! The fan-out mode: what is said in a room must reach many subscribers completely, once, in order, and fast.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Value;
use url::form_urlencoded;

use crate::connection::Connection;
use crate::event_log::{Differences, read_after};
use crate::http::ProtocolError;
use crate::report::{
    CpuMeter, Diagnostics, GateCheck, GateResult, GeneratorUsage, ProgressObserver, RequestReport, STREAMS,
    per_second, whole_ms,
};
use crate::script::TimedSayScript;
use crate::stats::{FailureCounts, Latencies, LatencySummary, RequestStats, Stopwatch};
use crate::subscriber::{Subscribers, WaitResult};
use crate::target::{Target, shown_path};
use crate::write::{CommandReport, SayLoad, Thresholds};

/// Settings of the fan-out mode.
#[derive(Clone, Debug)]
pub struct FanoutTest {
    /// How to send; each connection is an actor of its own.
    pub load: SayLoad,
    /// The server of the streams: the API or a realtime service.
    pub stream_target: Target,
    /// Path of the stream; tenant, room and cursor are added.
    pub stream_path: String,
    /// The tenant.
    pub tenant: String,
    /// The room.
    pub room: String,
    /// Other seeds make other idempotency keys.
    pub seed: u64,
    /// Number of subscribers.
    pub subscribers: usize,
    /// Deadline for all streams to be ready, for all subscribers to receive the last event, and for reading the log.
    pub settle_timeout: Duration,
    /// What to check, besides that no event is lost, repeated or out of order.
    pub thresholds: Thresholds,
}

/// Raw results of a run.
#[derive(Debug, Default)]
struct FanoutResults {
    says: RequestStats,
    sending: Duration,
    ready: u64,
    delivered: u64,
    delivered_while_sending: u64,
    ended: u64,
    failures: FailureCounts,
    latencies: Latencies,
    /// Missing if the log could not be read.
    comparison: Option<LogComparison>,
}

/// What the subscribers received, compared with the log.
#[derive(Debug)]
struct LogComparison {
    differences: Differences,
    logged: u64,
    accepted_but_not_logged: u64,
}

/// The report of the fan-out mode.
#[derive(Clone, Debug, Serialize)]
pub struct FanoutReport {
    /// Settings of the run.
    pub config: FanoutConfig,
    /// Results of the says.
    pub write: CommandReport,
    /// Results of their deliveries.
    pub fanout: DeliveryReport,
    /// Results of the checks.
    pub gate: GateResult,
    /// What the load generator used.
    pub generator: GeneratorUsage,
    /// Explanations for the operator.
    pub notes: Vec<String>,
}

/// Settings of the run in its report.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each member repeats the option of the same name")]
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

/// Deliveries in a report. What depends on the log is missing if the log could not be read.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryReport {
    /// From just before a say was sent until a subscriber had read its event.
    #[serde(flatten)]
    pub latencies: LatencySummary,
    /// Subscribers whose stream became ready.
    pub ready: u64,
    /// Subscribers whose stream ended early.
    pub ended: u64,
    /// Why streams ended.
    #[serde(flatten)]
    pub failures: FailureCounts,
    /// Events received by all subscribers together.
    pub delivered: u64,
    /// Events received per second while says were sent.
    pub per_second: f64,
    /// Events of the room in the log, all of which each subscriber must receive.
    pub logged: Option<u64>,
    /// Missing deliveries.
    pub lost: Option<u64>,
    /// Repeated deliveries.
    pub repeated: Option<u64>,
    /// Deliveries after that of a later event.
    pub out_of_order: Option<u64>,
    /// Subscribers that received anything but exactly the log.
    pub subscribers_with_another_log: Option<u64>,
    /// Accepted says that are not in the log.
    pub accepted_but_not_logged: Option<u64>,
}

impl FanoutTest {
    /// Subscribes, sends says, compares what was received with the log, and checks the results.
    ///
    /// # Errors
    /// When the server cannot be reached, or its log's head cannot be read.
    pub async fn run(&self, observer: &dyn ProgressObserver) -> Result<FanoutReport> {
        let target = &self.load.target;
        let head = self.read_head().await.with_context(|| format!("{target} cannot be used"))?;
        let cpu = CpuMeter::start(self.load.threads);
        let stopwatch = Stopwatch::start();
        let path = self.stream_path_after(head);
        let subscribers = Subscribers::subscribe(&self.stream_target, &path, self.subscribers, 1, stopwatch);
        let result =
            subscribers.wait_until("subscribing", self.settle_timeout, observer, |each| each.is_ready).await;
        let ready = subscribers.count(|each| each.is_ready);
        let mut results = FanoutResults { ready, ..FanoutResults::default() };
        // Unless all streams are ready, the gate fails anyway.
        if result == WaitResult::Reached {
            self.send_says(&subscribers, stopwatch, observer, &mut results).await?;
        }
        let mut diagnostics = Diagnostics::default();
        if let Err(error) = self.compare(subscribers, head, observer, &mut results).await {
            diagnostics.add(format!("the deliveries could not be compared with the log: {error:#}"));
        }
        let generator = cpu.usage();
        diagnostics.explain_failures("says", &results.says.failures, target.has_key());
        diagnostics.explain_failures(STREAMS, &results.failures, self.stream_target.has_key());
        diagnostics.explain_usage(generator);
        let write = CommandReport {
            requests: RequestReport::new(&results.says),
            per_second: per_second(results.says.completed, results.sending),
        };
        let fanout = DeliveryReport::new(results);
        let gate = self.thresholds.check_deliveries(self.subscribers, &write, &fanout);
        let notes = diagnostics.into_notes();
        Ok(FanoutReport { config: self.config(), write, fanout, gate, generator, notes })
    }

    async fn send_says(
        &self,
        subscribers: &Subscribers,
        stopwatch: Stopwatch,
        observer: &dyn ProgressObserver,
        results: &mut FanoutResults,
    ) -> Result<()> {
        let sending = Stopwatch::start();
        let SayLoad { target, connections, duration, request_timeout, .. } = &self.load;
        let scripts = TimedSayScript::for_actors(target, &self.tenant, &self.room, self.seed, *connections);
        subscribers.start_measuring();
        let workers = self.load.start(scripts, stopwatch, true);
        workers.watch("sending says", *duration, observer).await;
        workers.control().finish();
        results.delivered_while_sending = subscribers.delivered();
        results.sending = sending.elapsed();
        results.says = workers.drain(*request_timeout).await?;
        Ok(())
    }

    /// Waits until all subscribers have received the last event, and compares what they received with the log.
    async fn compare(
        &self,
        subscribers: Subscribers,
        head: u64,
        observer: &dyn ProgressObserver,
        results: &mut FanoutResults,
    ) -> Result<()> {
        let log = self.read_log_after(head).await;
        let last = log.as_ref().ok().and_then(|log| log.last().copied()).unwrap_or(0);
        let phase = "receiving the last events";
        subscribers
            .wait_until(phase, self.settle_timeout, observer, |each| each.sequences.last >= last)
            .await;
        (results.ended, results.failures) = subscribers.ended();
        results.delivered = subscribers.delivered();
        let (received, latencies) = subscribers.close();
        results.latencies = latencies;
        let mut log = log?;
        log.extend(self.read_log_after(last.max(head)).await?);
        let is_missing = |sequence: &&u64| log.binary_search(sequence).is_err();
        results.comparison = Some(LogComparison {
            differences: Differences::between(&received, &log, last),
            logged: log.len() as u64,
            accepted_but_not_logged: results.says.sequences.iter().filter(is_missing).count() as u64,
        });
        Ok(())
    }

    /// The sequences of the room's events after `cursor`.
    async fn read_log_after(&self, cursor: u64) -> Result<Vec<u64>> {
        let query = self.query();
        let reading = read_after(&self.load.target, &query, cursor);
        tokio::time::timeout(self.settle_timeout, reading).await.context("the log cannot be read in time")?
    }

    /// Tenant and room as query parameters.
    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("tenantId", &self.tenant).append_pair("roomId", &self.room);
        query.finish()
    }

    fn stream_path_after(&self, cursor: u64) -> String {
        let separator = if self.stream_path.contains('?') { '&' } else { '?' };
        format!("{}{separator}{}&cursor={cursor}", self.stream_path, self.query())
    }

    /// The sequence at the head of the log before the run.
    async fn read_head(&self) -> Result<u64> {
        let SayLoad { target, request_timeout, .. } = &self.load;
        let request = target.get(&format!("/v1/bootstrap?{}", self.query()));
        let exchange = tokio::time::timeout(*request_timeout, async {
            let mut connection = Connection::open(target).await?;
            connection.exchange(&request).await?;
            Ok::<_, ProtocolError>(connection)
        });
        let connection = exchange.await.unwrap_or(Err(ProtocolError::TimedOut))?;
        let response = connection.response();
        let hint = match response.status {
            401 if target.has_key() => ": the key in LOAD_API_KEY is not the server's",
            401 => ": set LOAD_API_KEY",
            429 => ": refused by its rate limit (API_RATE_LIMIT_PER_MIN)",
            _ => "",
        };
        ensure!(response.status == 200, "it answers with status {}{hint}", response.status);
        let bootstrap: Value = serde_json::from_slice(response.body).unwrap_or_default();
        bootstrap["data"]["cursor"].as_u64().context("it is no AgentCafe API")
    }

    fn config(&self) -> FanoutConfig {
        FanoutConfig {
            target_url: self.load.target.to_string(),
            stream_url: self.stream_target.to_string(),
            stream_path: shown_path(&self.stream_path),
            tenant_id: self.tenant.clone(),
            room_id: self.room.clone(),
            subscribers: self.subscribers,
            connections: self.load.connections,
            rate: self.load.rate,
            duration_ms: whole_ms(self.load.duration),
            timeout_ms: whole_ms(self.load.request_timeout),
            settle_timeout_ms: whole_ms(self.settle_timeout),
        }
    }
}

impl DeliveryReport {
    fn new(results: FanoutResults) -> Self {
        let comparison = results.comparison.as_ref();
        let differences = comparison.map(|comparison| comparison.differences);
        Self {
            latencies: results.latencies.summary(),
            ready: results.ready,
            ended: results.ended,
            delivered: results.delivered,
            per_second: per_second(results.delivered_while_sending, results.sending),
            logged: comparison.map(|comparison| comparison.logged),
            lost: differences.map(|differences| differences.lost),
            repeated: differences.map(|differences| differences.repeated),
            out_of_order: differences.map(|differences| differences.out_of_order),
            subscribers_with_another_log: differences.map(|differences| differences.subscribers),
            accepted_but_not_logged: comparison.map(|comparison| comparison.accepted_but_not_logged),
            failures: results.failures,
        }
    }
}

impl Thresholds {
    /// Checks the results of the fan-out mode.
    #[must_use]
    pub fn check_deliveries(
        &self,
        subscribers: usize,
        write: &CommandReport,
        deliveries: &DeliveryReport,
    ) -> GateResult {
        let none = |name, count: Option<u64>| GateCheck::at_most(name, count.map(|count| count as f64), 0.0);
        let requests = &write.requests;
        let error_rate = (requests.total > 0).then_some(requests.error_rate);
        let mut checks = vec![
            GateCheck::at_least("subscribers_ready", Some(deliveries.ready as f64), subscribers as f64),
            none("streams_ended", Some(deliveries.ended)),
            GateCheck::at_most("write_error_rate", error_rate, self.error_rate_max),
            none("events_lost", deliveries.lost),
            none("events_repeated", deliveries.repeated),
            none("events_out_of_order", deliveries.out_of_order),
            none("subscribers_with_another_log", deliveries.subscribers_with_another_log),
            none("accepted_but_not_logged", deliveries.accepted_but_not_logged),
        ];
        if let Some(p99_ms) = self.p99_ms {
            checks.push(GateCheck::at_most("delivery_p99", deliveries.latencies.p99_ms, p99_ms));
        }
        if let Some(min) = self.per_second {
            checks.push(GateCheck::at_least("deliveries_per_second", Some(deliveries.per_second), min));
        }
        GateResult::new(checks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds =
        Thresholds { error_rate_max: 0.01, p99_ms: Some(50.0), per_second: Some(900.0) };

    fn commands(completed: u64) -> CommandReport {
        let stats = RequestStats { completed, ..RequestStats::default() };
        CommandReport { requests: RequestReport::new(&stats), per_second: 10.0 }
    }

    fn passing() -> DeliveryReport {
        let mut latencies = Latencies::default();
        latencies.record_us(40_000);
        DeliveryReport {
            latencies: latencies.summary(),
            ready: 100,
            ended: 0,
            failures: FailureCounts::default(),
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
    fn fanout_gate_fails_on_each_fault_and_on_unknown_figures() {
        let cases: [(DeliveryReport, u64, &[&str]); 9] = [
            (passing(), 10, &[]),
            (passing(), 0, &["write_error_rate"]),
            (DeliveryReport { ready: 99, ..passing() }, 10, &["subscribers_ready"]),
            (DeliveryReport { ended: 1, ..passing() }, 10, &["streams_ended"]),
            (DeliveryReport { lost: Some(1), ..passing() }, 10, &["events_lost"]),
            (DeliveryReport { repeated: None, ..passing() }, 10, &["events_repeated"]),
            (
                DeliveryReport { accepted_but_not_logged: Some(1), ..passing() },
                10,
                &["accepted_but_not_logged"],
            ),
            (DeliveryReport { latencies: LatencySummary::default(), ..passing() }, 10, &["delivery_p99"]),
            (DeliveryReport { per_second: 899.0, ..passing() }, 10, &["deliveries_per_second"]),
        ];
        for (deliveries, says, failed) in cases {
            let gate = THRESHOLDS.check_deliveries(100, &commands(says), &deliveries);
            assert_eq!(gate.failed(), failed);
        }
        let lenient = Thresholds { p99_ms: None, per_second: None, ..THRESHOLDS };
        let slow = DeliveryReport { latencies: LatencySummary::default(), per_second: 0.0, ..passing() };
        assert!(lenient.check_deliveries(100, &commands(10), &slow).pass);
    }
}
