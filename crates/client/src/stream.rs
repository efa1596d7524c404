//! The event stream over HTTP. It reconnects by itself and resumes from its cursor.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use agentcafe_domain::kernel::{Event, Sequence};
use bytes::Bytes;
use reqwest::Response;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::api::{ApiClient, Query, RequestError, root_cause};
use crate::position::Position;
use crate::sse::{SseError, SseParser};

/// Where a stream starts in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// After the newest event.
    Latest,
    /// After a sequence.
    After(Sequence),
}

impl Start {
    pub(crate) fn after(self) -> Option<Sequence> {
        match self {
            Self::Latest => None,
            Self::After(sequence) => Some(sequence),
        }
    }
}

/// How long to wait before reconnecting. Each delay is twice the one before.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The first delay.
    pub min: Duration,
    /// The longest delay.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { min: Duration::from_millis(250), max: Duration::from_secs(5) }
    }
}

impl Backoff {
    /// The delay after so many failures in a row.
    fn delay(self, failures: u32) -> Duration {
        let doublings = failures.checked_sub(1);
        let factor = doublings.map(|doublings| 2_u32.saturating_pow(doublings));
        factor.map_or(Duration::ZERO, |factor| self.min.saturating_mul(factor).min(self.max))
    }
}

/// What a stream reads, and how.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// Query parameters that select events (`tenantId`, `roomId`, …); empty: all events.
    pub scope: Query,
    /// Where to start.
    pub start: Start,
    /// The log that the start is a cursor of, if it is known.
    pub log_id: Option<String>,
    /// Where to start in another log.
    pub restart: Start,
    /// How long to wait before reconnecting.
    pub backoff: Backoff,
    /// A connection without data for this long is lost: several heartbeats of the server (`API_STREAM_HEARTBEAT_MS`).
    pub idle_timeout: Duration,
}

impl StreamOptions {
    /// All events after a start; all events from the beginning in another log.
    #[must_use]
    pub fn all(start: Start) -> Self {
        Self {
            scope: Query::new(),
            start,
            log_id: None,
            restart: Start::After(Sequence::START),
            backoff: Backoff::default(),
            idle_timeout: Duration::from_secs(45),
        }
    }
}

/// An event as the server sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedEvent {
    /// Its position in the log.
    pub sequence: Sequence,
    /// The whole event as JSON on one line.
    pub json: Bytes,
}

impl ReceivedEvent {
    /// Parses the event.
    ///
    /// # Errors
    /// When its type or its fields are unknown to this version.
    pub fn parse(&self) -> Result<Event, serde_json::Error> {
        serde_json::from_slice(&self.json)
    }
}

/// What [`EventStream::next`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamUpdate {
    /// A connection was made.
    Connected {
        /// It continues after this sequence.
        after: Sequence,
        /// The head of the log at that time.
        head: Sequence,
        /// The id of the log; none from a server of an earlier version.
        log_id: Option<String>,
    },
    /// New events in order, each once; never empty.
    Events(Vec<ReceivedEvent>),
    /// No event matched up to here.
    ScannedTo(Sequence),
    /// The server skipped events.
    Gap {
        /// After this one.
        from: Sequence,
        /// Up to this one.
        to: Sequence,
        /// Whether the reason is that they are damaged: another attempt does not get them.
        is_damaged: bool,
    },
    /// The server has another log, or less of the log than before. The stream continues at [`StreamOptions::restart`].
    LogReplaced {
        /// The head of the log.
        head: Sequence,
        /// Its id.
        log_id: Option<String>,
    },
    /// Connecting failed, or the connection was lost. The stream reconnects after a delay.
    Disconnected(RequestError),
}

type Connecting = Pin<Box<dyn Future<Output = Result<Response, RequestError>> + Send>>;

enum State {
    /// Waiting until it is time to connect.
    Waiting(Instant),
    /// Waiting for the response.
    Connecting(Connecting),
    /// Reading. Without data until `lost_at`, the connection counts as lost.
    Reading { response: Box<Response>, parser: SseParser, lost_at: Instant },
}

