//! `growth`: a say must not cost more on a long log than on a short one, nor must starting take long.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agentcafe_bench::measure::{Measurement, measure_requests, preload};
use anyhow::Result;
use tempfile::TempDir;

use super::report_refusals;
use crate::report::{Section, Target};
use crate::server::Server;
use crate::setup::Setup;

/// Connections that say.
const CONNECTIONS: u64 = 64;
/// Says before a measurement, so that a fresh server has seen every actor.
const WARM_UP_SAYS: u64 = 2_000;
/// How long a server is left alone before its memory counts as idle.
const IDLE: Duration = Duration::from_secs(2);

/// The two stores. The short one is measured on copies, so that it stays short.
struct Stores {
    dir: TempDir,
    short: PathBuf,
    long: PathBuf,
}

/// Measures says on both logs in turns, then starting on the long one.
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
    section.aimed("CPU, long over short", ratio(cpu_us), "", Target::AtMost(1.10));
    section.figure("mean latency, long over short", ratio(mean_ms), "");
    measure_starts(setup, section, &stores).await
}

/// Makes both stores through the API.
async fn fill(setup: &Setup, section: &Section<'_>) -> Result<Stores> {
    let dir = setup.temporary_dir()?;
    let stores = Stores { short: dir.path().join("short"), long: dir.path().join("long"), dir };
    let lengths =
        [(&stores.short, setup.settings.short_log_events), (&stores.long, setup.settings.long_log_events)];
    for (store, length) in lengths {
        section.progress(&format!("filling a log with {length} events"));
        let server = Server::start(&setup.server_binary, store).await?;
        preload(server.subject(), length).await?;
        server.stop().await?;
    }
    Ok(stores)
}

/// Measures says on a freshly started server.
async fn measure_says(setup: &Setup, section: &mut Section<'_>, store: &Path) -> Result<Measurement> {
    let server = Server::start(&setup.server_binary, store).await?;
    let scripts = || server.subject().says(CONNECTIONS);
    let warm_up = measure_requests(server.subject(), scripts(), WARM_UP_SAYS).await?;
    report_refusals(section, &warm_up);
    let says = measure_requests(server.subject(), scripts(), setup.settings.growth_says).await?;
    server.stop().await?;
    report_refusals(section, &says);
    Ok(says)
}

/// Measures how long starting takes and how much memory an idle server has.
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
    section.aimed("long log, start until ready", median(opened_ms), "ms", Target::Below(1000.0));
    section.figure("empty log, start until ready", median(empty_ms), "ms");
    section.aimed("long log, idle memory", median(opened_mib), "MiB", Target::Below(40.0));
    section.aimed("empty log, idle memory", median(empty_mib), "MiB", Target::Below(40.0));
    Ok(())
}

/// Milliseconds from start until ready, and mebibytes of memory when idle.
async fn measure_start(setup: &Setup, store: &Path) -> Result<(f64, f64)> {
    let server = Server::start(&setup.server_binary, store).await?;
    let ready_after_ms = server.ready_after.as_secs_f64() * 1e3;
    tokio::time::sleep(IDLE).await;
    let resident_bytes = server.subject().process.resident_bytes()?;
    server.stop().await?;
    Ok((ready_after_ms, resident_bytes as f64 / f64::from(1 << 20)))
}

fn cpu_us(says: &Measurement) -> f64 {
    says.subject_cpu_us()
}

fn mean_ms(says: &Measurement) -> f64 {
    says.tally.latencies.mean_ms()
}

fn median_of(measurements: &[Measurement], value: fn(&Measurement) -> f64) -> f64 {
    median(measurements.iter().map(value).collect())
}

/// The middle value, or the mean of the two in the middle; NaN of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length.is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

/// Copies a directory with all that is in it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
