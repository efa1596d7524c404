//! The event stream over HTTP: comes back by itself where it broke off.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use agentcafe_domain::kernel::{event::Event, ids::Sequence};
use bytes::Bytes;
use reqwest::Response;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    api::{Api, Failure, Query, root_cause},
    frame::Frames,
    progress::{Meaning, Progress},
};

/// Where to start in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At its newest event: what happens from now on.
    Latest,
    /// Behind a sequence.
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

/// How long to wait before connecting again. Each pause is twice as long as the one before.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// The first.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { first: Duration::from_millis(250), longest: Duration::from_secs(5) }
    }
}

impl Pauses {
    /// The pause after so many failures in a row.
    fn after(self, failures: u32) -> Duration {
        let doublings = failures.checked_sub(1);
        let factor = doublings.map(|doublings| 2_u32.saturating_pow(doublings));
        factor.map_or(Duration::ZERO, |factor| self.first.saturating_mul(factor).min(self.longest))
    }
}

/// What is followed, and how.
#[derive(Clone, Debug)]
pub struct EventStream {
    /// Which events: `tenantId`, `roomId` and the like; empty: all.
    pub scope: Query,
    /// Where to start.
    pub start: Start,
    /// How long the log was when it was last seen; [`Sequence::START`] if it never was. A shorter one is another one.
    pub known_head: Sequence,
    /// Where to start if it turns out to be another log than before.
    pub anew: Start,
    /// How long to wait before connecting again.
    pub pauses: Pauses,
    /// A connection that is silent for so long is dead: several heartbeats of the server (`API_STREAM_HEARTBEAT_MS`).
    pub silence: Duration,
}

impl EventStream {
    /// All events behind a start, and again from the beginning if it is another log.
    #[must_use]
    pub fn all(start: Start) -> Self {
        Self {
            scope: Query::new(),
            start,
            known_head: Sequence::START,
            anew: Start::After(Sequence::START),
            pauses: Pauses::default(),
            silence: Duration::from_secs(45),
        }
    }
}

/// An event as it came: its place in the log, and its JSON, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Its place in the log.
    pub sequence: Sequence,
    /// All of it, on one line.
    pub json: Bytes,
}

impl Arrived {
    /// The event, read.
    ///
    /// # Errors
    /// When it is none that this version knows.
    pub fn event(&self) -> Result<Event, serde_json::Error> {
        serde_json::from_slice(&self.json)
    }
}

/// What a stream tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The connection stands.
    Connected {
        /// What comes next lies behind this sequence.
        after: Sequence,
        /// How long the log was just then.
        head: Sequence,
    },
    /// What happened, in order, each once; never empty.
    Events(Vec<Arrived>),
    /// Nothing that was asked for happened up to here.
    ScannedTo(Sequence),
    /// The server left out what happened behind the first, up to the second.
    Gap(Sequence, Sequence),
    /// The log is shorter than it was: not the one that was followed. What comes next begins at [`EventStream::anew`].
    OtherLog {
        /// How long it is.
        head: Sequence,
    },
    /// There is no connection, for this reason; another attempt is made after a pause.
    Lost(Failure),
}

type Connecting = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;

enum State {
    /// Until it is time to connect.
    Pausing(Instant),
    /// On the way.
    Connecting(Connecting),
    /// Reading; dead if nothing comes until then.
    Reading { response: Box<Response>, frames: Frames, dead_at: Instant },
}

/// The events of a server, without end.
pub struct Stream {
    api: Api,
    stream: EventStream,
    progress: Progress,
    state: State,
    /// How often in a row connecting came to nothing.
    failures: u32,
    waiting: VecDeque<News>,
}

impl Stream {
    /// Follows a server. Nothing is asked before the first [`Stream::next`].
    #[must_use]
    pub fn new(api: Api, stream: EventStream) -> Self {
        let progress = Progress::starting(stream.start, stream.known_head);
        let state = State::Pausing(Instant::now());
        Self { api, stream, progress, state, failures: 0, waiting: VecDeque::new() }
    }

