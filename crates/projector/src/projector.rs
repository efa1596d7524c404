//! The projector: sessions, one after the other, for as long as the process runs.

use std::{sync::Arc, time::Duration};

use agentcafe_client::{Api, EventStream, News, Pauses, Start, Stream};
use agentcafe_domain::kernel::{ids::Sequence, time::Clock};
use agentcafe_redis::{
    Keys, RedisConnection,
    read_models::{ReadModelLimits, ReadModels},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    Scope,
    session::{End, Session},
    status::{Report, Status},
};

/// How long the right to write is kept without being renewed: after that, another projector takes over.
pub(crate) const HOLD: Duration = Duration::from_secs(4);
/// How often one that stands by looks whether it is needed.
const STAND_BY: Duration = Duration::from_millis(500);
/// The pause before a session is begun after one that came to nothing.
const PAUSE: Duration = Duration::from_millis(250);

/// What is projected, and where to.
pub struct Settings {
    /// The API whose log is followed.
    pub api: Api,
    /// How long to wait before connecting to it again.
    pub pauses: Pauses,
    /// After so long a silence, a connection to it counts as dead.
    pub silence: Duration,
    /// Which rooms.
    pub scope: Scope,
    /// Where to begin in a log that was never projected.
    pub start_cursor: Sequence,
    /// The names of the keys.
    pub keys: Keys,
    /// The most events in the stream of a room.
    pub stream_maxlen: u64,
    /// How long presence stays known when nobody renews it; none: for ever.
    pub presence_ttl: Option<Duration>,
}

/// The projector of one process.
pub struct Projector {
    pub(crate) settings: Settings,
    pub(crate) status: Status,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stopping: CancellationToken,
    /// Tells it from others.
    pub(crate) name: String,
    projection: Option<ReadModels>,
}

impl Projector {
    /// A projector that writes to Redis, or, without a link, only follows. Its name tells it from others.
    #[must_use]
    pub fn new(
        settings: Settings,
        connection: Option<Arc<RedisConnection>>,
        clock: Arc<dyn Clock>,
        name: String,
        stopping: CancellationToken,
    ) -> Self {
        let limits =
            ReadModelLimits { stream_maxlen: settings.stream_maxlen, presence_ttl: settings.presence_ttl };
        let scope = settings.scope.name();
        let projection =
            connection.map(|connection| ReadModels::new(connection, settings.keys.clone(), &scope, limits));
        Self { settings, status: Status::default(), clock, stopping, name, projection }
    }

    /// How it stands.
    #[must_use]
    pub fn report(&self) -> Report {
        let connection = self.projection.as_ref().map(|projection| projection.connection().status());
        self.status.report(connection, self.settings.api.name(), self.clock.now())
    }

    /// Projects until the process stops.
    pub async fn run(&self) {
        let Some(projection) = &self.projection else { return self.follow().await };
        let sessions = self.sessions(projection);
        // A session notices by itself that the process stops, and writes what it has.
        sessions.await;
        if let Err(away) = projection.release(&self.name).await {
            tracing::debug!(%away, "the right to write runs out by itself");
        }
    }

    async fn sessions(&self, projection: &ReadModels) {
        while !self.stopping.is_cancelled() {
            let ready = async {
                projection.connection().connected().await;
                self.take_turn(projection).await
            };
            let Some(mine) = self.stopping.run_until_cancelled(ready).await else { return };
            if !mine {
                self.pause(STAND_BY).await;
                continue;
            }
            let end = match Session::begin(self, projection).await {
                Ok(session) => session.run().await,
                Err(end) => end,
            };
            self.status.change(|state| state.source_connected = false);
            match end {
                End::Stopped => return,
                End::Away(away) => tracing::debug!(%away, "the session ended"),
                End::Overtaken => {
                    tracing::warn!("Redis does not hold what was written last: going on from what it holds");
                }
                End::Anew(why) => {
                    tracing::warn!(why, "everything is projected anew");
                    if let Err(away) = projection.clear(&self.name, HOLD).await {
                        tracing::debug!(%away, "Redis could not be cleared");
                    }
                }
            }
            self.pause(PAUSE).await;
        }
    }

    /// Takes the right to write; false if another projector has it.
    async fn take_turn(&self, projection: &ReadModels) -> bool {
        let held = projection.hold(&self.name, HOLD).await;
        let stands_by = matches!(held, Ok(false));
        self.status.change(|state| {
            if stands_by && !state.is_standby {
                tracing::info!("another projector is at work: standing by");
            }
            state.is_standby = stands_by;
        });
        matches!(held, Ok(true))
    }

    async fn pause(&self, time: Duration) {
        self.stopping.run_until_cancelled(sleep(time)).await;
    }

    /// Follows the log and tells what came of it, without Redis.
    async fn follow(&self) {
        let stream = EventStream {
            scope: self.settings.scope.query(),
            pauses: self.settings.pauses,
            silence: self.settings.silence,
            ..EventStream::all(Start::After(self.settings.start_cursor))
        };
        let mut stream = Stream::new(self.settings.api.clone(), stream);
        while let Some(news) = self.stopping.run_until_cancelled(stream.next()).await {
            self.status.change(|state| match news {
                News::Events(events) => {
                    state.events += events.len() as u64;
                    state.cursor = events.last().map_or(state.cursor, |event| event.sequence);
                    tracing::debug!(cursor = %state.cursor, "followed, and kept nothing: REDIS_URL is not set");
                }
                News::ScannedTo(sequence) => state.cursor = sequence,
                News::Connected { head, .. } => {
                    state.source_connected = true;
                    state.head = head;
                }
                News::OtherLog { .. } => state.cursor = Sequence::START,
                News::Gap(..) => {}
                News::Lost(failure) => {
                    state.source_connected = false;
                    state.reconnects += 1;
                    state.source_error = Some(failure.to_string());
                }
            });
        }
    }
}
