//! The connection to Redis. It is maintained in the background, so that no caller waits for a reconnect.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::Secret;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisError};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::refusals::{Refusals, error_reply};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The delay after a failed attempt to connect.
const RECONNECT_DELAY: Duration = Duration::from_millis(250);
/// The interval of the pings that check an idle connection.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// How often the connection to a replica is replaced, because its name may have moved to the primary.
const RENEW_INTERVAL: Duration = Duration::from_secs(10);

/// About how many keys are scanned at once.
const KEYS_AT_ONCE: usize = 500;

/// Redis is not connected, did not answer, or replied with an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RedisUnavailable(pub String);

impl From<RedisError> for RedisUnavailable {
    fn from(error: RedisError) -> Self {
        Self(error.to_string())
    }
}

/// A text is not the URL of a Redis server. The text is not shown: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be the URL of a Redis server (redis://… or rediss://…)")]
pub struct InvalidRedisUrl;

/// What Redis is used for, such that all commands of one use are refused or none: a full memory refuses only writes, a missing
/// permission only some commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RedisUse {
    /// Pings that check the connection.
    Ping,
    /// Counting requests.
    RateLimits,
    /// Loading what moderation limits.
    ModerationReads,
    /// Saving what moderation limits.
    ModerationWrites,
    /// Reading the copy of an unread count.
    UnreadReads,
    /// Writing the copies of unread counts.
    UnreadWrites,
    /// Reading all copies of unread counts.
    UnreadComparison,
    /// The lock of the projector.
    ProjectorLock,
    /// Reading the projector's cursor and read models.
    ReadModelReads,
    /// Writing the cursor and read models.
    ReadModelWrites,
    /// Removing read models, and writing what they expire with or are of.
    ReadModelUpkeep,
    /// Reading rooms to replay them.
    Replays,
}

/// A connection and its number.
type Numbered = Option<(u64, MultiplexedConnection)>;

/// The state of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStatus {
    /// Whether Redis is connected.
    pub connected: bool,
    /// How often the connection was lost or could not be made.
    pub failures: u64,
    /// The last reason.
    pub last_error: Option<String>,
    /// The uses whose last reply was an error, with the error.
    pub refused: BTreeMap<RedisUse, String>,
}

impl ConnectionStatus {
    /// Whether Redis serves all uses.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.connected && self.refused.is_empty()
    }

    /// Why Redis does not serve any of these uses at the moment; none if it serves all of them.
    #[must_use]
    pub fn unavailable(&self, uses: &[RedisUse]) -> Option<String> {
        if self.connected {
            return uses.iter().find_map(|used| self.refused.get(used)).cloned();
        }
        Some(self.last_error.clone().unwrap_or_else(|| "there is no connection to Redis yet".to_owned()))
    }
}

/// The connection to one Redis server.
pub struct RedisConnection {
    client: Client,
    timeout: Duration,
    current: watch::Sender<Numbered>,
    failures: Mutex<(u64, Option<String>)>,
    refusals: Refusals,
}

impl RedisConnection {
    /// Whether a text is the URL of a Redis server.
    ///
    /// # Errors
    /// [`InvalidRedisUrl`] if it is none.
    pub fn check(url: &Secret) -> Result<(), InvalidRedisUrl> {
        Client::open(url.expose()).map(|_| ()).map_err(|_| InvalidRedisUrl)
    }

    /// A connection that [`RedisConnection::maintain`] has to make. It counts as lost when an answer takes longer than `timeout`.
    ///
    /// # Errors
    /// [`InvalidRedisUrl`] if `url` is none.
    pub fn new(url: &Secret, timeout: Duration) -> Result<Arc<Self>, InvalidRedisUrl> {
        let client = Client::open(url.expose()).map_err(|_| InvalidRedisUrl)?;
        let current = watch::Sender::new(None);
        let (failures, refusals) = (Mutex::default(), Refusals::default());
        Ok(Arc::new(Self { client, timeout, current, failures, refusals }))
    }

    /// The next keys that match a pattern, and the cursor behind them, which is `0` behind the last. The first cursor is `0`.
    pub(crate) async fn scan(
        &self,
        used: RedisUse,
        pattern: &str,
        cursor: &str,
    ) -> Result<(String, Vec<String>), RedisUnavailable> {
        let mut pipe = redis::pipe();
        pipe.cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(KEYS_AT_ONCE);
        let (found,) = self.query(used, &pipe).await?;
        Ok(found)
    }

