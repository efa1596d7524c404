//! `agentcafe projector`: read models in Redis, until it is asked to stop.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::kernel::{command::IdSource, time::Clock};
use agentcafe_engine::clock::{RandomIds, SystemClock};
use agentcafe_projector::{Projector, health};
use agentcafe_redis::RedisConnection;
use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    config::ProjectorConfig,
    process::{runtime, start_logging, stop_on_signal},
};

/// How long Redis may take for what the projector asks of it, which may be many megabytes.
const REDIS_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT, then writes what has come.
pub(crate) fn run(config: ProjectorConfig) -> anyhow::Result<()> {
    start_logging(&config.log, &config.warnings)?;
    runtime()?.block_on(project(config))
}

async fn project(config: ProjectorConfig) -> anyhow::Result<()> {
    let ProjectorConfig { settings, redis, health, .. } = config;
    let (stopping, stopped) = (CancellationToken::new(), CancellationToken::new());
    let link = redis.map(|url| RedisConnection::new(&url, REDIS_TIMEOUT)).transpose().context("REDIS_URL")?;
    let keeping = link.clone().map(|link| tokio::spawn(link.keep(stopped.clone())));
    let clock = Arc::new(SystemClock::start());
    let name = RandomIds::new().fresh(clock.now()).to_string();
    tracing::info!(source = settings.api.name(), redis = link.is_some(), "projecting");
    let projector = Arc::new(Projector::new(settings, link, clock, name, stopping.clone()));
    let mut serving = None;
    if let Some(address) = health {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| {
            format!("cannot listen on {address} (PROJECTOR_HEALTH_HOST, PROJECTOR_HEALTH_PORT)")
        })?;
        let address = listener.local_addr()?;
        serving = Some(tokio::spawn(health::serve(listener, Arc::clone(&projector), stopped.clone())));
        tracing::info!("listening on http://{address}");
    }
    tokio::spawn(stop_on_signal(stopping)?);
    projector.run().await;
    // Until now, its health could be asked for, and Redis was needed.
    stopped.cancel();
    for ending in [serving, keeping].into_iter().flatten() {
        ending.await?;
    }
    tracing::info!("stopped; everything that came is in Redis");
    Ok(())
}
