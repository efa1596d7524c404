//! Connects to PostgreSQL by its URL, with or without TLS, and retries at the start and after a failure.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::clock::TimeSource;
use super::tls::TlsVerification;
use crate::storage_error::{StorageError, with_causes};

/// How often connecting is tried at the start, and the pause after the first attempt, which doubles.
const ATTEMPTS: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How long an idle transaction may hold its locks: a node that was disconnected must not stop the others.
const IDLE_IN_TRANSACTION_MS: u64 = 5_000;
/// The timeout of waiting for a connection, and of a unit of work on it; longer than an idle transaction of another node lasts.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The pauses before work that was lost with its connection is tried again, and for how long it is. A restart of the database
/// takes about as long.
const RETRY_PAUSES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(500)];
const RETRY_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection without its client: what PostgreSQL sends on it.
pub(super) type Messages =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// What a PostgreSQL store is opened with.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database?sslmode=…`.
    pub url: agentcafe_domain::kernel::Secret,
    /// The most connections that read.
    pub pool_max: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Whether the schema is migrated at the start.
    pub auto_migrate: bool,
    /// The advisory lock under which that happens.
    pub migration_lock_key: i64,
    /// Whose clock gives commit batches their time.
    pub time: TimeSource,
}

impl StorageError {
    /// Whether another connection may succeed: this one is closed, or its database is starting, stopping, or a standby that
    /// accepts no writes.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Sqlite(_) | Self::FileLost(_) | Self::Corrupt(_) | Self::DamagedEvents(_) => false,
            Self::Postgres(error) => is_transient(error),
        }
    }
}

/// Whether the next attempt may succeed.
fn is_transient(error: &Error) -> bool {
    match error.code().map(SqlState::code) {
        Some(code) => code.starts_with("08") || code.starts_with("57P") || code == "25006",
        None => error.is_closed() || error.source().is_some_and(is_network_error),
    }
}

/// A certificate that is refused is no network error, although it comes as one: of invalid data.
fn is_network_error(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref().is_some_and(|error: &io::Error| error.kind() != io::ErrorKind::InvalidData)
}

/// A bounded number of retries.
pub(super) struct Retry {
    began: Instant,
    pauses: std::array::IntoIter<Duration, 3>,
}

impl Default for Retry {
    fn default() -> Self {
        Self { began: Instant::now(), pauses: RETRY_PAUSES.into_iter() }
    }
}

impl Retry {
    /// Whether to retry after this error; waits for the pause before.
    pub(super) async fn should_retry(&mut self, error: &StorageError) -> bool {
        if !error.is_lost() || self.began.elapsed() > RETRY_TIMEOUT {
            return false;
        }
        let Some(pause) = self.pauses.next() else { return false };
        sleep(pause).await;
        true
    }
}

/// Where the database is.
#[derive(Clone)]
pub(super) struct Address {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Address {
    /// The address in a URL.
    ///
    /// # Errors
    /// What is wrong with the URL, without its content, which may be a password.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let (url, verification) = TlsVerification::split_off(url)?;
        let mut config: Config =
            url.parse().map_err(|error: Error| format!("the URL cannot be read: {}", with_causes(&error)))?;
        config
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(CONNECT_TIMEOUT * 2)
            .keepalives_idle(CONNECT_TIMEOUT * 2)
            .options(format!(
                "-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS} -c statement_timeout={}",
                TIMEOUT.as_millis()
            ));
        Ok(Self { config, tls: MakeRustlsConnect::new(verification.client_config()?) })
    }

    /// The same with a name, by which PostgreSQL lists what its connections are for.
    fn named(&self, what: &str) -> Config {
        let mut config = self.config.clone();
        config.application_name(format!("agentcafe {what}"));
        config
    }

    /// A pool of at most `max` connections. None is open yet.
    pub(super) fn pool(&self, what: &str, max: usize) -> Pool {
        let fast = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.named(what), self.tls.clone(), fast);
        Pool::builder(manager)
            .max_size(max)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .build()
            .expect("a pool with timeouts has a runtime")
    }

    /// A connection, and the messages that PostgreSQL sends on it.
    pub(super) async fn connect(&self, what: &str) -> Result<(Client, Messages), Error> {
        self.named(what).connect(self.tls.clone()).await
    }
}

/// Connects for the first time, with retries: a database that was just started needs a moment.
pub(super) async fn connect_with_retry(pool: &Pool) -> Result<Object, PoolError> {
    let mut pause = FIRST_PAUSE;
    for attempt in 1..ATTEMPTS {
        match pool.get().await {
            Ok(client) => return Ok(client),
            Err(PoolError::Backend(error)) if !is_transient(&error) => return Err(PoolError::Backend(error)),
            Err(error) => {
                tracing::warn!(
                    error = with_causes(&error),
                    attempt,
                    "PostgreSQL cannot be reached; trying again"
                );
                sleep(pause).await;
                pause *= 2;
            }
        }
    }
    pool.get().await
}
