//! `agentcafe load`: is a server fast and sound enough, and what does it bear?

use std::{io::Write, time::Duration};

use agentcafe_domain::kernel::{
    command::IdSource,
    ids::{RoomId, TenantId},
    time::Clock,
};
use agentcafe_engine::clock::{RandomIds, SystemClock};
use agentcafe_load::{
    fanout::Fanout,
    gate::Gate,
    open_files::raise_open_files,
    report::Verdict,
    script::Crowd,
    speech::{Speech, Wishes},
    target::{Target, checked_path},
    write::Writes,
};
use anyhow::{Context, bail, ensure};
use serde::Serialize;

use crate::{
    cli::load::{self as cli, FanoutOptions, LoadMode, LoadOptions, WriteOptions},
    config::{self, LOAD_API_KEY, Sources},
};

mod digest;
mod screen;

use screen::Screen;

/// Files that are open beside the connections.
const OTHER_FILES: u64 = 32;

/// Loads, prints the report, and fails if what came of it is not good enough.
///
/// # Errors
/// When a setting cannot be used, there is no server, or the gate does not pass.
pub(crate) fn run(options: LoadOptions, sources: &Sources) -> anyhow::Result<()> {
    let load = Load::new(&options, sources)?;
    let screen = Screen::new();
    sources.warnings().iter().for_each(|warning| screen.note(warning));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime =
        runtime.worker_threads(usize::from(options.threads)).enable_all().build().context("no runtime")?;
    let outcome = runtime.block_on(load.run(options.mode.unwrap_or(LoadMode::Gate), &screen));
    screen.clear();
    outcome
}

/// What is loaded, whatever the mode.
struct Load {
    /// The gate. The other modes have its targets and times.
    gate: Gate,
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

    async fn run(self, mode: LoadMode, screen: &Screen) -> anyhow::Result<()> {
        match mode {
            LoadMode::Gate => self.gate(screen).await,
            LoadMode::Write(options) => self.write(options, screen).await,
            LoadMode::Fanout(options) => self.fanout(options, screen).await,
        }
    }

    /// How says are sent; a rate of 0 is none.
    fn speech(&self, connections: u64, rate: f64, options: &cli::Speech) -> Speech {
        Speech {
            target: self.gate.target.clone(),
            connections,
            rate: (rate > 0.0).then_some(rate),
            duration: self.gate.duration,
            request_timeout: options.timeout_ms.map_or(self.gate.request_timeout, Duration::from_millis),
            threads: self.gate.threads,
        }
    }

    fn wishes(&self, options: &cli::Speech) -> Wishes {
        Wishes {
            error_rate_max: options.max_error_rate.unwrap_or(self.gate.objectives.api_error_rate_max),
            p99_ms: options.max_p99_ms,
            per_second: options.min_per_second,
        }
    }

    async fn gate(self, screen: &Screen) -> anyhow::Result<()> {
        let gate = self.gate;
        allow_connections(gate.concurrency.max(gate.stream_fanout) as u64)?;
        let report = gate.run(screen).await?;
        screen.show_digest(&digest::of_gate(&report));
        conclude(&report, &report.gate, &report.notes, screen)
    }

    async fn write(self, options: WriteOptions, screen: &Screen) -> anyhow::Result<()> {
        allow_connections(options.connections)?;
        let run = Run::begin();
        let writes = Writes {
            crowd: Crowd {
                tenant: tenant(&options.speech.tenant)?,
                room: run.room,
                rooms: options.rooms,
                actors: options.actors,
                seed: run.seed,
            },
            wishes: self.wishes(&options.speech),
            speech: self.speech(options.connections, options.rate, &options.speech),
        };
        let report = writes.run(screen).await?;
        screen.show_digest(&digest::of_write(&report));
        conclude(&report, &report.gate, &report.notes, screen)
    }

    async fn fanout(self, options: FanoutOptions, screen: &Screen) -> anyhow::Result<()> {
        allow_connections(options.subscribers.saturating_add(options.connections))?;
        let run = Run::begin();
        let room = options.room.as_deref().map(RoomId::parse).transpose().map_err(anyhow::Error::msg)?;
        let fanout = Fanout {
            wishes: self.wishes(&options.speech),
            speech: self.speech(options.connections, options.rate, &options.speech),
            stream_target: self.gate.stream_target,
            stream_path: self.gate.stream_path,
            tenant: tenant(&options.speech.tenant)?,
            room: room.map_or(run.room, |room| room.to_string()),
            seed: run.seed,
            subscribers: usize::try_from(options.subscribers).unwrap_or(usize::MAX),
            settle_timeout: Duration::from_millis(options.settle_timeout_ms),
        };
        let report = fanout.run(screen).await?;
        screen.show_digest(&digest::of_fanout(&report));
        conclude(&report, &report.gate, &report.notes, screen)
    }
}

/// What tells this run from others.
struct Run {
    room: String,
    seed: u64,
}

impl Run {
    fn begin() -> Self {
        let id = RandomIds::new().fresh(SystemClock::start().now()).as_u128();
        // The end of such an id is random.
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

/// Makes sure that so many connections can be open at once.
fn allow_connections(count: u64) -> anyhow::Result<()> {
    let limit = raise_open_files().context("the limit of open files cannot be raised")?;
    ensure!(
        count.saturating_add(OTHER_FILES) <= limit,
        "{count} connections are more than this process may have: it may open {limit} files (ulimit -n)"
    );
    Ok(())
}

/// Prints the report, and says what came of it.
fn conclude(
    report: &impl Serialize,
    gate: &Verdict,
    notes: &[String],
    screen: &Screen,
) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(report).context("the report cannot be written")? + "\n";
    let mut output = std::io::stdout().lock();
    output
        .write_all(json.as_bytes())
        .and_then(|()| output.flush())
        .context("the report cannot be written")?;
    for note in notes {
        screen.note(note);
    }
    if gate.pass {
        return Ok(());
    }
    bail!("not good enough: {}", gate.failed().join(", "))
}
