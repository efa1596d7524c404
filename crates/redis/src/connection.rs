//! The connection to Redis: kept in the background, so that nobody who needs it ever waits for it to come back.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::kernel::secret::Secret;
use parking_lot::Mutex;
use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisError, aio::MultiplexedConnection,
};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause after an attempt to connect that failed.
const RECONNECT_PAUSE: Duration = Duration::from_millis(250);
/// How often it is looked whether a connection that nobody uses still stands.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Redis could not be asked, or did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Away(pub String);

impl From<RedisError> for Away {
    fn from(error: RedisError) -> Self {
        Self(error.to_string())
    }
}

/// A text that is no URL of a Redis server. It is not shown: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be the URL of a Redis server (redis://… or rediss://…)")]
pub struct BadUrl;

/// A connection, and which one it is.
type Numbered = Option<(u64, MultiplexedConnection)>;

/// How the connection stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// Whether there is one.
    pub connected: bool,
    /// How often one was lost, or could not be made.
    pub failures: u64,
    /// Why, the last time.
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
    /// [`BadUrl`] if it is none.
    pub fn check(url: &Secret) -> Result<(), BadUrl> {
        Client::open(url.expose()).map(|_| ()).map_err(|_| BadUrl)
    }

    /// A link that is not connected before [`RedisConnection::keep`] runs. An answer may take `patience`; then the connection counts
    /// as lost.
    ///
    /// # Errors
    /// [`BadUrl`] if that is none.
    pub fn new(url: &Secret, timeout: Duration) -> Result<Arc<Self>, BadUrl> {
        let client = Client::open(url.expose()).map_err(|_| BadUrl)?;
        let current = watch::Sender::new(None);
        Ok(Arc::new(Self { client, timeout, current, failures: Mutex::default() }))
    }

    /// Connects, and connects again whenever the connection is lost, until `stopping`.
    pub async fn keep(self: Arc<Self>, stopping: CancellationToken) {
        let mut number = 0;
        let kept = async {
            loop {
                let known = self.current.borrow().clone();
                match known {
                    Some(_) => {
                        let pinged = self.query::<()>(redis::pipe().cmd("PING").ignore()).await;
                        if pinged.is_ok() {
                            let mut changes = self.current.subscribe();
                            tokio::select! {
                                _ = changes.wait_for(Option::is_none) => {}
                                () = sleep(LOOK_AGAIN) => {}
                            }
                        }
                    }
                    None => match self.connect().await {
                        Ok(connection) => {
                            number += 1;
                            tracing::info!("connected to Redis");
                            self.current.send_replace(Some((number, connection)));
                        }
                        Err(away) => {
                            self.count(&away);
                            sleep(RECONNECT_PAUSE).await;
                        }
                    },
                }
            }
        };
        stopping.run_until_cancelled(kept).await;
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Away> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(self.timeout));
        Ok(self.client.get_multiplexed_async_connection_with_config(&config).await?)
    }

    /// Waits until there is a connection, and tells which one it is.
    pub async fn connected(&self) -> u64 {
        let mut changes = self.current.subscribe();
        let connected = changes.wait_for(Option::is_some).await;
        let current = connected.expect("the sender is ours, so that it is there as long as we are");
        current.as_ref().map_or(0, |(number, _)| *number)
    }

    /// Waits until there is no connection, or another one than this.
    pub async fn lost(&self, number: u64) {
        let mut changes = self.current.subscribe();
        let is_it = |current: &Numbered| current.as_ref().is_some_and(|(known, _)| *known == number);
        let _ = changes.wait_for(|current| !is_it(current)).await;
    }

    /// How the connection stands.
    #[must_use]
    pub fn status(&self) -> ConnectionStatus {
        let (failures, last_error) = self.failures.lock().clone();
        ConnectionStatus { connected: self.current.borrow().is_some(), failures, last_error }
    }

    /// Asks Redis, at once or not at all.
    ///
    /// # Errors
    /// [`Away`] if there is no connection, or it came to nothing.
    pub async fn query<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, Away> {
        let mut session = self.session()?;
        session.query(pipeline).await
    }

    /// One connection for several questions that belong together.
    ///
    /// # Errors
    /// [`Away`] if there is none.
    pub fn session(&self) -> Result<Session<'_>, Away> {
        let current = self.current.borrow().clone();
        let (number, connection) =
            current.ok_or_else(|| Away("there is no connection to Redis".to_owned()))?;
        Ok(Session { shared: self, number, connection })
    }

    fn count(&self, away: &Away) {
        let mut failures = self.failures.lock();
        if failures.1.as_ref() != Some(&away.0) {
            tracing::warn!(why = %away, "Redis is away");
        }
        *failures = (failures.0 + 1, Some(away.0.clone()));
    }

    /// Gives a connection up, unless that has been done already.
    fn lose(&self, number: u64, away: &Away) {
        let lost = self.current.send_if_modified(|current| {
            let is_it = current.as_ref().is_some_and(|(known, _)| *known == number);
            if is_it {
                *current = None;
            }
            is_it
        });
        if lost {
            self.count(away);
        }
    }
}

/// One connection, as long as it stands.
pub struct Session<'a> {
    shared: &'a RedisConnection,
    number: u64,
    connection: MultiplexedConnection,
}

impl Session<'_> {
    /// Asks Redis. Whatever comes to nothing ends the connection: the next one may find another server.
    ///
    /// # Errors
    /// [`Away`] if it came to nothing.
    pub async fn query<T: FromRedisValue>(&mut self, pipeline: &Pipeline) -> Result<T, Away> {
        let answer = pipeline.query_async(&mut self.connection).await.map_err(Away::from);
        answer.inspect_err(|away| self.shared.lose(self.number, away))
    }
}
