//! `agentcafe drill`: prints the steps of a rollback, or checks the running services.

use std::time::Duration;

use agentcafe_domain::kernel::{Clock, Timestamp};
use agentcafe_engine::clock::SystemClock;
use agentcafe_load::connection::Connection;
use agentcafe_load::http::ProtocolError;
use agentcafe_load::subscriber::wait_until_ready;
use agentcafe_load::target::Target;
use anyhow::{Context, anyhow, bail};
use serde::Serialize;
use serde_json::Value;

use crate::cli::DrillOptions;
use crate::config::{DrillConfig, DrillMode, ROLLBACK_DRILL_MODE, Sources};
use crate::process::print_report;

/// The stream that must start; it requests no earlier events.
const STREAM: &str = "/v1/streams/market-events?cursor=latest";

/// The steps before, during and after a rollback, in order.
const STEPS: [(&str, &str); 4] = [
    (
        "capture_incident_context",
        "Write down the symptoms, since when they occur, the running versions, and the newest sequence of the log (GET \
         /v1/bootstrap: cursor). Save /healthz and /metrics of each process.",
    ),
    (
        "prepare_write_safety",
        "Pause automations and agents, then webhook and reaction subscriptions that must not act meanwhile. Make a \
         backup (agentcafe export) before changing any schema.",
    ),
    (
        "rollback_order",
        "Roll back the public website first, then the API and the projector, and the automations last.",
    ),
    (
        "post_rollback_validation",
        "Validate health and the stream (agentcafe drill with ROLLBACK_DRILL_MODE=probe), then that the log continues after \
         the sequence that was written down. Resume what was paused.",
    ),
];

#[derive(Serialize)]
struct Report<Check: Serialize> {
    ok: bool,
    mode: &'static str,
    #[serde(rename = "executedAt")]
    executed_at: Timestamp,
    summary: String,
    checks: Vec<Check>,
    targets: Targets,
}

#[derive(Serialize)]
struct ErrorReport {
    ok: bool,
    #[serde(rename = "executedAt")]
    executed_at: Timestamp,
    error: String,
}

#[derive(Serialize)]
struct Targets {
    world: Option<String>,
    api: Option<String>,
    realtime: Option<String>,
}

#[derive(Serialize)]
struct Step {
    name: &'static str,
    pass: bool,
    notes: &'static str,
}

#[derive(Serialize)]
struct Probe {
    name: &'static str,
    pass: bool,
    status: Option<u16>,
    error: Option<String>,
}

/// Runs the drill, and prints the report.
///
/// # Errors
/// An invalid setting, or a failed probe.
pub(crate) fn run(options: DrillOptions, sources: &Sources) -> anyhow::Result<()> {
    let config = DrillConfig::read(sources)?;
    let mode = match &options.mode {
        Some(mode) => ROLLBACK_DRILL_MODE.parse_option(mode).map_err(|error| format!("--mode {error}")),
        None => config.mode.clone().map_err(|error| error.to_string()),
    };
    let executed_at = SystemClock::of_this_boot().now();
    match mode {
        Ok(DrillMode::DryRun) => print_report(&dry_run(&config, executed_at)),
        Ok(DrillMode::Probe) => probe(&config, executed_at),
        Err(error) => {
            print_report(&ErrorReport { ok: false, executed_at, error: error.clone() })?;
            Err(anyhow!(error))
        }
    }
}

fn dry_run(config: &DrillConfig, executed_at: Timestamp) -> Report<Step> {
    let checks: Vec<_> = STEPS.map(|(name, notes)| Step { name, pass: true, notes }).into();
    let summary = format!("{} steps; no request was sent", checks.len());
    Report { ok: true, mode: "dry-run", executed_at, summary, checks, targets: Targets::of(config) }
}

fn probe(config: &DrillConfig, executed_at: Timestamp) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let checks = runtime.block_on(probes(config));
    let passed = checks.iter().filter(|check| check.pass).count();
    let ok = passed == checks.len() && !checks.is_empty();
    let failed: Vec<_> = checks.iter().filter(|check| !check.pass).map(|check| check.name).collect();
    let summary = if checks.is_empty() {
        "all services are set to none: there is nothing to probe".to_owned()
    } else if failed.is_empty() {
        format!("{passed} of {} probes pass", checks.len())
    } else {
        format!("{passed} of {} probes pass; failed: {}", checks.len(), failed.join(", "))
    };
    let targets = Targets::of(config);
    print_report(&Report { ok, mode: "probe", executed_at, summary: summary.clone(), checks, targets })?;
    if ok { Ok(()) } else { bail!(summary) }
}

/// All probes, at the same time.
async fn probes(config: &DrillConfig) -> Vec<Probe> {
    let DrillConfig { world, api, realtime, timeout, .. } = config;
    let (world, api_health, realtime, stream) = tokio::join!(
        health("world_healthz", world.as_ref(), "/api/healthz", *timeout),
        health("runtime_api_healthz", api.as_ref(), "/healthz", *timeout),
        health("runtime_realtime_healthz", realtime.as_ref(), "/healthz", *timeout),
        stream_ready("runtime_stream_ready", api.as_ref(), *timeout),
    );
    [world, api_health, realtime, stream].into_iter().flatten().collect()
}

/// Passes with 2xx, unless the body is JSON with `ok: false`.
async fn health(name: &'static str, target: Option<&Target>, path: &str, timeout: Duration) -> Option<Probe> {
    let target = target?;
    let answered = tokio::time::timeout(timeout, async {
        let mut connection = Connection::open(target).await?;
        connection.exchange(&target.get(path)).await?;
        Ok::<_, ProtocolError>(connection)
    });
    Some(match answered.await.unwrap_or(Err(ProtocolError::TimedOut)) {
        Err(error) => Probe { name, pass: false, status: None, error: Some(error.to_string()) },
        Ok(connection) => {
            let response = connection.response();
            let is_not_ok =
                serde_json::from_slice::<Value>(response.body).is_ok_and(|body| body["ok"] == false);
            let error = match response.status {
                200..300 if is_not_ok => Some("the response has ok: false".to_owned()),
                200..300 => None,
                status => Some(explained(status, target)),
            };
            Probe { name, pass: error.is_none(), status: Some(response.status), error }
        }
    })
}

/// Passes if a stream starts: its `ready` frame arrives.
async fn stream_ready(name: &'static str, target: Option<&Target>, timeout: Duration) -> Option<Probe> {
    let target = target?;
    let ready = tokio::time::timeout(timeout, wait_until_ready(target, STREAM)).await;
    Some(match ready.unwrap_or(Err(ProtocolError::TimedOut)) {
        Ok(()) => Probe { name, pass: true, status: Some(200), error: None },
        Err(ProtocolError::StreamRefused(head)) => Probe {
            name,
            pass: false,
            status: Some(head.status),
            error: Some(explained(head.status, target)),
        },
        Err(error) => Probe { name, pass: false, status: None, error: Some(error.to_string()) },
    })
}

fn explained(status: u16, target: &Target) -> String {
    match status {
        401 if target.has_key() => "status 401: the key in ROLLBACK_API_KEY is wrong".to_owned(),
        401 => "status 401: set ROLLBACK_API_KEY".to_owned(),
        429 => "status 429: refused by the server's rate limit, not by a fault".to_owned(),
        _ => format!("status {status}"),
    }
}

impl Targets {
    fn of(config: &DrillConfig) -> Self {
        let shown = |target: &Option<Target>| target.as_ref().map(ToString::to_string);
        Self { world: shown(&config.world), api: shown(&config.api), realtime: shown(&config.realtime) }
    }
}
