//! Plays a script on one connection and keeps the tally of what comes of it.

use std::net::SocketAddr;

use crate::connection::Connection;
use crate::control::Control;
use crate::http::ProtocolError;
use crate::latency::Latencies;
use crate::script::Script;
use crate::stopwatch::Stopwatch;

/// Bytes of an answer kept to show what was refused.
const SAMPLE_BYTES: usize = 300;

/// What came of the requests of one connection, or of many.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answers as expected, while measuring.
    pub completed: u64,
    /// Other answers and failed connections, at any time.
    pub failed: u64,
    /// What the first failure looked like.
    pub failure_sample: Option<String>,
    /// From before a request is sent until its answer is there, while measuring.
    pub latencies: Latencies,
}

impl Tally {
    /// Adds what came of another connection.
    pub fn merge(&mut self, other: Self) {
        self.completed += other.completed;
        self.failed += other.failed;
        self.failure_sample = self.failure_sample.take().or(other.failure_sample);
        self.latencies.merge(&other.latencies);
    }

    fn fail(&mut self, sample: impl FnOnce() -> String) {
        self.failed += 1;
        self.failure_sample.get_or_insert_with(sample);
    }
}

/// Opens a connection and plays the script on it, one request at a time, until `control` ends the
/// run or the connection fails.
pub async fn play<S: Script>(
    address: SocketAddr,
    control: &Control,
    stopwatch: Stopwatch,
    script: S,
) -> Tally {
    let mut tally = Tally::default();
    if let Err(error) = play_into(&mut tally, address, control, stopwatch, script).await {
        tally.fail(|| format!("connection: {error}"));
    }
    tally
}

async fn play_into<S: Script>(
    tally: &mut Tally,
    address: SocketAddr,
    control: &Control,
    stopwatch: Stopwatch,
    mut script: S,
) -> Result<(), ProtocolError> {
    let mut connection = Connection::open(address).await?;
    while control.take_turn() {
        let sent_us = stopwatch.elapsed_us();
        let response = connection.exchange(script.next_request(sent_us)).await?;
        if response.status != S::EXPECTED_STATUS {
            tally.fail(|| {
                let body = &response.body[..response.body.len().min(SAMPLE_BYTES)];
                format!("status {}: {}", response.status, String::from_utf8_lossy(body))
            });
            continue;
        }
        if control.is_measuring() {
            tally.completed += 1;
            tally.latencies.record_us(stopwatch.elapsed_us() - sent_us);
        }
        control.observe(response.body);
    }
    Ok(())
}
