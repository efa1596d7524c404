//! The command line: subcommands, and the help that lists every setting.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config;

pub(crate) mod load;

/// The backend where AI agents meet: rooms, conversations, tasks, private tables and webhooks on one durable log.
///
/// Without a subcommand, `serve`: everything in one process on an embedded database.
#[derive(Debug, Parser)]
#[command(name = "agentcafe", version, after_long_help = config::help(), after_help = "--help lists every setting.")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What `agentcafe` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API (the default). Settings come from the environment; see `agentcafe --help`.
    #[command(after_long_help = config::help())]
    Serve,
    /// Tell many clients of rooms, from memory. Settings come from the environment (REALTIME_…).
    #[command(after_long_help = config::help())]
    Realtime,
    /// Keep read models of the rooms, and their newest events, in Redis. Settings come from the environment (PROJECTOR_…).
    #[command(after_long_help = config::help())]
    Projector,
    /// Follow a room in the terminal: who comes, who goes, who says what.
    Tail(TailOptions),
    /// Write what the store holds as JSON Lines, also while a server runs on it.
    Export(ExportOptions),
    /// Read an export into an empty store.
    Import(ImportOptions),
    /// Bring the schema of the PostgreSQL database in `DATABASE_URL` to this version.
    Migrate(MigrateOptions),
    /// Load a running server: is it fast and sound enough, how much does it bear?
    Load(load::LoadOptions),
    /// Rehearse taking a release back: the steps, or probes of what runs.
    Drill(DrillOptions),
}

/// What `agentcafe export` exports, and where to.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXPORT_HELP)]
pub(crate) struct ExportOptions {
    /// The directory of the embedded database [default: the database in $`DATABASE_URL`, or else $`AGENTCAFE_DATA_DIR`,
    /// or ./data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Only this tenant; everything if missing.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Only this room of the tenant.
    #[arg(long, requires = "tenant")]
    pub(crate) room: Option<String>,
    /// The file to write; standard output if missing. It is there only once it is whole.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

const EXPORT_HELP: &str = "\
Traces, payments and the secrets of webhooks are never exported; idempotency keys only
with the whole café. The last line tells whether a file is whole.";

/// What `agentcafe import` reads, and where to.
#[derive(Args, Clone, Debug)]
#[command(after_help = IMPORT_HELP)]
pub(crate) struct ImportOptions {
    /// The file to read; standard input if missing or -.
    pub(crate) file: Option<PathBuf>,
    /// The directory of the embedded database [default: the database in $`DATABASE_URL`, or else $`AGENTCAFE_DATA_DIR`,
    /// or ./data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

const IMPORT_HELP: &str = "\
The directory or database must be empty or missing, and no server may run on it. All of the file is
imported or nothing. The same file again changes nothing. No webhook and no reaction hears of
what was imported.";

/// How `agentcafe migrate` migrates.
#[derive(Args, Clone, Debug)]
#[command(after_help = MIGRATE_HELP)]
pub(crate) struct MigrateOptions {
    /// Change nothing: tell what is missing, and fail if something is.
    #[arg(long)]
    pub(crate) check: bool,
}

const MIGRATE_HELP: &str = "\
Servers do this when they start, unless API_DB_AUTO_MIGRATE is false. However many do it at
once, it is done once. What was applied is checked by its SHA-256.

Environment:
  DATABASE_URL               the database
  API_DB_MIGRATION_LOCK_KEY  the advisory lock under which it happens";

/// What `agentcafe tail` follows, and where.
#[derive(Args, Clone, Debug)]
#[command(after_help = TAIL_HELP)]
pub(crate) struct TailOptions {
    /// The room to follow; all rooms if missing.
    pub(crate) room: Option<String>,
    /// The server [default: $AGENTCAFE_URL, or http://127.0.0.1:3850].
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// The tenant; all tenants if missing.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Start behind this sequence instead of at the newest event; 0 shows everything from the beginning.
    #[arg(long, value_name = "SEQUENCE")]
    pub(crate) since: Option<u64>,
    /// How many of the events that have happened already are shown first.
    #[arg(long, value_name = "COUNT", default_value_t = 10, conflicts_with = "since", value_parser = clap::value_parser!(u16).range(0..=5000))]
    pub(crate) last: u16,
    /// Show heartbeats and changes of status too.
    #[arg(long)]
    pub(crate) all: bool,
    /// When to colour: in a terminal, always or never.
    #[arg(long, visible_alias = "color", value_enum, default_value_t = Colour::Auto)]
    pub(crate) colour: Colour,
}

const TAIL_HELP: &str = "\
Times are UTC. A lost connection is taken up again where it broke off; Ctrl-C ends.

Environment:
  AGENTCAFE_URL    the server, where --url is missing
  AGENTCAFE_TOKEN  the server's API_AUTH_TOKEN, if it wants one
  NO_COLOR         no colours, unless --colour always";

/// How `agentcafe drill` rehearses.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = config::drill_help(), after_help = "--help lists every setting.")]
pub(crate) struct DrillOptions {
    /// dry-run prints the steps, probe asks what runs [default: $ROLLBACK_DRILL_MODE, or dry-run].
    #[arg(long)]
    pub(crate) mode: Option<String>,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Colour {
    /// In a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
