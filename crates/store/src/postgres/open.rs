//! Connecting to PostgreSQL: by its URL, with or without TLS, patiently at the start and after a failure.

use std::{error::Error as _, io, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, Config, Error, Socket, error::SqlState, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{clock::TimeSource, tls::Trust};

/// How often connecting is tried at the start and after a failure, and how long is waited in between.
const ATTEMPTS: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How long a transaction that nobody works on may hold its locks: a node that was cut off must not stop the others.
const IDLE_IN_TRANSACTION_MS: u64 = 5_000;
/// How long one waits for a connection, and for what is done on it; longer than another node's transaction may stand still.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The pauses before what was lost with its connection is tried again; and for how long one goes on trying. A restart of the
/// database takes about as long.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(500)];
const TRYING: Duration = Duration::from_secs(1);

/// What comes on a connection unasked.
pub(super) type Messages =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// What a PostgreSQL store is opened with.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database?sslmode=…`.
    pub url: agentcafe_domain::kernel::secret::Secret,
    /// The most connections that read.
    pub pool_max: usize,
    /// How long a connection that nobody needs is kept.
    pub idle_timeout: Duration,
    /// Whether the schema is brought to this version at the start.
    pub auto_migrate: bool,
    /// The advisory lock under which that happens.
    pub migration_lock_key: i64,
    /// By whose clock turns happen.
    pub time: TimeSource,
}

/// What could not be read, or was not understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The database did not do it.
    #[error("{}", with_causes(.0))]
    Database(#[from] Error),
    /// There was no connection to ask on.
    #[error("PostgreSQL cannot be reached: {0}")]
    Unreachable(String),
    /// The answer is nothing that any version wrote.
    #[error("the store holds {0}")]
    Content(String),
}

impl Unreadable {
    /// Whether another connection may do better: this one is gone, or leads to a database that goes down, comes up, or is a
    /// standby that may be written to no more, or not yet.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Content(_) => false,
            Self::Database(error) => is_passing(error),
        }
    }
}

/// Whether the next attempt may do better.
fn is_passing(error: &Error) -> bool {
    match error.code().map(SqlState::code) {
        Some(code) => code.starts_with("08") || code.starts_with("57P") || code == "25006",
        None => error.is_closed() || error.source().is_some_and(is_of_the_network),
    }
}

/// A certificate that is refused is no better the next time; it comes as data that is not valid.
fn is_of_the_network(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref().is_some_and(|error: &io::Error| error.kind() != io::ErrorKind::InvalidData)
}

/// Attempts at what can be tried again, a bounded number of them.
pub(super) struct Attempts {
    began: Instant,
    pauses: std::array::IntoIter<Duration, 3>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { began: Instant::now(), pauses: PAUSES.into_iter() }
    }
}

impl Attempts {
    /// Whether to try again after this error; after a pause.
    pub(super) async fn goes_on(&mut self, error: &Unreadable) -> bool {
        if !error.is_lost() || self.began.elapsed() > TRYING {
            return false;
        }
        let Some(pause) = self.pauses.next() else { return false };
        sleep(pause).await;
        true
    }
}

/// The error and what caused it: that of the driver alone says little.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        why = format!("{why}: {error}");
        cause = error.source();
    }
    why
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
    /// What is wrong with the URL, without what stands in it.
    pub(super) fn read(url: &str) -> Result<Self, String> {
        let (url, trust) = Trust::split_off(url)?;
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
        Ok(Self { config, tls: MakeRustlsConnect::new(trust.client()?) })
    }

    /// The same for connections that do one thing, as PostgreSQL names it.
    fn named(&self, what: &str) -> Config {
        let mut config = self.config.clone();
        config.application_name(format!("agentcafe {what}"));
        config
    }

    /// A pool of at most so many connections. None is made yet.
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

    /// A connection, and the messages that come on it unasked.
    pub(super) async fn connect(&self, what: &str) -> Result<(Client, Messages), Error> {
        self.named(what).connect(self.tls.clone()).await
    }
}

/// Connects for the first time: a database that is just starting gets some time.
pub(super) async fn patiently(pool: &Pool) -> Result<Object, PoolError> {
    let mut pause = FIRST_PAUSE;
    for attempt in 1..ATTEMPTS {
        match pool.get().await {
            Ok(client) => return Ok(client),
            Err(PoolError::Backend(error)) if !is_passing(&error) => return Err(PoolError::Backend(error)),
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
