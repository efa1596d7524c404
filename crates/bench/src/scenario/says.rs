//! `says`, `says256`, `postgres`: how many says per second a server accepts, how fast, and at what cost.

use agentcafe_testkit::{Launch, Postgres};
use anyhow::Result;

use super::report_failures;
use crate::arguments::Setup;
use crate::measure::{MeasuredServer, Measurement, measure_for};
use crate::process::Process;
use crate::report::{Goal, Section};
use crate::server::Server;

/// Connections for which the goals are set.
const GOAL_CONNECTIONS: u64 = 64;

/// Measures says on this many connections, stored in SQLite.
pub(crate) async fn run_on_sqlite(setup: &Setup, section: &mut Section<'_>, connections: u64) -> Result<()> {
    let dir = setup.temporary_dir()?;
    let server = Server::start(&setup.server_binary, &dir.path().join("store")).await?;
    let says = measure(setup, section, server.measured(), connections).await?;
    let resident_mib = server.resident_mib();
    server.stop().await?;

    let (cpu_us, p99_ms) = (says.us_per_success(says.server_cpu), says.stats.latencies.quantile_ms(0.99));
    let goal = |goal| (connections == GOAL_CONNECTIONS).then_some(goal);
    section.figure_with_goal("accepted", says.per_second(), "/s", goal(Goal::AtLeast(10_000.0)));
    section.figure_with_goal("server CPU per say", cpu_us, "µs", goal(Goal::AtMost(100.0)));
    section.figure_with_goal("p99", p99_ms, "ms", goal(Goal::Below(20.0)));
    report_details(section, &says);
    section.figure("server memory afterwards", resident_mib, "MiB");
    report_failures(section, &says);
    Ok(())
}

/// Measures says, stored in PostgreSQL in its default configuration (with fsync) on the same machine.
pub(crate) async fn run_on_postgres(setup: &Setup, section: &mut Section<'_>) -> Result<()> {
    let dir = setup.temporary_dir()?;
    let postgres = Postgres::start(true);
    let launch = Launch::new(&setup.server_binary).data_dir(dir.path().join("store"));
    let server = Server::launch(launch.env("DATABASE_URL", postgres.database())).await?;
    let measured = MeasuredServer { database: Some(Process::with_id(postgres.pid())), ..server.measured() };
    let says = measure(setup, section, measured, GOAL_CONNECTIONS).await?;
    server.stop().await?;

    let (server_us, database_us) =
        (says.us_per_success(says.server_cpu), says.us_per_success(says.database_cpu));
    let total_us = server_us + database_us;
    section.figure_with_goal("accepted", says.per_second(), "/s", Goal::AtLeast(6_000.0));
    section.figure_with_goal("CPU per say, PostgreSQL's included", total_us, "µs", Goal::AtMost(170.0));
    section.figure("server CPU per say", server_us, "µs");
    section.figure("PostgreSQL CPU per say", database_us, "µs");
    section.figure("p99", says.stats.latencies.quantile_ms(0.99), "ms");
    report_details(section, &says);
    report_failures(section, &says);
    Ok(())
}

async fn measure(
    setup: &Setup,
    section: &Section<'_>,
    server: MeasuredServer,
    connections: u64,
) -> Result<Measurement> {
    section.progress(&format!("says on {connections} connections"));
    let (warm_up, duration) = (setup.settings.warm_up(), setup.settings.measured());
    measure_for(server, server.says(connections), warm_up, duration).await
}

fn report_details(section: &mut Section<'_>, says: &Measurement) {
    let latencies = &says.stats.latencies;
    section.figure("p50", latencies.quantile_ms(0.50), "ms");
    section.figure("max", latencies.max_ms(), "ms");
    section.figure("refused", says.stats.failed as f64, "");
    section.figure("generator CPU per say", says.us_per_success(says.generator_cpu), "µs");
}
