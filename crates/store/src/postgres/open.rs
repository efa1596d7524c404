//! Connecting to PostgreSQL: by its URL, with or without TLS, patiently at the start and after a failure.

use std::{error::Error as _, io, sync::Arc, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, Config, Error, Socket, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::clock::TimeSource;

/// How often connecting is tried at the start and after a failure, and how long is waited in between.
const ATTEMPTS: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How long a transaction that nobody works on may hold its locks: a node that was cut off must not stop the others.
const IDLE_IN_TRANSACTION_MS: u64 = 5_000;
/// How long one waits for a connection, and for what is done on it; longer than another node's transaction may stand still.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
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
    pub url: agentcafe_domain::secret::Secret,
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
pub(super) enum Unreadable {
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
            Self::Database(error) => match error.code() {
                Some(code) => {
                    let code = code.code();
                    code.starts_with("08") || code.starts_with("57P") || code == "25006"
                }
                None => error.is_closed() || error.source().is_some_and(|cause| cause.is::<io::Error>()),
            },
        }
    }
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

/// Whether certificates are verified: `sslmode=verify-ca` and `verify-full` say so, as in libpq.
fn split_verification(url: &str) -> (String, bool) {
    let verified = ["sslmode=verify-full", "sslmode=verify-ca"];
    let asked = verified.iter().any(|mode| url.contains(mode));
    (verified.iter().fold(url.to_owned(), |url, mode| url.replace(mode, "sslmode=require")), asked)
}

impl Address {
    /// The address in a URL.
    ///
    /// # Errors
    /// What is wrong with the URL, without what stands in it.
    pub(super) fn read(url: &str) -> Result<Self, String> {
        let (url, verifies) = split_verification(url);
        let mut config: Config =
            url.parse().map_err(|error: Error| format!("the URL cannot be read: {error}"))?;
        config
            .application_name("agentcafe")
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(CONNECT_TIMEOUT * 2)
            .keepalives_idle(CONNECT_TIMEOUT * 2)
            .options(format!(
                "-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS} -c statement_timeout={}",
                PATIENCE.as_millis()
            ));
        Ok(Self { config, tls: MakeRustlsConnect::new(tls(verifies)?) })
    }

    /// A pool of at most so many connections. None is made yet.
    pub(super) fn pool(&self, most: usize) -> Pool {
        let fast = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.config.clone(), self.tls.clone(), fast);
        Pool::builder(manager)
            .max_size(most)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .build()
            .expect("a pool with timeouts has a runtime")
    }

    /// A connection, and the messages that come on it unasked.
    pub(super) async fn connect(&self) -> Result<(Client, Messages), Error> {
        self.config.connect(self.tls.clone()).await
    }
}

/// Connects for the first time: a database that is just starting gets some time.
pub(super) async fn patiently(pool: &Pool) -> Result<Object, PoolError> {
    let mut pause = FIRST_PAUSE;
    for attempt in 1..ATTEMPTS {
        match pool.get().await {
            Ok(client) => return Ok(client),
            Err(error) => {
                tracing::warn!(%error, attempt, "PostgreSQL cannot be reached; trying again");
                sleep(pause).await;
                pause *= 2;
            }
        }
    }
    pool.get().await
}

fn tls(verifies: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be used: {error}"))?;
    if !verifies {
        let verifier = Arc::new(Unverified(provider));
        return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Encryption without authentication: what `sslmode=require` means.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
