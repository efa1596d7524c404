//! The fan-out mode: what is said in a room must reach many subscribers completely, once, in order, and fast. What they receive
//! is compared with the log.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::form_urlencoded;

use crate::connection::Connection;
use crate::http::ProtocolError;
use crate::report::{
    CpuMeter, Diagnostics, GateCheck, GateResult, ProgressObserver, Report, RequestReport, STREAMS,
    per_second, serialize_ms,
};
use crate::script::TimedSayScript;
use crate::stats::{FailureCounts, LatencySummary, RequestStats, Stopwatch};
use crate::subscriber::{ReceivedEvents, SequenceSet, Subscribers, WaitResult};
use crate::target::{Target, serialize_path};
use crate::write::{CommandReport, SayLoad, Thresholds};

/// Events per page: the API's maximum.
const PAGE_EVENTS: usize = 5000;

#[derive(Debug, Deserialize)]
struct PageResponse {
    data: EventsPage,
}

#[derive(Debug, Deserialize)]
struct EventsPage {
    events: Vec<EventSequence>,
}

#[derive(Debug, Deserialize)]
struct EventSequence {
    sequence: u64,
}

/// Reads the sequences of one page: `GET /v1/events` with this query.
///
/// # Errors
/// When the page cannot be read.
pub async fn read_page(connection: &mut Connection, target: &Target, query: &str) -> Result<Vec<u64>> {
    let request = target.get(&format!("/v1/events?{query}"));
    let response = connection.exchange(&request).await.context("the log cannot be read")?;
    ensure!(response.status == 200, "the log cannot be read: status {}", response.status);
    let page: PageResponse = serde_json::from_slice(response.body).context("the log cannot be read")?;
    Ok(page.data.events.into_iter().map(|event| event.sequence).collect())
}

/// Reads the sequences of all events after `cursor` that match the query.
///
/// # Errors
/// When a page cannot be read or is out of order.
pub async fn read_after(target: &Target, query: &str, mut cursor: u64) -> Result<Vec<u64>> {
    let mut connection = Connection::open(target).await.context("the log cannot be read")?;
    let mut sequences = Vec::new();
    loop {
        let query = format!("{query}&cursor={cursor}&limit={PAGE_EVENTS}");
        let page = read_page(&mut connection, target, &query).await?;
        let Some(last) = page.last() else {
            return Ok(sequences);
        };
        ensure!(page[0] > cursor && page.is_sorted_by(|one, next| one < next), "a page is out of order");
        cursor = *last;
        sequences.extend(page);
    }
}

/// How the events that subscribers received differ from the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Deliveries that are missing.
    pub lost: u64,
    /// Deliveries repeated directly after the first.
    pub repeated: u64,
    /// Deliveries after that of a later event.
    pub out_of_order: u64,
    /// Subscribers that received anything but exactly the log.
    pub subscribers: u64,
}

impl Differences {
    /// Compares what each subscriber received with the log up to `last`, the last event that all of them must have; for
    /// a subscriber that received later events, up to its own last one.
    #[must_use]
    pub fn between(subscribers: &[ReceivedEvents], log: &[u64], last: u64) -> Self {
        let mut set = SequenceSet::default();
        let extend = |sequence: &u64| {
            set.add(*sequence);
            set
        };
        let prefixes: Vec<_> = log.iter().map(extend).collect();
        let mut total = Self::default();
        for received in subscribers {
            let last = last.max(received.sequences.last);
            let length = prefixes.partition_point(|prefix| prefix.last <= last);
            let expected = length.checked_sub(1).map_or_else(SequenceSet::default, |at| prefixes[at]);
            total.lost += expected.count.saturating_sub(received.sequences.count);
            total.repeated += received.repeated;
            total.out_of_order += received.out_of_order;
            let is_exact =
                received.sequences == expected && received.repeated == 0 && received.out_of_order == 0;
            total.subscribers += u64::from(!is_exact);
        }
        total
    }
}

/// Settings of the fan-out mode, as its report shows them.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FanoutTest {
    /// How to send; each connection is an actor of its own.
    #[serde(flatten)]
    pub load: SayLoad,
    /// The server of the streams: the API or a realtime service.
    #[serde(rename = "streamUrl")]
    pub stream_target: Target,
    /// Path of the stream; tenant, room and cursor are added.
    #[serde(serialize_with = "serialize_path")]
    pub stream_path: String,
    /// The tenant.
    #[serde(rename = "tenantId")]
    pub tenant: String,
    /// The room.
    #[serde(rename = "roomId")]
    pub room: String,
    /// Other seeds make other idempotency keys.
    #[serde(skip)]
    pub seed: u64,
    /// Number of subscribers.
    pub subscribers: usize,
    /// Deadline for all streams to be ready, for all subscribers to receive the last event, and for reading the log.
    #[serde(rename = "settleTimeoutMs", serialize_with = "serialize_ms")]
    pub settle_timeout: Duration,
    /// What to check, besides that no event is lost, repeated or out of order.
    #[serde(skip)]
    pub thresholds: Thresholds,
}

