//! `baseline`: what to hold the other figures against.

use std::time::Duration;

use agentcafe_bench::measure::measure_for;
use anyhow::Result;

use super::report_refusals;
use crate::baseline::disk;
use crate::report::Section;
use crate::server::Server;
use crate::setup::Setup;

/// How long each disk measurement takes at most.
const MAX_DISK_DURATION: Duration = Duration::from_secs(3);
/// Connections to the bare server, as many as `says` uses.
const CONNECTIONS: u64 = 64;

/// Measures bare HTTP, SQLite and fdatasync.
pub(crate) async fn run(setup: &Setup, section: &mut Section<'_>) -> Result<()> {
    let dir = setup.temporary_dir()?;
    section.progress("a bare HTTP handler");
    let server = Server::start_bare(dir.path()).await?;
    let scripts = server.subject().says(CONNECTIONS);
    let (warm_up, duration) = (setup.settings.warm_up(), setup.settings.measured());
    let bare = measure_for(server.subject(), scripts, warm_up, duration).await?;
    server.stop().await?;
    section.figure("bare HTTP requests", bare.per_second(), "/s");
    section.figure("bare HTTP CPU per request", bare.subject_cpu_us(), "µs");
    section.figure("bare HTTP p99", bare.tally.latencies.quantile_ms(0.99), "ms");
    section.figure("generator CPU per request", bare.generator_cpu_us(), "µs");
    report_refusals(section, &bare);

    let duration = duration.min(MAX_DISK_DURATION);
    for group in [100, 1000] {
        section.progress(&format!("bare SQLite, groups of {group}"));
        let rows = disk::sqlite_rows_per_second(dir.path(), group, duration)?;
        section.figure(&format!("SQLite rows, groups of {group}"), rows, "/s");
    }
    section.progress("fdatasync");
    let latencies = disk::sync_latencies(dir.path(), duration)?;
    section.figure("fdatasync p50", latencies.quantile_ms(0.50), "ms");
    section.figure("fdatasync p99", latencies.quantile_ms(0.99), "ms");
    Ok(())
}
