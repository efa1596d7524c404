//! The connection to Redis. It is maintained in the background, so that no caller waits for a reconnect.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::Secret;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisError};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The delay after a failed attempt to connect.
const RECONNECT_DELAY: Duration = Duration::from_millis(250);
/// The interval of the pings that check an idle connection.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// About how many keys are scanned at once.
const KEYS_AT_ONCE: usize = 500;

/// Redis is not connected, did not answer, or reported an error.
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
}

/// The connection to one Redis server.
pub struct RedisConnection {
    client: Client,
    timeout: Duration,
    current: watch::Sender<Numbered>,
    failures: Mutex<(u64, Option<String>)>,
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
        Ok(Arc::new(Self { client, timeout, current, failures: Mutex::default() }))
    }

    /// The next keys that match a pattern, and the cursor behind them, which is `0` behind the last. The first cursor is `0`.
    pub(crate) async fn scan(
        &self,
        pattern: &str,
        cursor: &str,
    ) -> Result<(String, Vec<String>), RedisUnavailable> {
        let mut pipe = redis::pipe();
        pipe.cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(KEYS_AT_ONCE);
        let (found,) = self.query(&pipe).await?;
        Ok(found)
    }

    /// Connects, and reconnects whenever the connection is lost, until `stopping`.
    pub async fn maintain(self: Arc<Self>, stopping: CancellationToken) {
        let mut number = 0;
        let maintained = async {
            loop {
                let known = self.current.borrow().clone();
                match known {
                    Some(_) => {
                        let pinged = self.query::<()>(redis::pipe().cmd("PING").ignore()).await;
                        if pinged.is_ok() {
                            let mut changes = self.current.subscribe();
                            tokio::select! {
                                _ = changes.wait_for(Option::is_none) => {}
                                () = sleep(PING_INTERVAL) => {}
                            }
                        }
                    }
                    None => match self.connect().await {
                        Ok(connection) => {
                            number += 1;
                            tracing::info!("connected to Redis");
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
        ConnectionStatus { connected: self.current.borrow().is_some(), failures, last_error }
    }

    /// Sends commands at once, or fails at once.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis is not connected, or the commands fail.
    pub async fn query<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, RedisUnavailable> {
        let mut session = self.session()?;
        session.query(pipeline).await
    }

    /// One connection for several pipelines that belong together (`WATCH`, then a transaction).
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis is not connected.
    pub fn session(&self) -> Result<RedisSession<'_>, RedisUnavailable> {
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
pub struct RedisSession<'a> {
    shared: &'a RedisConnection,
    number: u64,
    connection: MultiplexedConnection,
}

impl RedisSession<'_> {
    /// Sends commands. Any failure ends the connection: the next one may reach another server.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if the commands fail.
    pub async fn query<T: FromRedisValue>(&mut self, pipeline: &Pipeline) -> Result<T, RedisUnavailable> {
        let answer = pipeline.query_async(&mut self.connection).await.map_err(RedisUnavailable::from);
        answer.inspect_err(|error| self.shared.discard(self.number, error))
    }
}