/// The results of the fan-out mode.
#[derive(Clone, Debug, Serialize)]
pub struct FanoutResults {
    /// Results of the says.
    pub write: CommandReport,
    /// Results of their deliveries.
    pub fanout: DeliveryReport,
}

/// Deliveries in a report. What depends on the log is missing if the log could not be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    pub async fn run(&self, observer: &dyn ProgressObserver) -> Result<Report<FanoutTest, FanoutResults>> {
        let target = &self.load.target;
        let head = self.read_head().await.with_context(|| format!("{target} cannot be used"))?;
        let cpu = CpuMeter::start(self.load.threads);
        let stopwatch = Stopwatch::start();
        let path = self.stream_path_after(head);
        let subscribers = Subscribers::subscribe(&self.stream_target, &path, self.subscribers, 1, stopwatch);
        let result =
            subscribers.wait_until("subscribing", self.settle_timeout, observer, |each| each.is_ready).await;
        let ready = subscribers.count(|each| each.is_ready);
        let mut fanout = DeliveryReport { ready, ..DeliveryReport::default() };
        let (mut says, mut sending) = (RequestStats::default(), Duration::ZERO);
        // Unless all streams are ready, the gate fails anyway.
        if result == WaitResult::Reached {
            (says, sending) = self.send_says(&subscribers, stopwatch, observer, &mut fanout).await?;
        }
        let mut diagnostics = Diagnostics::default();
        if let Err(error) = self.compare(subscribers, head, observer, &says.sequences, &mut fanout).await {
            diagnostics.0.push(format!("the deliveries could not be compared with the log: {error:#}"));
        }
        let generator = cpu.usage();
        diagnostics.explain_failures("says", &says.failures, target.has_key());
        diagnostics.explain_failures(STREAMS, &fanout.failures, self.stream_target.has_key());
        diagnostics.explain_usage(generator);
        let write = CommandReport {
            requests: RequestReport::new(&says),
            per_second: per_second(says.completed, sending),
        };
        let gate = self.thresholds.check_deliveries(self.subscribers, &write, &fanout);
        let results = FanoutResults { write, fanout };
        Ok(Report { config: self.clone(), results, gate, generator, notes: diagnostics.0 })
    }

    /// Sends says; returns their results and how long they were sent.
    async fn send_says(
        &self,
        subscribers: &Subscribers,
        stopwatch: Stopwatch,
        observer: &dyn ProgressObserver,
        fanout: &mut DeliveryReport,
    ) -> Result<(RequestStats, Duration)> {
        let began = Stopwatch::start();
        let SayLoad { target, connections, duration, request_timeout, .. } = &self.load;
        let scripts = TimedSayScript::for_actors(target, &self.tenant, &self.room, self.seed, *connections);
        subscribers.start_measuring();
        let workers = self.load.start(scripts, stopwatch, true);
        workers.watch("sending says", *duration, observer).await;
        workers.control().finish();
        let (delivered, sending) = (subscribers.delivered(), began.elapsed());
        fanout.per_second = per_second(delivered, sending);
        Ok((workers.drain(*request_timeout).await?, sending))
    }

    /// Waits until all subscribers have received the last event, and compares what they received with the log.
    async fn compare(
        &self,
        subscribers: Subscribers,
        head: u64,
        observer: &dyn ProgressObserver,
        accepted: &[u64],
        fanout: &mut DeliveryReport,
    ) -> Result<()> {
        let log = self.read_log_after(head).await;
        let last = log.as_ref().ok().and_then(|log| log.last().copied()).unwrap_or(0);
        let phase = "receiving the last events";
        subscribers
            .wait_until(phase, self.settle_timeout, observer, |each| each.sequences.last >= last)
            .await;
        (fanout.ended, fanout.failures) = subscribers.ended();
        fanout.delivered = subscribers.delivered();
        let (received, latencies) = subscribers.close();
        fanout.latencies = latencies.summary();
        let mut log = log?;
        log.extend(self.read_log_after(last.max(head)).await?);
        let differences = Differences::between(&received, &log, last);
        let is_missing = |sequence: &&u64| log.binary_search(sequence).is_err();
        fanout.logged = Some(log.len() as u64);
        fanout.lost = Some(differences.lost);
        fanout.repeated = Some(differences.repeated);
        fanout.out_of_order = Some(differences.out_of_order);
        fanout.subscribers_with_another_log = Some(differences.subscribers);
        fanout.accepted_but_not_logged = Some(accepted.iter().filter(is_missing).count() as u64);
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
