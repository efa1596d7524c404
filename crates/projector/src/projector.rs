//! The projector: runs one session after the other until the process stops.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_client::{ApiClient, Backoff, EventStream, Start, StreamOptions, StreamUpdate};
use agentcafe_domain::kernel::{Clock, Sequence};
use agentcafe_redis::read_models::{ReadModelLimits, ReadModels};
use agentcafe_redis::{Keys, RedisConnection};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::Scope;
use crate::session::{Session, SessionEnd};
use crate::status::{Health, Status};

/// The time to live of the lock: after that without a renewal, another projector takes over.
pub(crate) const LOCK_TTL: Duration = Duration::from_secs(4);
/// How often a standby tries to take the lock.
const STANDBY_INTERVAL: Duration = Duration::from_millis(500);
/// The delay before the next session.
const SESSION_DELAY: Duration = Duration::from_millis(250);
/// The same after Redis refused a command.
const REFUSED_DELAY: Duration = Duration::from_secs(1);

/// The settings of the projector.
pub struct Settings {
    /// The API whose log is followed.
    pub api: ApiClient,
    /// How long to wait before reconnecting to it.
    pub backoff: Backoff,
    /// A connection to it without data for this long is lost.
    pub idle_timeout: Duration,
    /// Which rooms.
    pub scope: Scope,
    /// The cursor to start from when Redis has none.
    pub start_cursor: Sequence,
    /// The names of the keys.
    pub keys: Keys,
    /// The most events in the stream of a room.
    pub stream_maxlen: u64,
    /// How long presence is kept after the projector stopped; none: forever.
    pub presence_ttl: Option<Duration>,
}

impl Settings {
    /// The events of the log after `cursor`.
    pub(crate) fn stream_options(&self, cursor: Sequence) -> StreamOptions {
        StreamOptions {
            scope: self.scope.query(),
            backoff: self.backoff,
            idle_timeout: self.idle_timeout,
            ..StreamOptions::all(Start::After(cursor))
        }
    }
}

/// The projector of one process.
pub struct Projector {
    pub(crate) settings: Settings,
    pub(crate) status: Status,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stopping: CancellationToken,
    /// Owns the lock; unique among projectors.
    pub(crate) name: String,
    read_models: Option<ReadModels>,
}

impl Projector {
    /// A projector that writes to Redis; without a connection it only follows the log. Its `name` must be unique among projectors.
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
        let read_models =
            connection.map(|connection| ReadModels::new(connection, settings.keys.clone(), &scope, limits));
        Self { settings, status: Status::default(), clock, stopping, name, read_models }
    }

    pub(crate) fn health(&self) -> Health {
        let connection = self.read_models.as_ref().map(|read_models| read_models.connection().status());
        self.status.health(connection, self.settings.api.address(), self.clock.now())
    }

    /// Projects until the process stops.
    pub async fn run(&self) {
        let Some(read_models) = &self.read_models else { return self.follow_only().await };
        self.run_sessions(read_models).await;
        if let Err(error) = read_models.release_lock(&self.name).await {
            tracing::debug!(%error, "the lock was not released; it expires");
        }
    }

    async fn run_sessions(&self, read_models: &ReadModels) {
        while !self.stopping.is_cancelled() {
            let ready = async {
                read_models.connection().wait_connected().await;
                self.acquire_lock(read_models).await
            };
            let Some(is_active) = self.stopping.run_until_cancelled(ready).await else { return };
            if !is_active {
                self.pause(STANDBY_INTERVAL).await;
                continue;
            }
            // A session ends by itself when the process stops: it writes the pending events first.
            let end = match Session::begin(self, read_models).await {
                Ok(session) => session.run().await,
                Err(end) => end,
            };
            self.status.change(|state| state.source.connected = false);
            match end {
                SessionEnd::Stopped => return,
                SessionEnd::RedisUnavailable(error) => tracing::debug!(%error, "the session ended"),
                SessionEnd::Conflict => {
                    tracing::warn!("Redis does not hold the last write: resuming from what it holds");
                }
                SessionEnd::Rebuild(why) => {
                    tracing::warn!(why, "rebuilding all read models");
                    if let Err(error) = read_models.clear(&self.name, LOCK_TTL).await {
                        tracing::debug!(%error, "Redis could not be cleared");
                    }
                }
            }
            let is_refused = !read_models.connection().status().refused.is_empty();
            self.pause(if is_refused { REFUSED_DELAY } else { SESSION_DELAY }).await;
        }
    }

    /// Takes the lock; `false` if another projector holds it, or Redis does not answer.
    async fn acquire_lock(&self, read_models: &ReadModels) -> bool {
        let acquired = read_models.acquire_lock(&self.name, LOCK_TTL).await;
        let is_standby = matches!(acquired, Ok(false));
        self.status.change(|state| {
            if is_standby && !state.standby {
                tracing::info!("another projector is active: standing by");
            }
            state.standby = is_standby;
        });
        matches!(acquired, Ok(true))
    }

    async fn pause(&self, time: Duration) {
        self.stopping.run_until_cancelled(sleep(time)).await;
    }

    /// Follows the log and reports its status, without Redis.
    async fn follow_only(&self) {
        let options = self.settings.stream_options(self.settings.start_cursor);
        let mut stream = EventStream::new(self.settings.api.clone(), options);
        while let Some(update) = self.stopping.run_until_cancelled(stream.next()).await {
            self.status.change(|state| match update {
                StreamUpdate::Events(events) => {
                    state.events += events.len() as u64;
                    state.cursor = events.last().map_or(state.cursor, |event| event.sequence);
                    tracing::debug!(cursor = %state.cursor, "followed the log without writing: REDIS_URL is not set");
                }
                StreamUpdate::ScannedTo(sequence) => state.cursor = sequence,
                StreamUpdate::Connected { head, .. } => state.connected(head),
                StreamUpdate::LogReplaced { .. } => state.cursor = Sequence::START,
                StreamUpdate::Gap { .. } => {}
                StreamUpdate::Disconnected(error) => state.disconnected(error.to_string()),
            });
        }
    }
}
