//! `agentcafe realtime`: streams rooms to many clients until it is stopped; also inside `serve`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_client::ApiClient;
use agentcafe_engine::clock::{RandomIds, SystemClock};
use agentcafe_http::Admission;
use agentcafe_realtime::{ReplayStore, Service};
use agentcafe_redis::RedisConnection;
use agentcafe_store::SteadyClock;
use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::RealtimeConfig;
use crate::process::{admission, listen, runtime, start_logging, stop_on_signal};

/// The settings of the address to listen on.
pub(crate) const ADDRESS_SETTINGS: &str = "REALTIME_HOST, REALTIME_PORT";
/// How long Redis may take to answer a replay.
const REDIS_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or SIGINT, then ends the streams.
pub(crate) fn run(config: RealtimeConfig) -> anyhow::Result<()> {
    start_logging(&config.log)?;
    runtime()?.block_on(async {
        let stopping = CancellationToken::new();
        let listener = listen(config.listen, ADDRESS_SETTINGS).await?;
        tokio::spawn(stop_on_signal(stopping.clone())?);
        tracing::info!("listening on http://{}", listener.local_addr()?);
        serve(&config, listener, None, admission(&config.connections)?, stopping).await?;
        tracing::info!("stopped");
        Ok(())
    })
}

/// Serves until `stopping`. Without a source in the settings, the API at `near` is followed.
pub(crate) async fn serve(
    config: &RealtimeConfig,
    listener: TcpListener,
    near: Option<SocketAddr>,
    admission: Admission,
    stopping: CancellationToken,
) -> anyhow::Result<()> {
    let redis = config.redis.as_ref().map(|url| RedisConnection::new(url, REDIS_TIMEOUT));
    let redis = redis.transpose().context("REDIS_URL")?;
    if let Some(redis) = redis.clone() {
        tokio::spawn(redis.maintain(stopping.clone()));
    }
    let mut settings = config.settings.clone();
    if let (Some(near), false) = (near, config.has_source) {
        settings.source = ApiClient::new(&format!("http://{near}"), config.source_token.as_deref())?;
    }
    settings.replay_store = redis.map(|redis| ReplayStore::new(redis, config.keys.clone()));
    let clock = SteadyClock::starting_now(Arc::new(SystemClock::of_this_boot()));
    let (clock, ids) = (Arc::new(clock), Box::new(RandomIds::default()));
    let service = Service::start(settings, clock, ids, stopping.clone());
    agentcafe_http::serve(listener, agentcafe_realtime::router(service), admission, stopping).await;
    Ok(())
}
