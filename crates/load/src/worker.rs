//! Workers, each of which sends the requests of one script on one connection and records the results; and the state they share,
//! which starts, paces and stops a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use memchr::memmem;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::http::{ProtocolError, ResponseHead, parse_decimal};
use crate::report::{ProgressObserver, RunProgress};
use crate::script::Script;
use crate::stats::{RequestStats, Stopwatch};
use crate::target::Target;

/// Pause after a failed connection, so that a server that is down is not flooded.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// Interval of progress updates.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// How long the last responses may take beyond their request timeout.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// Controls one run. Workers take a permit from it before each request.
#[derive(Debug)]
pub struct RunControl {
    stopped: watch::Sender<bool>,
    measuring: AtomicBool,
    requests_left: AtomicI64,
    stop_at_sequence: Option<u64>,
    pace: Option<Pace>,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

/// A fixed rate, shared by all workers.
#[derive(Debug)]
struct Pace {
    stopwatch: Stopwatch,
    begins_us: u64,
    per_second: f64,
    permits: AtomicU64,
}

/// Permission to send one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendPermit {
    /// When the request was due, in microseconds of the run's stopwatch, if it is sent late because the worker was waiting
    /// for a response. Latency counts from then: a server that stalls must show in the percentiles ("coordinated
    /// omission").
    pub due_us: Option<u64>,
}

impl RunControl {
    /// A run that lasts until [`Self::stop`] and is measured after [`Self::start_measuring`].
    #[must_use]
    pub fn until_stopped() -> Self {
        Self {
            stopped: watch::Sender::new(false),
            measuring: AtomicBool::new(false),
            requests_left: AtomicI64::new(i64::MAX),
            stop_at_sequence: None,
            pace: None,
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// A run of `count` requests, measured from the first.
    #[must_use]
    pub fn for_requests(count: u64) -> Self {
        let requests_left = AtomicI64::new(i64::try_from(count).unwrap_or(i64::MAX));
        Self { measuring: AtomicBool::new(true), requests_left, ..Self::until_stopped() }
    }

    /// A run that lasts until a response names a sequence of at least `sequence`.
    #[must_use]
    pub fn until_sequence(sequence: u64) -> Self {
        Self { stop_at_sequence: Some(sequence), ..Self::until_stopped() }
    }

    /// Paces the run from now on to `per_second` requests a second, measured by the run's stopwatch. A late request is sent
    /// as soon as possible.
    #[must_use]
    pub fn paced(self, per_second: f64, stopwatch: Stopwatch) -> Self {
        let (begins_us, permits) = (stopwatch.elapsed_us(), AtomicU64::new(0));
        Self { pace: Some(Pace { stopwatch, begins_us, per_second, permits }), ..self }
    }

    /// Measures responses from now on.
    pub fn start_measuring(&self) {
        self.measuring.store(true, Ordering::Relaxed);
    }

    /// Ends the run: no further request is sent, and no further response is measured.
    pub fn stop(&self) {
        self.measuring.store(false, Ordering::Relaxed);
        self.finish();
    }

    /// Ends the run: no further request is sent, but the responses to those in flight are measured.
    pub fn finish(&self) {
        self.stopped.send_replace(true);
    }

    /// Whether responses are measured.
    #[must_use]
    pub fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    /// Waits until one more request may be sent; `None` once the run has ended.
    pub async fn acquire(&self) -> Option<SendPermit> {
        if *self.stopped.borrow() || self.requests_left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return None;
        }
        let Some(pace) = &self.pace else {
            return Some(SendPermit { due_us: None });
        };
        let due_us = pace.next_due_us();
        let now_us = pace.stopwatch.elapsed_us();
        if due_us <= now_us {
            return Some(SendPermit { due_us: Some(due_us) });
        }
        let has_ended = self.pause(Duration::from_micros(due_us - now_us)).await;
        (!has_ended).then_some(SendPermit { due_us: None })
    }

    /// Waits for `duration`, or until the run ends; whether it has ended.
    pub async fn pause(&self, duration: Duration) -> bool {
        let mut stopped = self.stopped.subscribe();
        tokio::time::timeout(duration, stopped.wait_for(|is_stopped| *is_stopped)).await.is_ok()
    }

    /// Counts a success; its body may end the run.
    pub fn record_success(&self, body: &[u8]) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        if let Some(last) = self.stop_at_sequence
            && find_sequence(body).is_some_and(|sequence| sequence >= last)
        {
            self.stop();
        }
    }

