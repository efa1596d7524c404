//! `postgres`: how many says a second the café keeps in PostgreSQL, and at what cost, that of PostgreSQL included.

use agentcafe_bench::measure::{Subject, measure_for};
use agentcafe_bench::process::Process;
use agentcafe_testkit::Postgres;
use anyhow::Result;

use super::report_refusals;
use crate::report::{Section, Target};
use crate::server::Server;
use crate::setup::Setup;

/// Connections that the targets are meant for.
const CONNECTIONS: u64 = 64;

/// Measures says, with a PostgreSQL server of its own that syncs, in its standard configuration.
pub(crate) async fn run(setup: &Setup, section: &mut Section<'_>) -> Result<()> {
    let dir = setup.temporary_dir()?;
    let postgres = Postgres::start(true);
    let settings = [("DATABASE_URL", postgres.database())];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let server = Server::start_with(&setup.server_binary, &dir.path().join("store"), &settings).await?;
    let subject = Subject { database: Some(Process::with_id(postgres.pid())), ..server.subject() };
    section.progress(&format!("says on {CONNECTIONS} connections"));
    let (warm_up, duration) = (setup.settings.warm_up(), setup.settings.measured());
    let says = measure_for(subject, subject.says(CONNECTIONS), warm_up, duration).await?;
    server.stop().await?;

    let latencies = &says.tally.latencies;
    let (server_us, database_us) = (says.subject_cpu_us(), says.database_cpu_us());
    section.aimed("accepted", says.per_second(), "/s", Target::AtLeast(6_000.0));
    section.aimed("CPU per say, PostgreSQL's included", server_us + database_us, "µs", Target::AtMost(170.0));
    section.figure("server CPU per say", server_us, "µs");
    section.figure("PostgreSQL CPU per say", database_us, "µs");
    section.figure("p50", latencies.quantile_ms(0.50), "ms");
    section.figure("p99", latencies.quantile_ms(0.99), "ms");
    section.figure("max", latencies.max_ms(), "ms");
    section.figure("refused", says.tally.failed as f64, "");
    section.figure("generator CPU per say", says.generator_cpu_us(), "µs");
    report_refusals(section, &says);
    Ok(())
}
