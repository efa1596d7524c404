//! Plays a script on one connection and keeps the tally of what comes of it.

use std::time::Duration;

use crate::connection::Connection;
use crate::control::{Control, sequence_in};
use crate::http::{Head, ProtocolError};
use crate::script::Script;
use crate::stopwatch::Stopwatch;
use crate::tally::Tally;
use crate::target::Target;

/// Pause after a connection that failed: a server that is away is not to be asked as fast as it refuses.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// How a script is played.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How long an answer may take, the connection included where there is none.
    pub request_timeout: Duration,
    /// Whether to go on with another connection when one failed.
    pub reconnects: bool,
    /// What a latency ends with.
    pub latency_ends: LatencyEnds,
    /// Whether to keep the sequences that accepted commands were given.
    pub collects_sequences: bool,
}

/// What a latency ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatencyEnds {
    /// The head of the answer.
    WithHead,
    /// All of the answer.
    WithBody,
}

impl Default for Manner {
    /// Patient with answers, but not with connections.
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(30),
            reconnects: false,
            latency_ends: LatencyEnds::WithBody,
            collects_sequences: false,
        }
    }
}

/// Opens a connection and plays the script on it, one request at a time, until `control` ends the run or, if that is
/// the manner, the connection fails.
pub async fn play<S: Script>(
    target: &Target,
    control: &Control,
    stopwatch: Stopwatch,
    manner: Manner,
    mut script: S,
) -> Tally {
    let mut tally = Tally::default();
    let mut player = Player { target, stopwatch, manner, kept: None };
    let begun_us = stopwatch.elapsed_us();
    // Opened before the first request, whose latency it is not a part of.
    if let Err(error) = player.connect().await {
        tally.lose(&error, stopwatch.elapsed_us() - begun_us);
        if !player.goes_on(control).await {
            return tally;
        }
    }
    while let Some(turn) = control.turn().await {
        let sent_us = stopwatch.elapsed_us();
        let since_us = turn.due_us.unwrap_or(sent_us);
        match player.ask(script.next_request(sent_us)).await {
            Ok(answer) if answer.head.is_success() => {
                if control.is_measuring() {
                    tally.completed += 1;
                    tally.latencies.record_us(answer.at_us - since_us);
                }
                if manner.collects_sequences {
                    tally.sequences.extend(sequence_in(player.body()));
                }
                control.observe(player.body());
            }
            Ok(answer) => {
                tally.refuse(answer.head, player.body(), answer.at_us - since_us);
                control.observe_failure();
            }
            Err(error) => {
                tally.lose(&error, stopwatch.elapsed_us() - since_us);
                if !player.goes_on(control).await {
                    return tally;
                }
            }
        }
    }
    tally
}

/// One connection at a time to a server.
struct Player<'run> {
    target: &'run Target,
    stopwatch: Stopwatch,
    manner: Manner,
    /// The connection, if it was not lost.
    kept: Option<Connection>,
}

struct Answer {
    head: Head,
    at_us: u64,
}

impl Player<'_> {
    async fn connect(&mut self) -> Result<(), ProtocolError> {
        self.kept = Some(self.in_time(Connection::open(self.target)).await?);
        Ok(())
    }

    /// Asks on the connection there is, or on a new one if there is none or the server has closed it meanwhile. An
    /// answer's rest stays in the connection.
    async fn ask(&mut self, request: &[u8]) -> Result<Answer, ProtocolError> {
        let kept = self.kept.take();
        let (connection, answer) = self.in_time(self.exchange(kept, request)).await?;
        self.kept = Some(connection);
        Ok(answer)
    }

    async fn exchange(
        &self,
        kept: Option<Connection>,
        request: &[u8],
    ) -> Result<(Connection, Answer), ProtocolError> {
        if let Some(mut connection) = kept {
            let was_used = !connection.is_unanswered();
            if !was_used || connection.stays() {
                match connection.begin(request).await {
                    // Asking twice does no harm: says carry a key.
                    Err(ProtocolError::Closed | ProtocolError::Transport(_))
                        if was_used && connection.is_unanswered() => {}
                    begun => return self.finish(connection, begun?).await,
                }
            }
        }
        let mut connection = Connection::open(self.target).await?;
        let head = connection.begin(request).await?;
        self.finish(connection, head).await
    }

    async fn finish(
        &self,
        mut connection: Connection,
        head: Head,
    ) -> Result<(Connection, Answer), ProtocolError> {
        let head_us = self.stopwatch.elapsed_us();
        connection.finish().await?;
        let at_us = match self.manner.latency_ends {
            LatencyEnds::WithHead => head_us,
            LatencyEnds::WithBody => self.stopwatch.elapsed_us(),
        };
        Ok((connection, Answer { head, at_us }))
    }

    /// Whether to go on after a connection failed; waits a little before.
    async fn goes_on(&self, control: &Control) -> bool {
        control.observe_failure();
        if self.manner.reconnects {
            control.pause(RECONNECT_PAUSE).await;
        }
        self.manner.reconnects
    }

    /// The body of the last answer.
    fn body(&self) -> &[u8] {
        self.kept.as_ref().map_or(b"", |connection| connection.response().body)
    }

    async fn in_time<T>(
        &self,
        future: impl Future<Output = Result<T, ProtocolError>>,
    ) -> Result<T, ProtocolError> {
        let outcome = tokio::time::timeout(self.manner.request_timeout, future).await;
        outcome.unwrap_or(Err(ProtocolError::TimedOut))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::script::AlternatingScript;

    /// Answers so many requests on each connection, then closes it without having said so.
    async fn forgetful(answers: usize) -> Target {
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

    async fn played(target: &Target, reconnects: bool) -> Tally {
        let script = AlternatingScript::of_gets(target, &["/"]);
        let manner = Manner { reconnects, ..Manner::default() };
        play(target, &Control::of_requests(7), Stopwatch::start(), manner, script).await
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_while_idle_is_no_failure() {
        let tally = played(&forgetful(2).await, false).await;
        assert_eq!((tally.completed, tally.failed), (7, 0), "{:?}", tally.failure_sample);
    }

    #[tokio::test]
    async fn a_connection_that_never_answers_is_one() {
        let target = forgetful(0).await;
        let (once, always) = (played(&target, false).await, played(&target, true).await);
        assert_eq!((once.completed, once.failures.transport), (0, 1));
        assert_eq!((always.completed, always.failures.transport), (0, 7));
    }
}
