//! The event stream over HTTP: comes back by itself where it broke off.

use std::time::Duration;

use agentcafe_domain::ids::Sequence;
use anyhow::anyhow;
use reqwest::Response;

use super::{
    event::Event,
    frame::Frames,
    progress::{Meaning, Progress},
    server::{Failure, Server, root_cause},
};

/// The first pause before connecting again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A connection that is silent for so long is dead: servers send a heartbeat every 15 s.
const LONGEST_SILENCE: Duration = Duration::from_secs(90);

/// What came in at once: news about the connection, then events in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What a person should know about the connection.
    pub(super) notices: Vec<String>,
    /// What happened.
    pub(super) events: Vec<Event>,
}

/// The events of a server, without end.
pub(super) struct Stream {
    server: Server,
    progress: Progress,
    /// How many events are shown that happened before the first connection.
    last: u16,
    connection: Option<Connection>,
    /// Whether the stream ever stood: before, every failure is final.
    stood: bool,
    /// How often in a row connecting came to nothing.
    failures: u32,
    /// Whether it was told that the connection is lost.
    lost: bool,
}

struct Connection {
    response: Response,
    frames: Frames,
}

impl Stream {
    /// The events of a server behind a sequence. Without one, from the newest on, and the `last` ones before.
    pub(super) fn new(server: Server, since: Option<Sequence>, last: u16) -> Self {
        let progress = Progress::starting(since);
        Self { server, progress, last, connection: None, stood: false, failures: 0, lost: false }
    }

    /// Waits for news; never gives an empty batch.
    ///
    /// # Errors
    /// When the very first attempt fails, or the server refuses for good.
    pub(super) async fn next(&mut self) -> anyhow::Result<Batch> {
        loop {
            let mut batch = Batch::default();
            if let Err(failure) = self.advance(&mut batch).await {
                self.fail(failure, &mut batch)?;
            }
            if !batch.events.is_empty() || !batch.notices.is_empty() {
                return Ok(batch);
            }
        }
    }

    /// Connects if there is no connection, else reads once. A connection that fails is not kept.
    async fn advance(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        let Some(mut connection) = self.connection.take() else {
            tokio::time::sleep(pause(self.failures)).await;
            let response = self.server.stream(self.progress.after()).await?;
            self.connection = Some(Connection { response, frames: Frames::default() });
            return Ok(());
        };
        let bytes = match tokio::time::timeout(LONGEST_SILENCE, connection.response.chunk()).await {
            Ok(Ok(Some(bytes))) => bytes,
            Ok(Ok(None)) => return Err(Failure::Unreachable("the server closed it".to_owned())),
            Ok(Err(error)) => return Err(Failure::Unreachable(root_cause(&error))),
            Err(_) => return Err(Failure::Unreachable("nothing was heard for too long".to_owned())),
        };
        for frame in connection.frames.feed(&bytes) {
            let meaning = self.progress.take(&frame);
            self.take(meaning, batch).await?;
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn take(&mut self, meaning: Meaning, batch: &mut Batch) -> Result<(), Failure> {
        match meaning {
            Meaning::Happened(event) => batch.events.push(*event),
            Meaning::Missing(what) => batch.notices.push(what),
            Meaning::Alive => {}
            Meaning::Continues => {
                self.stands(batch);
                return Ok(());
            }
            Meaning::StartsAt(sequence) => return self.start(sequence, batch).await,
            Meaning::GivesUp(why) => return Err(Failure::Unavailable(format!("the server gave up: {why}"))),
            Meaning::OtherLog => {
                self.progress.start_over();
                batch
                    .notices
                    .push("the server has another log than before; starting at its newest event".to_owned());
                return Err(Failure::Unavailable("another log".to_owned()));
            }
        }
        self.failures = 0;
        Ok(())
    }

    /// The first connection: shows what happened just before it.
    async fn start(&mut self, sequence: Sequence, batch: &mut Batch) -> Result<(), Failure> {
        if self.last > 0 {
            let events = self.server.latest(sequence, self.last).await;
            // Nothing was shown yet, so another attempt starts at the newest event once more.
            batch.events = events.inspect_err(|_| self.progress.start_over())?;
        }
        if batch.events.is_empty() && self.last > 0 {
            batch.notices.push("nothing has happened here yet".to_owned());
        }
        self.stands(batch);
        Ok(())
    }

    fn stands(&mut self, batch: &mut Batch) {
        self.stood = true;
        if std::mem::take(&mut self.lost) {
            batch.notices.push("connected again".to_owned());
        }
    }

    /// Tells once that the connection is lost, and why. The next attempt is made after a pause.
    fn fail(&mut self, failure: Failure, batch: &mut Batch) -> anyhow::Result<()> {
        let server = self.server.name();
        match failure {
            Failure::Refused(why) => return Err(anyhow!(why)),
            Failure::Unreachable(why) if !self.stood => {
                return Err(anyhow!(
                    "cannot reach a server at {server} ({why}); start one with `agentcafe serve`, or name another with --url"
                ));
            }
            Failure::Unavailable(why) if !self.stood => {
                return Err(anyhow!("{server} is not available: {why}"));
            }
            Failure::Unreachable(why) | Failure::Unavailable(why) => {
                self.failures = self.failures.saturating_add(1);
                if !std::mem::replace(&mut self.lost, true) {
                    batch.notices.push(format!("the connection to {server} is lost ({why}); trying again"));
                }
            }
        }
        Ok(())
    }
}

/// How long to wait before connecting, after so many failures in a row.
fn pause(failures: u32) -> Duration {
    let doublings = failures.checked_sub(1);
    let factor = doublings.map(|doublings| 2_u32.saturating_pow(doublings));
    factor.map_or(Duration::ZERO, |factor| FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_five_seconds() {
        let cases =
            [(0, 0), (1, 250), (2, 500), (3, 1_000), (4, 2_000), (5, 4_000), (6, 5_000), (u32::MAX, 5_000)];
        for (failures, want_ms) in cases {
            assert_eq!(pause(failures), Duration::from_millis(want_ms), "{failures}");
        }
    }
}