/// An endless stream of events.
pub struct EventStream {
    api: ApiClient,
    options: StreamOptions,
    position: Position,
    state: State,
    /// Failures in a row.
    failures: u32,
    updates: VecDeque<StreamUpdate>,
}

impl EventStream {
    /// A stream that connects with the first [`EventStream::next`].
    #[must_use]
    pub fn new(api: ApiClient, options: StreamOptions) -> Self {
        let position = Position::new(options.start, options.log_id.clone());
        let state = State::Waiting(Instant::now());
        Self { api, options, position, state, failures: 0, updates: VecDeque::new() }
    }

    /// The client whose API is read.
    #[must_use]
    pub fn api(&self) -> &ApiClient {
        &self.api
    }

    /// Waits for the next update. Cancel-safe: dropping the future loses nothing.
    pub async fn next(&mut self) -> StreamUpdate {
        loop {
            if let Some(update) = self.updates.pop_front() {
                return update;
            }
            if let Err(error) = self.advance().await {
                self.failures = self.failures.saturating_add(1);
                self.state = State::Waiting(Instant::now() + self.options.backoff.delay(self.failures));
                self.updates.push_back(StreamUpdate::Disconnected(error));
            }
        }
    }

    /// Takes one step: waits, connects, or reads once.
    async fn advance(&mut self) -> Result<(), RequestError> {
        match &mut self.state {
            State::Waiting(until) => {
                sleep_until(*until).await;
                self.state = State::Connecting(self.connect());
            }
            State::Connecting(connecting) => {
                let response = Box::new(connecting.await?);
                let lost_at = Instant::now() + self.options.idle_timeout;
                self.state = State::Reading { response, parser: SseParser::default(), lost_at };
            }
            State::Reading { response, parser, lost_at } => {
                let lost = |why: &str| RequestError::Unreachable(why.to_owned());
                let chunk = match timeout_at(*lost_at, response.chunk()).await {
                    Ok(Ok(chunk)) => chunk.ok_or_else(|| lost("the server closed the connection"))?,
                    Ok(Err(error)) => {
                        return Err(RequestError::Unreachable(root_cause(&error.without_url())));
                    }
                    Err(_) => return Err(lost("the server sent nothing, not even heartbeats")),
                };
                *lost_at = Instant::now() + self.options.idle_timeout;
                let mut rest = &chunk[..];
                let unreadable = |error: SseError| RequestError::Unavailable(error.to_string());
                while let Some(frame) = parser.next_frame(&mut rest).map_err(unreadable)? {
                    match self.position.apply(&frame)? {
                        Some(StreamUpdate::Events(new)) => match self.updates.back_mut() {
                            Some(StreamUpdate::Events(events)) => events.extend(new),
                            _ => self.updates.push_back(StreamUpdate::Events(new)),
                        },
                        Some(update @ StreamUpdate::LogReplaced { .. }) => {
                            self.restart(update);
                            break;
                        }
                        // A server that accepts connections and ends them at once is no better than none.
                        Some(update @ StreamUpdate::Connected { .. }) => {
                            self.updates.push_back(update);
                            continue;
                        }
                        Some(update) => self.updates.push_back(update),
                        None => {}
                    }
                    self.failures = 0;
                }
            }
        }
        Ok(())
    }

    fn connect(&self) -> Connecting {
        let cursor = self.position.after().map_or_else(|| "latest".to_owned(), |after| after.to_string());
        let mut query = self.options.scope.clone();
        query.push(("cursor", cursor));
        query.extend(self.position.log_id().map(|log_id| ("logId", log_id.clone())));
        let api = self.api.clone();
        Box::pin(async move { api.open_stream(&query).await })
    }

    /// Continues with another log, on a new connection.
    fn restart(&mut self, update: StreamUpdate) {
        self.position = Position::new(self.options.restart, None);
        self.state = State::Waiting(Instant::now());
        self.updates = VecDeque::from([update]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_maximum() {
        let cases =
            [(0, 0), (1, 250), (2, 500), (3, 1_000), (4, 2_000), (5, 4_000), (6, 5_000), (u32::MAX, 5_000)];
        for (failures, want_ms) in cases {
            assert_eq!(Backoff::default().delay(failures), Duration::from_millis(want_ms), "{failures}");
        }
    }
}