    /// Connects, and reconnects whenever the connection is lost, until `stopping`.
    pub async fn maintain(self: Arc<Self>, stopping: CancellationToken) {
        let mut number = 0;
        let mut renew_at = Instant::now();
        let maintained = async {
            loop {
                let is_connected = self.current.borrow().is_some();
                let is_renewed = self.refusals.is_replica() && renew_at <= Instant::now();
                match is_connected && !is_renewed {
                    true => {
                        // A failure drops the connection; an error reply does not.
                        let _ = self.query::<()>(RedisUse::Ping, redis::pipe().cmd("PING").ignore()).await;
                        let mut changes = self.current.subscribe();
                        tokio::select! {
                            _ = changes.wait_for(Option::is_none) => {}
                            () = sleep(PING_INTERVAL) => {}
                        }
                    }
                    false => match self.connect().await {
                        Ok(connection) => {
                            number += 1;
                            renew_at = Instant::now() + RENEW_INTERVAL;
                            if !is_connected {
                                tracing::info!("connected to Redis");
                            }
                            self.current.send_replace(Some((number, connection)));
                        }
                        Err(error) => {
                            self.count(&error);
                            sleep(RECONNECT_DELAY).await;
                        }
                    },
                }
            }
        };
        stopping.run_until_cancelled(maintained).await;
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisUnavailable> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(self.timeout));
        Ok(self.client.get_multiplexed_async_connection_with_config(&config).await?)
    }

    /// Waits until Redis is connected; the number of the connection.
    pub async fn wait_connected(&self) -> u64 {
        let mut changes = self.current.subscribe();
        let connected = changes.wait_for(Option::is_some).await;
        let current = connected.expect("the sender lives as long as `self`");
        current.as_ref().map_or(0, |(number, _)| *number)
    }

    /// Waits until the connection with this number is lost.
    pub async fn wait_disconnected(&self, number: u64) {
        let mut changes = self.current.subscribe();
        let is_it = |current: &Numbered| current.as_ref().is_some_and(|(known, _)| *known == number);
        let _ = changes.wait_for(|current| !is_it(current)).await;
    }

    /// The state of the connection.
    #[must_use]
    pub fn status(&self) -> ConnectionStatus {
        let (failures, last_error) = self.failures.lock().clone();
        let (connected, refused) = (self.current.borrow().is_some(), self.refusals.current());
        ConnectionStatus { connected, failures, last_error, refused }
    }

    /// Sends commands at once, or fails at once.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis is not connected, or the commands fail.
    pub(crate) async fn query<T: FromRedisValue>(
        &self,
        used: RedisUse,
        pipeline: &Pipeline,
    ) -> Result<T, RedisUnavailable> {
        let mut session = self.session(used)?;
        session.query(used, pipeline).await
    }

    /// One connection for several pipelines that belong together (`WATCH`, then a transaction).
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis is not connected, or has just refused this use.
    pub(crate) fn session(&self, used: RedisUse) -> Result<RedisSession<'_>, RedisUnavailable> {
        if let Some(text) = self.refusals.paused(used) {
            return Err(RedisUnavailable(text));
        }
        let current = self.current.borrow().clone();
        let (number, connection) =
            current.ok_or_else(|| RedisUnavailable("Redis is not connected".to_owned()))?;
        Ok(RedisSession { shared: self, number, connection })
    }

    fn count(&self, error: &RedisUnavailable) {
        let mut failures = self.failures.lock();
        if failures.1.as_ref() != Some(&error.0) {
            tracing::warn!(%error, "Redis is not available");
        }
        *failures = (failures.0 + 1, Some(error.0.clone()));
    }

    /// Drops the connection with this number, unless it was dropped before.
    fn discard(&self, number: u64, error: &RedisUnavailable) {
        let lost = self.current.send_if_modified(|current| {
            let is_current = current.as_ref().is_some_and(|(known, _)| *known == number);
            if is_current {
                *current = None;
            }
            is_current
        });
        if lost {
            self.count(error);
        }
    }
}

/// One connection, until it is lost.
pub(crate) struct RedisSession<'a> {
    shared: &'a RedisConnection,
    number: u64,
    connection: MultiplexedConnection,
}

impl RedisSession<'_> {
    /// Sends commands. A failure ends the connection: the next one may reach another server. An error reply does not, but for a
    /// while there is no session for the same use.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if the commands fail.
    pub(crate) async fn query<T: FromRedisValue>(
        &mut self,
        used: RedisUse,
        pipeline: &Pipeline,
    ) -> Result<T, RedisUnavailable> {
        let refusals = &self.shared.refusals;
        let error = match pipeline.query_async(&mut self.connection).await {
            Ok(reply) => {
                refusals.remove(used);
                return Ok(reply);
            }
            Err(error) => error,
        };
        if let Some(reply) = error_reply(&error) {
            let text = reply.text.clone();
            refusals.add(used, reply);
            return Err(RedisUnavailable(text));
        }
        let error = RedisUnavailable::from(error);
        self.shared.discard(self.number, &error);
        Err(error)
    }
}
