//! What came of the requests of a connection, or of many.

use std::collections::BTreeMap;

use memchr::memmem;

use crate::http::{Head, ProtocolError};
use crate::latency::Latencies;

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
    /// The same of requests that failed.
    pub failed_latencies: Latencies,
    /// How they failed.
    pub failures: Failures,
    /// The sequences of the first events of accepted commands, if they are collected.
    pub sequences: Vec<u64>,
}

/// Failures by kind. Each is of one kind only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Refused by the rate limit (429).
    pub rate_limited: u64,
    /// Refused by moderation (429 too).
    pub moderated: u64,
    /// The key is missing or wrong (401).
    pub unauthorized: u64,
    /// Any other status that is no success, by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Not answered in time.
    pub timeouts: u64,
    /// No connection, or one that broke, or an answer that is not HTTP.
    pub transport: u64,
    /// The rate limit, as the server tells it.
    pub rate_limit: Option<u64>,
}

impl Failures {
    /// Counts an answer that is no success.
    pub fn refuse(&mut self, head: Head, body: &[u8]) {
        match head.status {
            429 if memmem::find(body, b"ERR_MODERATION_BLOCKED").is_some() => self.moderated += 1,
            429 => {
                self.rate_limited += 1;
                self.rate_limit = head.rate_limit.or(self.rate_limit);
            }
            401 => self.unauthorized += 1,
            status => *self.statuses.entry(status).or_default() += 1,
        }
    }

    /// Counts a request or a stream that broke off.
    pub fn lose(&mut self, error: &ProtocolError) {
        match error {
            ProtocolError::StreamRefused(head) => self.refuse(*head, b""),
            ProtocolError::TimedOut => self.timeouts += 1,
            _ => self.transport += 1,
        }
    }

    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        self.rate_limited += other.rate_limited;
        self.moderated += other.moderated;
        self.unauthorized += other.unauthorized;
        self.timeouts += other.timeouts;
        self.transport += other.transport;
        self.rate_limit = self.rate_limit.or(other.rate_limit);
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
    }
}

impl Tally {
    /// Counts an answer that is no success, after so long.
    pub fn refuse(&mut self, head: Head, body: &[u8], latency_us: u64) {
        self.failed += 1;
        self.failed_latencies.record_us(latency_us);
        self.failures.refuse(head, body);
        self.failure_sample.get_or_insert_with(|| {
            let body = String::from_utf8_lossy(&body[..body.len().min(SAMPLE_BYTES)]).into_owned();
            // It may be shown in a terminal.
            format!("status {}: {}", head.status, body.replace(|each: char| each.is_control(), " "))
        });
    }

    /// Counts a request that came to nothing, after so long.
    pub fn lose(&mut self, error: &ProtocolError, latency_us: u64) {
        self.failed += 1;
        self.failed_latencies.record_us(latency_us);
        self.failures.lose(error);
        self.failure_sample.get_or_insert_with(|| format!("connection: {error}"));
    }

    /// Adds what came of another connection.
    pub fn merge(&mut self, mut other: Self) {
        self.completed += other.completed;
        self.failed += other.failed;
        self.failure_sample = self.failure_sample.take().or(other.failure_sample);
        self.latencies.merge(&other.latencies);
        self.failed_latencies.merge(&other.failed_latencies);
        self.failures.merge(&other.failures);
        self.sequences.append(&mut other.sequences);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse_head;

    fn head(wire: &str) -> Head {
        parse_head(format!("HTTP/1.1 {wire}\r\ncontent-length: 0\r\n\r\n").as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn failures_are_told_apart() {
        let mut tally = Tally::default();
        tally.refuse(head("429 Slow\r\nx-ratelimit-limit: 120"), br#"{"code":"ERR_RATE_LIMITED"}"#, 1);
        tally.refuse(head("429 Slow"), br#"{"code":"ERR_MODERATION_BLOCKED"}"#, 1);
        tally.refuse(head("401 Who"), b"", 1);
        tally.refuse(head("503 Later"), b"", 1);
        tally.lose(&ProtocolError::StreamRefused(head("503 Later")), 1);
        tally.lose(&ProtocolError::TimedOut, 1);
        tally.lose(&ProtocolError::Closed, 1);
        let mut total = Tally::default();
        total.merge(tally.clone());
        total.merge(tally);
        let expected = Failures {
            rate_limited: 2,
            moderated: 2,
            unauthorized: 2,
            statuses: BTreeMap::from([(503, 4)]),
            timeouts: 2,
            transport: 2,
            rate_limit: Some(120),
        };
        assert_eq!((total.failed, total.failed_latencies.count()), (14, 14));
        assert_eq!(total.failures, expected);
        assert_eq!(total.failure_sample.as_deref(), Some(r#"status 429: {"code":"ERR_RATE_LIMITED"}"#));
    }
}