    /// The server that is followed.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Where the next connection starts; none: at the newest event.
    #[must_use]
    pub fn cursor(&self) -> Option<Sequence> {
        self.progress.after()
    }

    /// Starts over at another place, with a new connection.
    pub fn start_over(&mut self, start: Start) {
        self.progress = Progress::starting(start, Sequence::START);
        self.waiting.clear();
        self.state = State::Pausing(Instant::now());
    }

    /// Waits for news. May be dropped at any moment and called again: nothing is lost by that.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(news) = self.waiting.pop_front() {
                return news;
            }
            if let Err(failure) = self.advance().await {
                self.failures = self.failures.saturating_add(1);
                self.state = State::Pausing(Instant::now() + self.stream.pauses.after(self.failures));
                self.waiting.push_back(News::Lost(failure));
            }
        }
    }

    /// Takes one step: waits, connects, or reads once.
    async fn advance(&mut self) -> Result<(), Failure> {
        match &mut self.state {
            State::Pausing(until) => {
                sleep_until(*until).await;
                self.state = State::Connecting(self.connect());
            }
            State::Connecting(connecting) => {
                let response = connecting.await?;
                let dead_at = Instant::now() + self.stream.silence;
                let response = Box::new(response);
                self.state = State::Reading { response, frames: Frames::default(), dead_at };
            }
            State::Reading { response, frames, dead_at } => {
                let bytes = match timeout_at(*dead_at, response.chunk()).await {
                    Ok(Ok(Some(bytes))) => bytes,
                    Ok(Ok(None)) => return Err(Failure::Unreachable("the server closed it".to_owned())),
                    Ok(Err(error)) => return Err(Failure::Unreachable(root_cause(&error))),
                    Err(_) => {
                        return Err(Failure::Unreachable("nothing was heard for too long".to_owned()));
                    }
                };
                *dead_at = Instant::now() + self.stream.silence;
                let frames = frames.feed(&bytes);
                let frames = frames.map_err(|_| Failure::Unavailable("a frame without an end".to_owned()))?;
                for frame in frames {
                    let meaning = self.progress.take(frame, Instant::now());
                    let starts_over = matches!(meaning, Meaning::OtherLog { .. });
                    self.take(meaning)?;
                    if starts_over {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn connect(&self) -> Connecting {
        let cursor = self.progress.after().map_or_else(|| "latest".to_owned(), |after| after.to_string());
        let mut query = self.stream.scope.clone();
        query.push(("cursor", cursor));
        let api = self.api.clone();
        Box::pin(async move { api.open(&query).await })
    }

    fn take(&mut self, meaning: Meaning) -> Result<(), Failure> {
        match meaning {
            Meaning::Happened(arrived) => match self.waiting.back_mut() {
                Some(News::Events(events)) => events.push(arrived),
                _ => self.waiting.push_back(News::Events(vec![arrived])),
            },
            Meaning::ScannedTo(sequence) => self.waiting.push_back(News::ScannedTo(sequence)),
            Meaning::Gap(from, to) => self.waiting.push_back(News::Gap(from, to)),
            // A connection that stands and breaks at once, again and again, is no better than none.
            Meaning::Stands { after, head } => {
                self.waiting.push_back(News::Connected { after, head });
                return Ok(());
            }
            Meaning::Alive => {}
            Meaning::Behind { head } => {
                return Err(Failure::Unavailable(format!(
                    "its log ends at {head}, before what was seen of it"
                )));
            }
            Meaning::GivesUp(why) => return Err(Failure::Unavailable(format!("the server gave up: {why}"))),
            Meaning::OtherLog { head } => {
                self.start_over(self.stream.anew);
                self.waiting.push_back(News::OtherLog { head });
                return Ok(());
            }
        }
        self.failures = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let cases =
            [(0, 0), (1, 250), (2, 500), (3, 1_000), (4, 2_000), (5, 4_000), (6, 5_000), (u32::MAX, 5_000)];
        for (failures, want_ms) in cases {
            assert_eq!(Pauses::default().after(failures), Duration::from_millis(want_ms), "{failures}");
        }
    }
}
