//! The command line: subcommands, and the help that lists every setting.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config;

pub(crate) mod keys;
pub(crate) mod load;

const SETTINGS_HINT: &str = "--help lists the settings, `agentcafe config` shows their values.";

/// The backend where AI agents meet: rooms, conversations, tasks, private tables and webhooks on one durable log.
///
/// Without a subcommand, `serve`: everything in one process on an embedded database.
#[derive(Debug, Parser)]
#[command(name = "agentcafe", version, after_long_help = config::help("serve"), after_help = SETTINGS_HINT)]
pub(crate) struct Cli {
    /// The configuration file [default: agentcafe.toml in the data directory, if it exists].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The subcommand.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The subcommands of `agentcafe`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API (the default).
    #[command(after_long_help = config::help("serve"), after_help = SETTINGS_HINT)]
    Serve(ServeOptions),
    /// Stream rooms to many clients, from memory.
    #[command(after_long_help = config::help("realtime"), after_help = SETTINGS_HINT)]
    Realtime,
    /// Keep read models of rooms, and their newest events, in Redis.
    #[command(after_long_help = config::help("projector"), after_help = SETTINGS_HINT)]
    Projector,
    /// Show every setting, its value and its source; or check the settings.
    Config(config::ConfigOptions),
    /// Show the events of a room in the terminal, as they happen.
    Tail(TailOptions),
    /// Export the store as JSON Lines, also while a server uses it.
    Export(ExportOptions),
    /// Import an export into an empty store.
    Import(ImportOptions),
    /// Read all of the store, also while a server uses it, and say what is damaged.
    Verify(VerifyOptions),
    /// Give the log of a restored store a new id, so that clients learn that it may lack events.
    NewEpoch(NewEpochOptions),
    /// Create, list, rotate and revoke API keys: of a running server, or in the store.
    Keys(keys::KeysOptions),
    /// Migrate the schema of the PostgreSQL database in `DATABASE_URL` to this version.
    Migrate(MigrateOptions),
    /// Load test a running server: latency, errors, throughput, lost events.
    Load(load::LoadOptions),
    /// Rehearse a rollback: print its steps, or check the running services.
    Drill(DrillOptions),
}

/// Options of `agentcafe serve`.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct ServeOptions {
    /// Start although the log is shorter than it was, after a restored backup or lost files. The log gets a new id, from which
    /// clients see that their cursors are of the old one. [embedded database only]
    #[arg(long)]
    pub(crate) accept_shorter_log: bool,
}

/// Options of `agentcafe export`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = with_settings(EXPORT_HELP, "export"), after_help = EXPORT_HELP)]
pub(crate) struct ExportOptions {
    /// The directory of an embedded database [default: the database in `DATABASE_URL`, else the directory in `AGENTCAFE_DATA_DIR`].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Export this tenant only [default: everything].
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Export this room of the tenant only.
    #[arg(long, requires = "tenant")]
    pub(crate) room: Option<String>,
    /// The file to write [default: standard output]. It is created when the export is complete.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

const EXPORT_HELP: &str = "\
Traces, payments and webhook secrets are never exported; idempotency keys only if everything
is exported. A file without its last line is incomplete.";

/// Options of `agentcafe import`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = with_settings(IMPORT_HELP, "import"), after_help = IMPORT_HELP)]
pub(crate) struct ImportOptions {
    /// The file to read [default: standard input, also for -].
    pub(crate) file: Option<PathBuf>,
    /// The directory of an embedded database [default: the database in `DATABASE_URL`, else the directory in `AGENTCAFE_DATA_DIR`].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

const IMPORT_HELP: &str = "\
The directory or database must be empty or missing, and no server may use it. The whole file is
imported, or nothing. Importing the same file again changes nothing. Webhooks and reactions do not
process imported events.";

/// Options of `agentcafe verify`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = with_settings(VERIFY_HELP, "verify"), after_help = VERIFY_HELP)]
pub(crate) struct VerifyOptions {
    /// The directory of an embedded database [default: the database in `DATABASE_URL`, else the directory in `AGENTCAFE_DATA_DIR`].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

const VERIFY_HELP: &str = "\
Prints a line for each damage, and exits with 1 if there is any: missing events, rows that cannot be
read, rows whose columns contradict their JSON, and pages of the embedded database that are malformed.";

/// Options of `agentcafe new-epoch`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = with_settings(NEW_EPOCH_HELP, "new-epoch"), after_help = NEW_EPOCH_HELP)]
pub(crate) struct NewEpochOptions {
    /// The directory of an embedded database [default: the database in `DATABASE_URL`, else the directory in `AGENTCAFE_DATA_DIR`].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

const NEW_EPOCH_HELP: &str = "\
Run this after a restore, before the first server starts; no server may use the store. A client that
sends the old id with its cursor then gets a reset. An import begins a new epoch by itself.";

/// Options of `agentcafe migrate`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = with_settings(MIGRATE_HELP, "migrate"), after_help = MIGRATE_HELP)]
pub(crate) struct MigrateOptions {
    /// Change nothing: list the missing migrations, and fail if there are any.
    #[arg(long)]
    pub(crate) check: bool,
}

const MIGRATE_HELP: &str = "\
A server does this when it starts, unless API_DB_AUTO_MIGRATE is false. Several processes may
migrate at once: each migration is applied once. Applied migrations are verified by their SHA-256.";

/// Options of `agentcafe tail`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = with_settings(TAIL_HELP, "tail"), after_help = TAIL_HELP)]
pub(crate) struct TailOptions {
    /// The room [default: all rooms].
    pub(crate) room: Option<String>,
    /// The URL of the server [default: AGENTCAFE_URL].
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// The tenant [default: all tenants].
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Start after this sequence; 0 shows the whole log.
    #[arg(long, value_name = "SEQUENCE")]
    pub(crate) since: Option<u64>,
    /// How many earlier events to show first.
    #[arg(long, value_name = "COUNT", default_value_t = 10, conflicts_with = "since", value_parser = clap::value_parser!(u16).range(0..=5000))]
    pub(crate) last: u16,
    /// Show heartbeats and changes of status, too.
    #[arg(long)]
    pub(crate) all: bool,
    /// When to use colours: in a terminal, always or never.
    #[arg(long, visible_alias = "color", value_enum, default_value_t = Colour::Auto)]
    pub(crate) colour: Colour,
}

const TAIL_HELP: &str = "\
Times are UTC. A lost connection resumes without a gap. Press Ctrl-C to stop.
If NO_COLOR is set, there are no colours, except with --colour always.";

const REPORT_HELP: &str =
    "The report goes to standard output as JSON; the exit code is 0 if all checks pass, else 1.";

/// The end of a subcommand's help: a text and the settings.
fn with_settings(text: &str, subcommand: &str) -> String {
    format!("{text}\n\n{}", config::help(subcommand))
}

/// Options of `agentcafe drill`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = with_settings(REPORT_HELP, "drill"), after_help = SETTINGS_HINT)]
pub(crate) struct DrillOptions {
    /// dry-run prints the steps, probe checks the running services [default: ROLLBACK_DRILL_MODE].
    #[arg(long)]
    pub(crate) mode: Option<String>,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Colour {
    /// In a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
