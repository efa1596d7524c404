//! `agentcafe serve`: the API and all background work in one process, until it is stopped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_api::App;
use agentcafe_dispatcher::{ExternalClient, WebhookSender, reactions, webhook};
use agentcafe_domain::kernel::{Clock, IdSource};
use agentcafe_engine::clock::{RandomIds, SystemClock};
use agentcafe_engine::metrics::Metrics;
use agentcafe_engine::redis::Redis;
use agentcafe_engine::{Engine, clock_anchor, indexer, sweeps, unread};
use agentcafe_http::{Admission, HttpMetrics};
use agentcafe_redis::RedisConnection;
use agentcafe_service::AuthMode;
use agentcafe_store::{SharedRateWindows, Store, StoreLocation, StoreOptions};
use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::ServeOptions;
use crate::config::{RealtimeConfig, ServeConfig};
use crate::process::{admission, listen, runtime, start_logging, stop_on_signal};
use crate::secret_keys::LoadedKeys;
use crate::{realtime, secret_keys};

/// Timeout of Redis, for which requests wait. A connection that exceeds it is dropped; without a connection no request
/// waits.
const REDIS_TIMEOUT: Duration = Duration::from_millis(250);

/// Runs until SIGTERM or SIGINT, then completes the accepted requests.
pub(crate) fn run(config: ServeConfig, options: ServeOptions) -> anyhow::Result<()> {
    start_logging(&config.log)?;
    runtime()?.block_on(serve(config, options))
}

async fn serve(config: ServeConfig, options: ServeOptions) -> anyhow::Result<()> {
    let admission = admission(&config.connections)?;
    let mut metrics = Metrics::default();
    let http_metrics = HttpMetrics::register(metrics.registry_mut());
    let metrics = Arc::new(metrics);
    let redis = redis(&config, &metrics)?;
    let on_commit = {
        let (metrics, redis) = (Arc::clone(&metrics), redis.clone());
        Box::new(move |report: &agentcafe_store::CommitReport| {
            metrics.count_batch(report);
            if let Some(redis) = &redis {
                redis.unread.learn(report);
            }
        })
    };
    let LoadedKeys { keys, new_file } = LoadedKeys::read(config.secret_key_file.as_deref(), &config.storage)?;
    let rules = config.rules.clone().with(keys);
    let options = StoreOptions {
        location: config.storage.clone(),
        accept_shorter_log: options.accept_shorter_log,
        rules: rules.clone(),
        clock: Arc::new(SystemClock::of_this_boot()),
        ids: Box::new(RandomIds::default()),
        shared_windows: redis.clone().map(|redis| redis as Arc<dyn SharedRateWindows>),
        on_commit,
    };
    let (store, closing) = Store::open(options)?;
    metrics.log_head.set(store.recent_events().head().0);
    let sender = Arc::new(WebhookSender::new(*config.rules.get(), store.clock()));
    let external_client = ExternalClient::new(config.payment_provider.clone(), Arc::clone(&sender))
        .context("the client of the payment provider cannot be created: TLS is not available")?;
    let ids = Box::new(RandomIds::default());
    let mut engine = Engine::new(store, rules, metrics, ids, Arc::new(external_client));
    engine.redis = redis;
    let engine = Arc::new(engine);
    secret_keys::prepare(&engine, new_file).await?;
    let listener = listen(config.listen, "API_HOST, API_PORT").await?;
    let address = listener.local_addr()?;
    let embedded_realtime = match &config.realtime {
        Some(config) => Some((config.clone(), listen(config.listen, realtime::ADDRESS_SETTINGS).await?)),
        None => None,
    };
    let intervals = sweeps::SweepIntervals {
        presence: config.api.service.presence_sweep,
        table_sessions: config.api.service.table_session_sweep,
    };
    let background = [
        tokio::spawn(sweeps::run(Arc::clone(&engine), intervals)),
        tokio::spawn(reactions::run(Arc::clone(&engine), config.reactions)),
        tokio::spawn(webhook::run(Arc::clone(&engine), sender, config.webhook_max_concurrency)),
        tokio::spawn(unread::run(Arc::clone(&engine))),
        tokio::spawn(clock_anchor::run(Arc::clone(&engine))),
        tokio::spawn(indexer::run(Arc::clone(&engine))),
    ];
    if let Some(redis) = &engine.redis {
        tokio::spawn(Arc::clone(&redis.connection).maintain(engine.stopping.clone()));
    }
    let app = App::new(Arc::clone(&engine), config.api.clone(), &http_metrics);
    // Before the log says that the server is up: a signal may follow at once.
    tokio::spawn(stop_on_signal(engine.stopping.clone())?);
    let embedded_realtime = match embedded_realtime {
        Some((config, listener)) => {
            Some(embed_realtime(config, listener, address, admission.clone(), engine.stopping.clone())?)
        }
        None => None,
    };
    // Also so that it is known before the first request.
    let has_keys = app.service.has_keys().await.map_err(|error| anyhow!("{}", error.error))?;
    log_startup(address, &config, has_keys);
    agentcafe_http::serve(listener, agentcafe_api::router(app), admission, engine.stopping.clone()).await;
    for work in background.into_iter().chain(embedded_realtime) {
        if let Err(error) = work.await {
            tracing::error!(%error, "a background task panicked");
        }
    }
    drop(engine);
    tokio::task::spawn_blocking(move || closing.wait()).await?;
    tracing::info!("stopped; everything accepted is on disk");
    Ok(())
}

