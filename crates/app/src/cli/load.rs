//! The command line of `agentcafe load`.

use clap::{Args, Subcommand};

const REPORT_HELP: &str = "\
The report goes to standard output as JSON; the exit code is 0 if all checks pass, else 1.
The server's rate limit counts: raise API_RATE_LIMIT_PER_MIN there (0: no limit) for the test.";

/// Options of `agentcafe load`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = super::with_settings(REPORT_HELP, "load"), after_help = super::SETTINGS_HINT)]
pub(crate) struct LoadOptions {
    /// The mode; the gate if missing.
    #[command(subcommand)]
    pub(crate) mode: Option<LoadMode>,
    /// Base URL of the server under test [default: LOAD_TARGET_URL].
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Base URL of the streams, for example of a realtime service [default: LOAD_STREAM_URL].
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) stream_url: Option<String>,
    /// Path of the stream; /v1/stream on a realtime service [default: LOAD_STREAM_PATH].
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) stream_path: Option<String>,
    /// A header for every request, in addition to the API key; repeat it for more headers.
    #[arg(long = "header", global = true, value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// Duration of the test, in milliseconds [default: LOAD_DURATION_MS].
    #[arg(long, global = true, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) duration_ms: Option<u64>,
    /// Worker threads; 1 takes the least CPU from a server on the same machine.
    #[arg(long, global = true, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,
}

/// The modes of `agentcafe load`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum LoadMode {
    /// Send reads and open streams, and check the results against objectives (the default). Writes nothing.
    Gate,
    /// Send says on many connections, and measure how many the server accepts and how fast. The events stay in the log.
    Write(WriteOptions),
    /// Send says to a room with many subscribers; measure how fast the events are delivered, and check that none is lost,
    /// repeated or out of order. The events stay in the log.
    Fanout(FanoutOptions),
}

/// Options of the modes that write.
#[derive(Args, Clone, Debug)]
pub(crate) struct SayOptions {
    /// The tenant to write to.
    #[arg(long, default_value = "load")]
    pub(crate) tenant: String,
    /// Deadline of a response, in milliseconds [default: LOAD_REQUEST_TIMEOUT_MS].
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout_ms: Option<u64>,
    /// Highest share of failed commands [default: SLO_API_ERROR_RATE_MAX].
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) max_error_rate: Option<f64>,
    /// Highest 99th percentile of the latencies of commands (fanout: of deliveries), in milliseconds.
    #[arg(long, value_name = "MS", value_parser = rate)]
    pub(crate) max_p99_ms: Option<f64>,
    /// Lowest number of accepted commands (fanout: of deliveries) per second.
    #[arg(long, value_name = "PER SECOND", value_parser = rate)]
    pub(crate) min_per_second: Option<f64>,
}

/// Options of `agentcafe load write`.
#[derive(Args, Clone, Debug)]
pub(crate) struct WriteOptions {
    /// Connections, each with one command in flight.
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) connections: u64,
    /// Commands per second on all connections together; 0: unlimited.
    #[arg(long, value_name = "PER SECOND", default_value_t = 0.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Rooms to write to.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) rooms: u64,
    /// Actors that send says, each in one of the rooms.
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) actors: u64,
    #[command(flatten)]
    pub(crate) say: SayOptions,
}

/// Options of `agentcafe load fanout`.
#[derive(Args, Clone, Debug)]
pub(crate) struct FanoutOptions {
    /// Subscribers, each with a stream.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) subscribers: u64,
    /// Connections that send says, each as an actor of its own.
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) connections: u64,
    /// Commands per second on all connections together; 0: unlimited.
    #[arg(long, value_name = "PER SECOND", default_value_t = 100.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// The room [default: a new one].
    #[arg(long)]
    pub(crate) room: Option<String>,
    /// Deadline for all streams to be ready, and for all subscribers to receive the last event, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) settle_timeout_ms: u64,
    #[command(flatten)]
    pub(crate) say: SayOptions,
}

/// Parses a number that is not negative.
fn rate(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it must be a number".to_owned())?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err("it must be 0 or more".to_owned()) }
}

/// Parses a number between 0 and 1.
fn share(text: &str) -> Result<f64, String> {
    rate(text).ok().filter(|number| *number <= 1.0).ok_or_else(|| "it must be between 0 and 1".to_owned())
}
