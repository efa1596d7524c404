//! `agentcafe load`: load-tests a server, prints a JSON report, and fails if the results miss the thresholds.

use std::time::Duration;

use agentcafe_domain::kernel::{Clock, IdSource, RoomId, TenantId};
use agentcafe_engine::clock::{RandomIds, SystemClock};
use agentcafe_load::connection::raise_open_files;
use agentcafe_load::fanout::FanoutTest;
use agentcafe_load::gate::GateTest;
use agentcafe_load::report::Report;
use agentcafe_load::script::SayActors;
use agentcafe_load::target::{Target, checked_path};
use agentcafe_load::write::{SayLoad, Thresholds, WriteTest};
use anyhow::{Context, ensure};
use serde::Serialize;

use crate::cli::load::{FanoutOptions, LoadMode, LoadOptions, SayOptions, WriteOptions};
use crate::config::{self, LOAD_API_KEY, Sources};
use crate::process::print_report;

mod terminal;

use terminal::Terminal;

/// Open files besides the connections.
const OTHER_FILES: u64 = 32;

/// Runs the test, prints its report, and fails if a check fails.
///
/// # Errors
/// An invalid setting, an unreachable server, or a failed check.
pub(crate) fn run(options: LoadOptions, sources: &Sources) -> anyhow::Result<()> {
    let load = Load::new(&options, sources)?;
    let terminal = Terminal::new();
    sources.warnings().iter().for_each(|warning| terminal.note(warning));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime =
        runtime.worker_threads(usize::from(options.threads)).enable_all().build().context("no runtime")?;
    let outcome = runtime.block_on(load.run(options.mode.unwrap_or(LoadMode::Gate), &terminal));
    terminal.clear();
    outcome
}

/// What all modes share.
struct Load {
    /// The gate. The other modes have its targets and times.
    gate: GateTest,
}

impl Load {
    fn new(options: &LoadOptions, sources: &Sources) -> anyhow::Result<Self> {
        let target = options.url.as_deref().map(Target::parse).transpose();
        let target = target.context("the server's address (--url)")?;
        let stream_target = options.stream_url.as_deref().map(Target::parse).transpose();
        let stream_target = stream_target.context("the streams' address (--stream-url)")?;
        let mut gate = config::gate(sources, target, stream_target)?;
        gate.threads = usize::from(options.threads);
        if let Some(path) = &options.stream_path {
            gate.stream_path = checked_path(path).context("--stream-path")?;
        }
        if let Some(duration_ms) = options.duration_ms {
            gate.duration = Duration::from_millis(duration_ms);
        }
        let key = sources.optional(&LOAD_API_KEY)?;
        for target in [&mut gate.target, &mut gate.stream_target] {
            *target = with_headers(target.clone(), key.as_deref(), options)?;
        }
        Ok(Self { gate })
    }

    async fn run(self, mode: LoadMode, terminal: &Terminal) -> anyhow::Result<()> {
        match mode {
            LoadMode::Gate => self.gate(terminal).await,
            LoadMode::Write(options) => self.write(options, terminal).await,
            LoadMode::Fanout(options) => self.fanout(options, terminal).await,
        }
    }

    /// How says are sent; a rate of 0 is none.
    fn say_load(&self, connections: u64, rate: f64, options: &SayOptions) -> SayLoad {
        SayLoad {
            target: self.gate.target.clone(),
            connections,
            rate: (rate > 0.0).then_some(rate),
            duration: self.gate.duration,
            request_timeout: options.timeout_ms.map_or(self.gate.request_timeout, Duration::from_millis),
            threads: self.gate.threads,
        }
    }

    fn thresholds(&self, options: &SayOptions) -> Thresholds {
        Thresholds {
            error_rate_max: options.max_error_rate.unwrap_or(self.gate.objectives.api_error_rate_max),
            p99_ms: options.max_p99_ms,
            per_second: options.min_per_second,
        }
    }