/// Redis, if `REDIS_URL` is set.
fn redis(config: &ServeConfig, metrics: &Metrics) -> anyhow::Result<Option<Arc<Redis>>> {
    let Some((url, keys)) = &config.redis else { return Ok(None) };
    let connection = RedisConnection::new(url, REDIS_TIMEOUT).context("REDIS_URL")?;
    let name = RandomIds::default().fresh(SystemClock::of_this_boot().now()).to_string();
    let (counted, rules) = (metrics.redis.clone(), config.rules.get());
    Ok(Some(Redis::new(connection, keys.clone(), counted, rules, name)))
}

/// Starts the realtime service in the same process. It follows the API over HTTP, like one in another process.
fn embed_realtime(
    config: RealtimeConfig,
    listener: TcpListener,
    api: SocketAddr,
    admission: Admission,
    stopping: CancellationToken,
) -> anyhow::Result<JoinHandle<()>> {
    tracing::info!("realtime at http://{}", listener.local_addr()?);
    Ok(tokio::spawn(async move {
        let served = realtime::serve(&config, listener, Some(reachable(api)), admission, stopping).await;
        if let Err(error) = served {
            tracing::error!(error = format!("{error:#}"), "the realtime service has stopped");
        }
    }))
}

/// The address under which this machine reaches a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), address.port())
}

/// Logs the address, and commands to try next.
fn log_startup(address: SocketAddr, config: &ServeConfig, has_keys: bool) {
    let reachable = reachable(address);
    let data = match &config.storage {
        StoreLocation::Directory(directory) => directory.display().to_string(),
        StoreLocation::Postgres(_) => "PostgreSQL".to_owned(),
    };
    let authentication = &config.api.service.authentication;
    let auth = authentication.description(has_keys);
    tracing::info!(data, auth, "listening on http://{address}");
    if let Some(warning) = authentication.warning(has_keys) {
        tracing::warn!("{warning}");
    }
    let token = match (authentication.mode, &config.api.token.required) {
        (AuthMode::Shared | AuthMode::Automatic | AuthMode::Both, Some(_)) => Some("$API_AUTH_TOKEN"),
        (AuthMode::Shared, None) => None,
        (AuthMode::Keys | AuthMode::Automatic | AuthMode::Both, _) => has_keys.then_some("$AGENTCAFE_TOKEN"),
    };
    let header = token.map_or_else(String::new, |token| format!(" -H \"x-api-key: {token}\""));
    tracing::info!("try: curl{header} 'http://{reachable}/v1/bootstrap?actorId=Nova'");
    let token = token.map_or_else(String::new, |token| format!("AGENTCAFE_TOKEN={token} "));
    tracing::info!("or watch the room: {token}agentcafe tail main --url http://{reachable}");
}