    /// Counts a failure.
    pub fn record_failure(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Successes and failures so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.succeeded.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

impl Pace {
    /// When the next request is due; each call counts one.
    fn next_due_us(&self) -> u64 {
        let before = self.permits.fetch_add(1, Ordering::Relaxed);
        self.begins_us + (before as f64 / self.per_second * 1e6) as u64
    }
}

/// The first `"sequence"` of a JSON text, found without parsing it.
fn find_sequence(body: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\"sequence\":";
    let value = &body[memmem::find(body, NAME)? + NAME.len()..];
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    parse_decimal(&value[..digits]).map(|sequence| sequence as u64)
}

/// How workers send requests.
#[derive(Clone, Copy, Debug)]
pub struct WorkerOptions {
    /// Deadline of each response, including the connection if a new one is needed.
    pub request_timeout: Duration,
    /// Whether to open another connection after one has failed.
    pub reconnects: bool,
    /// Where a latency ends.
    pub latency_end: LatencyEnd,
    /// Whether to keep the sequences of accepted commands.
    pub collects_sequences: bool,
}

/// Where a latency ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatencyEnd {
    /// At the end of the response's head.
    Head,
    /// At the end of the response's body.
    Body,
}

impl Default for WorkerOptions {
    /// 30 s for a response, one connection only.
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(30),
            reconnects: false,
            latency_end: LatencyEnd::Body,
            collects_sequences: false,
        }
    }
}

/// The workers of a run, one for each script.
pub struct WorkerPool {
    control: Arc<RunControl>,
    workers: JoinSet<RequestStats>,
}

impl WorkerPool {
    /// Opens the connections and starts sending.
    #[must_use]
    pub fn start<S: Script>(
        target: &Target,
        control: RunControl,
        stopwatch: Stopwatch,
        options: WorkerOptions,
        scripts: Vec<S>,
    ) -> Self {
        let control = Arc::new(control);
        let target = Arc::new(target.clone());
        let mut workers = JoinSet::new();
        for script in scripts {
            let worker = Worker {
                target: Arc::clone(&target),
                control: Arc::clone(&control),
                stopwatch,
                options,
                connection: None,
                stats: RequestStats::default(),
            };
            workers.spawn(worker.run(script));
        }
        Self { control, workers }
    }

    /// The control of the run.
    #[must_use]
    pub fn control(&self) -> &RunControl {
        &self.control
    }

    /// Waits for `duration` while the workers send, and reports their progress.
    pub async fn watch(&self, phase: &'static str, duration: Duration, observer: &dyn ProgressObserver) {
        let stopwatch = Stopwatch::start();
        loop {
            let elapsed = stopwatch.elapsed();
            let (done, failed) = self.control.counts();
            observer.show(&RunProgress { phase, elapsed, duration, done, failed });
            let Some(left) = duration.checked_sub(elapsed).filter(|left| !left.is_zero()) else {
                return;
            };
            tokio::time::sleep(left.min(PROGRESS_INTERVAL)).await;
        }
    }

    /// Stops sending, waits for the responses in flight, and returns the results of all workers.
    ///
    /// # Errors
    /// When a response takes much longer than `request_timeout`.
    pub async fn drain(self, request_timeout: Duration) -> Result<RequestStats> {
        self.control.finish();
        self.join(request_timeout + DRAIN_GRACE).await
    }

    /// Waits until the run has ended, and returns the results of all workers.
    ///
    /// # Errors
    /// When it has not ended by the deadline.
    pub async fn join(self, deadline: Duration) -> Result<RequestStats> {
        let Ok(results) = tokio::time::timeout(deadline, self.workers.join_all()).await else {
            bail!("the server left requests unanswered for {deadline:?}");
        };
        let mut total = RequestStats::default();
        results.into_iter().for_each(|stats| total.merge(stats));
        Ok(total)
    }
}

