//! What all services share: the log, the runtime, and the stop at a signal.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;

use agentcafe_http::Admission;
use agentcafe_load::connection::raise_open_files;
use anyhow::Context;
use ipnet::IpNet;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Maximum number of blocking threads: one per database reader, and some for larger computations. More would only use
/// more memory.
const MAX_BLOCKING_THREADS: usize = 8;

/// The log of the process.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    /// A level, or directives per module.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
    /// Warnings to log at the start.
    pub(crate) warnings: Vec<String>,
}

/// The format of the log's lines.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, with the fields of its span.
    Json,
}

/// Starts the process's log on standard error, and logs the warnings.
pub(crate) fn start_logging(log: &LogSettings) -> anyhow::Result<()> {
    let LogSettings { filter, format, warnings } = log;
    let filter =
        EnvFilter::try_new(filter).with_context(|| format!("AGENTCAFE_LOG={filter:?} is invalid"))?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        // Standard error may be closed; the process continues.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => {
            log.json().flatten_event(true).with_span_list(false).init();
            // The default hook writes text.
            std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
        }
    }
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(())
}

/// The runtime of a service.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().max_blocking_threads(MAX_BLOCKING_THREADS).build().context("no runtime")
}

/// Listens on an address; `settings` are those that it comes from.
pub(crate) async fn listen(address: SocketAddr, settings: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address} ({settings})"))
}

/// The limits of connections.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionSettings {
    /// The most connections of a client address; 0: no limit.
    pub(crate) max_per_address: usize,
    /// The proxies, whose connections are not limited.
    pub(crate) trusted_proxies: Vec<IpNet>,
}

/// Raises the limit of open files, and limits the connections of this process to what fits into it.
pub(crate) fn admission(settings: &ConnectionSettings) -> anyhow::Result<Admission> {
    let open_files = raise_open_files().context("the limit of open files cannot be raised")?;
    Ok(Admission::new(open_files, settings.max_per_address, settings.trusted_proxies.clone()))
}

/// Prints the report of a subcommand as JSON.
pub(crate) fn print_report(report: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(report).context("the report cannot be written")? + "\n";
    let mut output = std::io::stdout().lock();
    output.write_all(json.as_bytes()).and_then(|()| output.flush()).context("the report cannot be written")
}

/// Cancels at the first SIGTERM or SIGINT.
pub(crate) fn stop_on_signal(
    stopping: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("no signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("no signals")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // Before logging, which may block if standard error is a full pipe.
        stopping.cancel();
        tracing::info!("stopping");
    })
}
