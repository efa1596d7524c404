//! The binary `agentcafe`: parses the command line, reads the settings, runs the subcommand.

mod cli;
mod config;
mod drill;
mod export;
mod import;
mod keys;
mod load;
mod migrate;
mod new_epoch;
mod process;
mod projector;
mod realtime;
mod secret_keys;
mod serve;
mod tail;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, ServeOptions};
use crate::config::{ProjectorConfig, RealtimeConfig, ServeConfig, Sources};

/// A commit batch allocates and frees thousands of small objects on another thread than the requests; mimalloc is fast at
/// this.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Huge pages make an idle process a third larger. If they cannot be disabled, it continues with them.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let cli = Cli::parse();
    // The first and only installation, so it cannot fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(cli.command.unwrap_or(Command::Serve(ServeOptions::default())), cli.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agentcafe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, config_file: Option<PathBuf>) -> anyhow::Result<()> {
    let sources = |subcommand| Sources::load(subcommand, config_file.clone());
    // The services log their warnings.
    let warned = |subcommand| {
        let sources = sources(subcommand)?;
        sources.warnings().iter().for_each(|warning| eprintln!("agentcafe: {warning}"));
        anyhow::Ok(sources)
    };
    match command {
        Command::Serve(options) => serve::run(ServeConfig::read(&sources("serve")?)?, options),
        Command::Realtime => realtime::run(RealtimeConfig::read(&sources("realtime")?)?),
        Command::Projector => projector::run(ProjectorConfig::read(&sources("projector")?)?),
        Command::Tail(options) => tail::run(options, &warned("tail")?),
        Command::Export(options) => export::run(options, &warned("export")?),
        Command::Import(options) => import::run(options, &warned("import")?),
        Command::Verify(options) => verify::run(options, &warned("verify")?),
        Command::NewEpoch(options) => new_epoch::run(options, &warned("new-epoch")?),
        Command::Keys(options) => keys::run(options, &warned("keys")?),
        Command::Migrate(options) => migrate::run(options, &warned("migrate")?),
        Command::Load(options) => load::run(options, &sources("load")?),
        Command::Drill(options) => drill::run(options, &warned("drill")?),
        Command::Config(options) => config::run(&options, config_file),
    }
}
