//! The binary `agentcafe`: reads what it is asked to do, and does it.

mod cli;
mod config;
mod drill;
mod export;
mod import;
mod load;
mod migrate;
mod process;
mod projector;
mod realtime;
mod serve;
mod tail;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cli::{Cli, Command},
    config::{Config, Environment, ProjectorConfig, RealtimeConfig},
};

/// A turn makes and frees thousands of small things, on another thread than the requests: this allocator is good at it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages, which keep an idle process a third larger. Where that cannot be undone, it stays so.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let cli = Cli::parse();
    // Only one part ever installs it: this one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => Config::read(&Environment::of_process()).map_err(Into::into).and_then(serve::run),
        Command::Realtime => {
            RealtimeConfig::read(&Environment::of_process()).map_err(Into::into).and_then(realtime::run)
        }
        Command::Projector => {
            ProjectorConfig::read(&Environment::of_process()).map_err(Into::into).and_then(projector::run)
        }
        Command::Tail(options) => tail::run(options),
        Command::Export(options) => export::run(options),
        Command::Import(options) => import::run(options),
        Command::Migrate(options) => migrate::run(options),
        Command::Load(options) => load::run(options),
        Command::Drill(options) => drill::run(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agentcafe: {error:#}");
            ExitCode::FAILURE
        }
    }
}
