//! The command line of `agentcafe load`.

use clap::{Args, Subcommand};

const REPORT_HELP: &str = "\
The report goes to standard output as JSON; the exit code is 0 if it is good enough, else 1.
The server's rate limit counts: raise API_RATE_LIMIT_PER_MIN there (0: no limit) for the test.";

/// What `agentcafe load` requests, and where.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = super::with_settings(REPORT_HELP, "load"), after_help = super::SETTINGS_HINT)]
pub(crate) struct LoadOptions {
    /// How to load; the gate if missing.
    #[command(subcommand)]
    pub(crate) mode: Option<LoadMode>,
    /// The server [default: LOAD_TARGET_URL].
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Where the streams are, if not there: a realtime service, for example [default: LOAD_STREAM_URL].
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) stream_url: Option<String>,
    /// The stream there; /v1/stream at a realtime service [default: LOAD_STREAM_PATH].
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) stream_path: Option<String>,
    /// A header that every request carries beside the API key; may be given more than once.
    #[arg(long = "header", global = true, value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// How long to load, in milliseconds [default: LOAD_DURATION_MS].
    #[arg(long, global = true, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) duration_ms: Option<u64>,
    /// Threads that load; one costs a server on the same machine the least.
    #[arg(long, global = true, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,
}

/// How to load.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum LoadMode {
    /// Read and open streams, and hold what comes of it against objectives (the default). Writes nothing.
    Gate,
    /// Say things on many connections: how many commands are accepted, and how fast. The events stay in the log.
    Write(WriteOptions),
    /// Say things in a room that many listen to: how fast it reaches them, and whether anything is lost, repeated or out
    /// of order. The events stay in the log.
    Fanout(FanoutOptions),
}

/// What the modes that write have in common.
#[derive(Args, Clone, Debug)]
pub(crate) struct Speech {
    /// The tenant to write to.
    #[arg(long, default_value = "load")]
    pub(crate) tenant: String,
    /// How long an answer may take, in milliseconds [default: LOAD_REQUEST_TIMEOUT_MS].
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout_ms: Option<u64>,
    /// The share of commands that may fail [default: SLO_API_ERROR_RATE_MAX].
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) max_error_rate: Option<f64>,
    /// Fail if more than one in a hundred commands (fanout: deliveries) takes longer, in milliseconds.
    #[arg(long, value_name = "MS", value_parser = rate)]
    pub(crate) max_p99_ms: Option<f64>,
    /// Fail if fewer commands are accepted (fanout: deliveries made) a second.
    #[arg(long, value_name = "PER SECOND", value_parser = rate)]
    pub(crate) min_per_second: Option<f64>,
}

/// What `agentcafe load write` does.
#[derive(Args, Clone, Debug)]
pub(crate) struct WriteOptions {
    /// Connections, each with one command under way.
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) connections: u64,
    /// Commands a second, all together; 0: as many as are answered.
    #[arg(long, value_name = "PER SECOND", default_value_t = 0.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Rooms to write to.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) rooms: u64,
    /// Actors that speak, each in one of the rooms.
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) actors: u64,
    #[command(flatten)]
    pub(crate) speech: Speech,
}

/// What `agentcafe load fanout` does.
#[derive(Args, Clone, Debug)]
pub(crate) struct FanoutOptions {
    /// Streams that listen.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) subscribers: u64,
    /// Connections that speak, each as an actor of its own.
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) connections: u64,
    /// Commands a second, all together; 0: as many as are answered.
    #[arg(long, value_name = "PER SECOND", default_value_t = 100.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// The room to speak and listen in [default: a new one].
    #[arg(long)]
    pub(crate) room: Option<String>,
    /// How long it may take until all streams are ready, and until all have received the last event.
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) settle_timeout_ms: u64,
    #[command(flatten)]
    pub(crate) speech: Speech,
}

/// A number that is not negative.
fn rate(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it must be a number".to_owned())?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err("it must be 0 or more".to_owned()) }
}

/// A number between 0 and 1.
fn share(text: &str) -> Result<f64, String> {
    rate(text).ok().filter(|number| *number <= 1.0).ok_or_else(|| "it must be between 0 and 1".to_owned())
}
