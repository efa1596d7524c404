//! `growth`: compares the cost of a say on a short and a long log, and measures how long starting takes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use super::report_failures;
use crate::arguments::Setup;
use crate::measure::{Measurement, measure_requests, preload};
use crate::report::{Goal, Section};
use crate::server::Server;

/// Connections that send says.
const CONNECTIONS: u64 = 64;
/// Says before a measurement, so that the server has seen every actor.
const WARM_UP_SAYS: u64 = 2_000;
/// How long a server is idle before its memory is measured.
const IDLE: Duration = Duration::from_secs(2);

/// The two stores. Measurements use copies of the short one, so that it stays short.
struct Stores {
    dir: TempDir,
    short: PathBuf,
    long: PathBuf,
}

/// Measures says on both logs alternately, then the start on the long one.
pub(crate) async fn run(setup: &Setup, section: &mut Section<'_>) -> Result<()> {
    let stores = fill(setup, section).await?;
    let (mut short, mut long) = (Vec::new(), Vec::new());
    for round in 0..setup.settings.growth_rounds {
        section.progress(&format!("round {} of {}", round + 1, setup.settings.growth_rounds));
        let copy = stores.dir.path().join(format!("short-{round}"));
        copy_dir(&stores.short, &copy)?;
        short.push(measure_says(setup, section, &copy).await?);
        long.push(measure_says(setup, section, &stores.long).await?);
    }
    for (name, says) in [("short log", &short), ("long log", &long)] {
        section.figure(&format!("{name}, server CPU per say"), median_of(says, cpu_us), "µs");
        section.figure(&format!("{name}, mean latency"), median_of(says, mean_ms), "ms");
    }
    let ratio = |of: fn(&Measurement) -> f64| median_of(&long, of) / median_of(&short, of);
    section.figure_with_goal("CPU, long over short", ratio(cpu_us), "", Goal::AtMost(1.10));
    section.figure("mean latency, long over short", ratio(mean_ms), "");
    measure_starts(setup, section, &stores).await
}

/// Fills both stores through the API.
async fn fill(setup: &Setup, section: &Section<'_>) -> Result<Stores> {
    let dir = setup.temporary_dir()?;
    let stores = Stores { short: dir.path().join("short"), long: dir.path().join("long"), dir };
    let lengths =
        [(&stores.short, setup.settings.short_log_events), (&stores.long, setup.settings.long_log_events)];
    for (store, length) in lengths {
        section.progress(&format!("filling a log with {length} events"));
        let server = Server::start(&setup.server_binary, store).await?;
        preload(server.measured(), length).await?;
        server.stop().await?;
    }
    Ok(stores)
}

/// Measures says on a newly started server.
async fn measure_says(setup: &Setup, section: &mut Section<'_>, store: &Path) -> Result<Measurement> {
    let server = Server::start(&setup.server_binary, store).await?;
    let scripts = || server.measured().says(CONNECTIONS);
    let warm_up = measure_requests(server.measured(), scripts(), WARM_UP_SAYS).await?;
    report_failures(section, &warm_up);
    let says = measure_requests(server.measured(), scripts(), setup.settings.growth_says).await?;
    server.stop().await?;
    report_failures(section, &says);
    Ok(says)
}

/// Measures the time until a server is ready, and its memory when idle.
async fn measure_starts(setup: &Setup, section: &mut Section<'_>, stores: &Stores) -> Result<()> {
    let (mut opened_ms, mut empty_ms) = (Vec::new(), Vec::new());
    let (mut opened_mib, mut empty_mib) = (Vec::new(), Vec::new());
    for round in 0..setup.settings.growth_rounds {
        section.progress(&format!("start {} of {}", round + 1, setup.settings.growth_rounds));
        let (milliseconds, mebibytes) = measure_start(setup, &stores.long).await?;
        opened_ms.push(milliseconds);
        opened_mib.push(mebibytes);
        let empty = stores.dir.path().join(format!("empty-{round}"));
        let (milliseconds, mebibytes) = measure_start(setup, &empty).await?;
        empty_ms.push(milliseconds);
        empty_mib.push(mebibytes);
    }
    section.figure_with_goal("long log, start until ready", median(opened_ms), "ms", Goal::Below(1000.0));
    section.figure("empty log, start until ready", median(empty_ms), "ms");
    section.figure_with_goal("long log, idle memory", median(opened_mib), "MiB", Goal::Below(40.0));
    section.figure_with_goal("empty log, idle memory", median(empty_mib), "MiB", Goal::Below(40.0));
    Ok(())
}

/// Milliseconds until ready, and mebibytes of memory when idle.
async fn measure_start(setup: &Setup, store: &Path) -> Result<(f64, f64)> {
    let server = Server::start(&setup.server_binary, store).await?;
    let ready_after_ms = server.ready_after.as_secs_f64() * 1e3;
    tokio::time::sleep(IDLE).await;
    let resident_mib = server.resident_mib();
    server.stop().await?;
    Ok((ready_after_ms, resident_mib))
}

fn cpu_us(says: &Measurement) -> f64 {
    says.us_per_success(says.server_cpu)
}

fn mean_ms(says: &Measurement) -> f64 {
    says.stats.latencies.mean_ms()
}

fn median_of(measurements: &[Measurement], value: fn(&Measurement) -> f64) -> f64 {
    median(measurements.iter().map(value).collect())
}

/// The median of an odd number of values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Copies a directory recursively.
fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
