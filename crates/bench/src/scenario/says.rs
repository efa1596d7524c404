//! `says`, `says256`: how many says a second, how fast, and at what cost.

use agentcafe_bench::measure::measure_for;
use anyhow::Result;

use super::report_refusals;
use crate::report::{Section, Target};
use crate::server::Server;
use crate::setup::Setup;

/// Connections that the targets are meant for.
const AIMED_CONNECTIONS: u64 = 64;

/// Measures says on so many connections.
pub(crate) async fn run(setup: &Setup, section: &mut Section<'_>, connections: u64) -> Result<()> {
    let dir = setup.temporary_dir()?;
    let server = Server::start(&setup.server_binary, &dir.path().join("store")).await?;
    section.progress(&format!("says on {connections} connections"));
    let scripts = server.subject().says(connections);
    let (warm_up, duration) = (setup.settings.warm_up(), setup.settings.measured());
    let says = measure_for(server.subject(), scripts, warm_up, duration).await?;
    let resident_bytes = server.subject().process.resident_bytes()?;
    server.stop().await?;

    let latencies = &says.tally.latencies;
    let (cpu_us, p99_ms) = (says.subject_cpu_us(), latencies.quantile_ms(0.99));
    if connections == AIMED_CONNECTIONS {
        section.aimed("accepted", says.per_second(), "/s", Target::AtLeast(10_000.0));
        section.aimed("server CPU per say", cpu_us, "µs", Target::AtMost(100.0));
        section.aimed("p99", p99_ms, "ms", Target::Below(20.0));
    } else {
        section.figure("accepted", says.per_second(), "/s");
        section.figure("server CPU per say", cpu_us, "µs");
        section.figure("p99", p99_ms, "ms");
    }
    section.figure("p50", latencies.quantile_ms(0.50), "ms");
    section.figure("max", latencies.max_ms(), "ms");
    section.figure("refused", says.tally.failed as f64, "");
    section.figure("generator CPU per say", says.generator_cpu_us(), "µs");
    section.figure("server memory afterwards", resident_bytes as f64 / f64::from(1 << 20), "MiB");
    report_refusals(section, &says);
    Ok(())
}