    async fn gate(self, terminal: &Terminal) -> anyhow::Result<()> {
        let gate = self.gate;
        allow_connections(gate.concurrency.max(gate.stream_fanout) as u64)?;
        let report = gate.run(terminal).await?;
        finish(&report, &terminal::summarize_gate(&report.results), terminal)
    }

    async fn write(self, options: WriteOptions, terminal: &Terminal) -> anyhow::Result<()> {
        allow_connections(options.connections)?;
        let run = RunIdentity::new();
        let test = WriteTest {
            actors: SayActors {
                tenant: tenant(&options.say.tenant)?,
                room_prefix: run.room,
                rooms: options.rooms,
                actors: options.actors,
                seed: run.seed,
            },
            thresholds: self.thresholds(&options.say),
            load: self.say_load(options.connections, options.rate, &options.say),
        };
        let report = test.run(terminal).await?;
        finish(&report, &terminal::summarize_write(&report.results), terminal)
    }

    async fn fanout(self, options: FanoutOptions, terminal: &Terminal) -> anyhow::Result<()> {
        allow_connections(options.subscribers.saturating_add(options.connections))?;
        let run = RunIdentity::new();
        let room = options.room.as_deref().map(RoomId::parse).transpose().map_err(anyhow::Error::msg)?;
        let test = FanoutTest {
            thresholds: self.thresholds(&options.say),
            load: self.say_load(options.connections, options.rate, &options.say),
            stream_target: self.gate.stream_target,
            stream_path: self.gate.stream_path,
            tenant: tenant(&options.say.tenant)?,
            room: room.map_or(run.room, |room| room.to_string()),
            seed: run.seed,
            subscribers: usize::try_from(options.subscribers).unwrap_or(usize::MAX),
            settle_timeout: Duration::from_millis(options.settle_timeout_ms),
        };
        let report = test.run(terminal).await?;
        finish(&report, &terminal::summarize_fanout(&report.results), terminal)
    }
}

/// The names that make this run distinct from others.
struct RunIdentity {
    room: String,
    seed: u64,
}

impl RunIdentity {
    fn new() -> Self {
        let id = RandomIds::default().fresh(SystemClock::of_this_boot().now()).as_u128();
        // The last 64 bits of the id are random.
        Self { room: format!("load-{:08x}", id & 0xffff_ffff), seed: id as u64 }
    }
}

/// A server whose requests carry the API key and the headers of the command line.
fn with_headers(mut target: Target, key: Option<&str>, options: &LoadOptions) -> anyhow::Result<Target> {
    if let Some(key) = key {
        target = target.with_key(key).context("the API key (LOAD_API_KEY)")?;
    }
    for header in &options.headers {
        let (name, value) = header.split_once(':').context("--header must be like `name: value`")?;
        target = target.with_header(name, value).context("--header")?;
    }
    Ok(target)
}

fn tenant(text: &str) -> anyhow::Result<String> {
    TenantId::parse(text).map(|tenant| tenant.to_string()).map_err(anyhow::Error::msg)
}

/// Raises the limit of open files, and checks that it allows this many connections.
fn allow_connections(count: u64) -> anyhow::Result<()> {
    let limit = raise_open_files().context("the limit of open files cannot be raised")?;
    ensure!(
        count.saturating_add(OTHER_FILES) <= limit,
        "{count} connections exceed the limit of {limit} open files: raise it (ulimit -Hn) or use fewer"
    );
    Ok(())
}

/// Shows the summary, prints the report and its notes, and fails if a check failed.
fn finish<Test: Serialize, Results: Serialize>(
    report: &Report<Test, Results>,
    summary: &[String],
    terminal: &Terminal,
) -> anyhow::Result<()> {
    terminal.show_summary(summary, &report.gate);
    print_report(report)?;
    report.notes.iter().for_each(|note| terminal.note(note));
    ensure!(report.gate.pass, "gate failed: {}", report.gate.failed().join(", "));
    Ok(())
}
