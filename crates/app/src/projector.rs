//! `agentcafe projector`: keeps read models in Redis until it is stopped.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Clock, IdSource};
use agentcafe_engine::clock::{RandomIds, SystemClock};
use agentcafe_projector::{Projector, serve_health};
use agentcafe_redis::RedisConnection;
use agentcafe_store::SteadyClock;
use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::config::ProjectorConfig;
use crate::process::{listen, runtime, start_logging, stop_on_signal};

/// How long Redis may take to answer the projector, which writes many megabytes at once.
const REDIS_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT, then writes the pending events.
pub(crate) fn run(config: ProjectorConfig) -> anyhow::Result<()> {
    start_logging(&config.log)?;
    runtime()?.block_on(project(config))
}

async fn project(config: ProjectorConfig) -> anyhow::Result<()> {
    let ProjectorConfig { settings, redis, health, .. } = config;
    let (stopping, stopped) = (CancellationToken::new(), CancellationToken::new());
    let connection =
        redis.map(|url| RedisConnection::new(&url, REDIS_TIMEOUT)).transpose().context("REDIS_URL")?;
    let maintenance = connection.clone().map(|connection| tokio::spawn(connection.maintain(stopped.clone())));
    let clock = Arc::new(SteadyClock::starting_now(Arc::new(SystemClock::of_this_boot())));
    let name = RandomIds::default().fresh(clock.now()).to_string();
    tracing::info!(source = settings.api.address(), redis = connection.is_some(), "projecting");
    let projector = Arc::new(Projector::new(settings, connection, clock, name, stopping.clone()));
    let mut serving = None;
    if let Some(address) = health {
        let listener = listen(address, "PROJECTOR_HEALTH_HOST, PROJECTOR_HEALTH_PORT").await?;
        let address = listener.local_addr()?;
        serving = Some(tokio::spawn(serve_health(listener, Arc::clone(&projector), stopped.clone())));
        tracing::info!("listening on http://{address}");
    }
    tokio::spawn(stop_on_signal(stopping)?);
    projector.run().await;
    // The health endpoints and the connection to Redis outlive the projector.
    stopped.cancel();
    for task in [serving, maintenance].into_iter().flatten() {
        task.await?;
    }
    tracing::info!("stopped; all received events are in Redis");
    Ok(())
}
