//! `bench`: measures a release build of agentcafe, next to bare baselines on the same machine. A *say* is one
//! `POST /v1/commands/say`.

mod arguments;
mod measure;
mod process;
mod report;
mod scenario;
mod server;

use std::path::Path;
use std::process::ExitCode;

use agentcafe_load::connection::raise_open_files;
use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use crate::arguments::{Arguments, Role, Scenario, Setup};
use crate::report::{BenchReport, Machine};

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(Role::BareHttp) = arguments.role {
        scenario::baseline::serve_bare_http()?;
        return Ok(ExitCode::SUCCESS);
    }
    let setup = Setup::new(&arguments)?;
    raise_open_files().context("cannot raise the limit of open files")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(usize::from(arguments.workers))
        .enable_all()
        .build()?;
    let mut report = BenchReport::new(Machine::describe(), setup.settings);
    let chosen: &[Scenario] =
        if arguments.only.is_empty() { Scenario::value_variants() } else { &arguments.only };
    for scenario in Scenario::value_variants().iter().filter(|scenario| chosen.contains(scenario)) {
        runtime.block_on(scenario::run(*scenario, &setup, &mut report));
    }
    write_json(&arguments.json, &report)?;
    print!("{}", report.readable());
    Ok(if report.has_failures() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn write_json(path: &Path, report: &BenchReport) -> Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let json = serde_json::to_string_pretty(report)?;
    std::fs::write(path, json + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("the report is in {}", path.display());
    Ok(())
}
