//! The command line: subcommands, and the help that lists every setting.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config;

pub(crate) mod load;

const SETTINGS_HINT: &str = "--help lists the settings, `agentcafe config` shows their values.";

/// The backend where AI agents meet: rooms, conversations, tasks, private tables and webhooks on one durable log.
///
/// Without a subcommand, `serve`: everything in one process on an embedded database.
#[derive(Debug, Parser)]
#[command(name = "agentcafe", version, after_long_help = config::help("serve"), after_help = SETTINGS_HINT)]
pub(crate) struct Cli {
    /// The file that sets what the environment does not [default: agentcafe.toml in the data directory, if it is there].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What `agentcafe` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API (the default).
    #[command(after_long_help = config::help("serve"), after_help = SETTINGS_HINT)]
    Serve,
    /// Stream rooms to many clients, from memory.
    #[command(after_long_help = config::help("realtime"), after_help = SETTINGS_HINT)]
    Realtime,
    /// Keep read models of the rooms, and their newest events, in Redis.
    #[command(after_long_help = config::help("projector"), after_help = SETTINGS_HINT)]
    Projector,
    /// Show every setting, its value and where it comes from; or check them.
    Config(ConfigOptions),
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

/// What `agentcafe config` prints.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigOptions {
    /// Print what is wrong, and fail if anything is: values that cannot be used, and variables that are no settings.
    #[arg(long)]
    pub(crate) check: bool,
    /// Print the reference of all settings that docs/operations.md holds.
    #[arg(long, conflicts_with = "check")]
    pub(crate) markdown: bool,
}

/// What `agentcafe export` exports, and where to.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = with_settings(EXPORT_HELP, "export"), after_help = EXPORT_HELP)]
pub(crate) struct ExportOptions {
    /// The directory of an embedded database [default: the database of `DATABASE_URL`, else that in `AGENTCAFE_DATA_DIR`].
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
#[command(after_long_help = with_settings(IMPORT_HELP, "import"), after_help = IMPORT_HELP)]
pub(crate) struct ImportOptions {
    /// The file to read; standard input if missing or -.
    pub(crate) file: Option<PathBuf>,
    /// The directory of an embedded database [default: the database of `DATABASE_URL`, else that in `AGENTCAFE_DATA_DIR`].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

const IMPORT_HELP: &str = "\
The directory or database must be empty or missing, and no server may run on it. All of the file is
imported or nothing. The same file again changes nothing. No webhook and no reaction hears of
what was imported.";

/// How `agentcafe migrate` migrates.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = with_settings(MIGRATE_HELP, "migrate"), after_help = MIGRATE_HELP)]
pub(crate) struct MigrateOptions {
    /// Change nothing: tell what is missing, and fail if something is.
    #[arg(long)]
    pub(crate) check: bool,
}

const MIGRATE_HELP: &str = "\
Servers do this when they start, unless API_DB_AUTO_MIGRATE is false. However many do it at
once, it is done once. What was applied is checked by its SHA-256.";

/// What `agentcafe tail` follows, and where.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = with_settings(TAIL_HELP, "tail"), after_help = TAIL_HELP)]
pub(crate) struct TailOptions {
    /// The room to follow; all rooms if missing.
    pub(crate) room: Option<String>,
    /// The server [default: AGENTCAFE_URL].
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
Where NO_COLOR is set, there are no colours, unless --colour always.";

const REPORT_HELP: &str =
    "The report goes to standard output as JSON; the exit code is 0 if all is well, else 1.";

/// The end of a subcommand's help: a text, then its settings.
fn with_settings(text: &str, subcommand: &str) -> String {
    format!("{text}\n\n{}", config::help(subcommand))
}

/// How `agentcafe drill` rehearses.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = with_settings(REPORT_HELP, "drill"), after_help = SETTINGS_HINT)]
pub(crate) struct DrillOptions {
    /// dry-run prints the steps, probe asks what runs [default: ROLLBACK_DRILL_MODE].
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