/// Sends the requests of one script, one at a time.
struct Worker {
    target: Arc<Target>,
    control: Arc<RunControl>,
    stopwatch: Stopwatch,
    options: WorkerOptions,
    /// The open connection, unless it failed. It holds the last response.
    connection: Option<Connection>,
    stats: RequestStats,
}

impl Worker {
    /// Sends until the run ends or, unless it reconnects, the connection fails.
    async fn run<S: Script>(mut self, mut script: S) -> RequestStats {
        let begun_us = self.stopwatch.elapsed_us();
        // Connects before the first request, so that no latency includes it.
        match self.within_timeout(Connection::open(&self.target)).await {
            Ok(connection) => self.connection = Some(connection),
            Err(error) if self.recover(&error, begun_us).await => {}
            Err(_) => return self.stats,
        }
        while let Some(permit) = self.control.acquire().await {
            let sent_us = self.stopwatch.elapsed_us();
            let since_us = permit.due_us.unwrap_or(sent_us);
            let connection = self.connection.take();
            let exchange = self.exchange(connection, script.next_request(sent_us));
            match self.within_timeout(exchange).await {
                Ok((connection, head, end_us)) => {
                    self.record(head, connection.response().body, end_us - since_us);
                    self.connection = Some(connection);
                }
                Err(error) if self.recover(&error, since_us).await => {}
                Err(_) => break,
            }
        }
        self.stats
    }

    /// Sends on the open connection, or on a new one if there is none or the server has closed it while it was idle.
    /// Returns the connection, the head of the response, and when the latency ended.
    async fn exchange(
        &self,
        connection: Option<Connection>,
        request: &[u8],
    ) -> Result<(Connection, ResponseHead, u64), ProtocolError> {
        if let Some(mut connection) = connection {
            let was_used = !connection.is_unanswered();
            if !was_used || connection.is_reusable() {
                match connection.send(request).await {
                    // Sending it again is safe: reads change nothing, and says carry an idempotency key.
                    Err(ProtocolError::Closed | ProtocolError::Transport(_))
                        if was_used && connection.is_unanswered() => {}
                    head => return self.finish(connection, head?).await,
                }
            }
        }
        let mut connection = Connection::open(&self.target).await?;
        let head = connection.send(request).await?;
        self.finish(connection, head).await
    }

    async fn finish(
        &self,
        mut connection: Connection,
        head: ResponseHead,
    ) -> Result<(Connection, ResponseHead, u64), ProtocolError> {
        let head_us = self.stopwatch.elapsed_us();
        connection.finish().await?;
        let end_us = match self.options.latency_end {
            LatencyEnd::Head => head_us,
            LatencyEnd::Body => self.stopwatch.elapsed_us(),
        };
        Ok((connection, head, end_us))
    }

    fn record(&mut self, head: ResponseHead, body: &[u8], latency_us: u64) {
        if !head.is_success() {
            self.stats.record_refusal(head, body, latency_us);
            return self.control.record_failure();
        }
        if self.control.is_measuring() {
            self.stats.completed += 1;
            self.stats.latencies.record_us(latency_us);
        }
        if self.options.collects_sequences {
            self.stats.sequences.extend(find_sequence(body));
        }
        self.control.record_success(body);
    }

    /// Records a failed connection; whether to open another, after a pause.
    async fn recover(&mut self, error: &ProtocolError, since_us: u64) -> bool {
        self.stats.record_error(error, self.stopwatch.elapsed_us() - since_us);
        self.control.record_failure();
        if self.options.reconnects {
            self.control.pause(RECONNECT_PAUSE).await;
        }
        self.options.reconnects
    }

    async fn within_timeout<T>(
        &self,
        future: impl Future<Output = Result<T, ProtocolError>>,
    ) -> Result<T, ProtocolError> {
        let result = tokio::time::timeout(self.options.request_timeout, future).await;
        result.unwrap_or(Err(ProtocolError::TimedOut))
    }
}
