//! Workers: each sends the requests of one script on one connection and records the results.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::control::{RunControl, find_sequence};
use crate::http::{ProtocolError, ResponseHead};
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::script::GetScript;

    /// A server that answers this many requests on each connection, then closes it without notice.
    async fn closing_server(answers: usize) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::from(listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                for _ in 0..answers {
                    if stream.read(&mut request).await.unwrap() == 0 {
                        break;
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                }
            }
        });
        target
    }

    async fn seven_requests(target: &Target, reconnects: bool) -> RequestStats {
        let script = GetScript::new(target, &["/"]);
        let options = WorkerOptions { reconnects, ..WorkerOptions::default() };
        let control = RunControl::for_requests(7);
        let workers = WorkerPool::start(target, control, Stopwatch::start(), options, vec![script]);
        workers.join(Duration::from_secs(30)).await.unwrap()
    }

    #[tokio::test]
    async fn worker_reopens_a_connection_closed_while_idle() {
        let stats = seven_requests(&closing_server(2).await, false).await;
        assert_eq!((stats.completed, stats.failed), (7, 0), "{:?}", stats.failures);
    }

    #[tokio::test]
    async fn worker_counts_a_connection_that_never_answers() {
        let target = closing_server(0).await;
        let (once, always) = (seven_requests(&target, false).await, seven_requests(&target, true).await);
        assert_eq!((once.completed, once.failures.transport_errors), (0, 1));
        assert_eq!((always.completed, always.failures.transport_errors), (0, 7));
    }
}
