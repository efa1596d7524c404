//! `bench`: runs scenarios against a release build of agentcafe and reports what they cost.

mod arguments;
mod baseline;
mod machine;
mod report;
mod scenario;
mod server;
mod setup;

use std::path::Path;
use std::process::ExitCode;

use agentcafe_load::open_files::raise_open_files;
use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use crate::arguments::{Arguments, Role, Scenario};
use crate::machine::Machine;
use crate::report::Report;
use crate::setup::Setup;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(Role::BareHttp { port }) = arguments.role {
        baseline::bare_http::serve(port)?;
        return Ok(ExitCode::SUCCESS);
    }
    let setup = Setup::new(&arguments)?;
    raise_open_files().context("cannot raise the limit of open files")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(usize::from(arguments.workers))
        .enable_all()
        .build()?;
    let mut report = Report::new(Machine::describe(), setup.settings);
    let chosen: &[Scenario] =
        if arguments.only.is_empty() { Scenario::value_variants() } else { &arguments.only };
    for scenario in Scenario::value_variants().iter().filter(|scenario| chosen.contains(scenario)) {
        runtime.block_on(scenario::run(*scenario, &setup, &mut report));
    }
    write_json(&arguments.json, &report)?;
    print!("{}", report.readable());
    Ok(if report.has_failures() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn write_json(path: &Path, report: &Report) -> Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let json = serde_json::to_string_pretty(report)?;
    std::fs::write(path, json + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("the report is in {}", path.display());
    Ok(())
}
