//! `events`: how fast pages of a long log are read.

use agentcafe_bench::measure::{Measurement, measure_for, preload};
use agentcafe_bench::script::PageScript;
use agentcafe_load::connection::Connection;
use agentcafe_load::room_log::read_page;
use agentcafe_load::script::AlternatingScript;
use anyhow::{Result, ensure};

use super::report_refusals;
use crate::report::{Section, Target};
use crate::server::Server;
use crate::setup::Setup;

/// Connections that read.
const CONNECTIONS: usize = 32;
/// Events of a page.
const PAGE_EVENTS: u64 = 100;

/// Measures the first page over and over, then pages from all over the log.
pub(crate) async fn run(setup: &Setup, section: &mut Section<'_>) -> Result<()> {
    let dir = setup.temporary_dir()?;
    let server = Server::start(&setup.server_binary, &dir.path().join("store")).await?;
    let log_length = setup.settings.paged_log_events;
    section.progress(&format!("filling the log with {log_length} events"));
    preload(server.subject(), log_length).await?;
    check_pages(&server, log_length).await?;

    let (warm_up, duration) = (setup.settings.warm_up(), setup.settings.measured());
    section.progress(&format!("the first page, on {CONNECTIONS} connections"));
    let target = server.subject().target();
    let first_page = AlternatingScript::of_gets(&target, &[&format!("/v1/events?limit={PAGE_EVENTS}")]);
    let scripts = vec![first_page; CONNECTIONS];
    let first = measure_for(server.subject(), scripts, warm_up, duration).await?;
    section.aimed("first page", first.per_second(), "/s", Target::AtLeast(5_000.0));
    report_details(section, "first page", &first);

    section.progress(&format!("any page, on {CONNECTIONS} connections"));
    let scripts = (0..CONNECTIONS).map(|_| PageScript::new(&target, PAGE_EVENTS, log_length)).collect();
    let any = measure_for(server.subject(), scripts, warm_up, duration).await?;
    section.figure("any page", any.per_second(), "/s");
    report_details(section, "any page", &any);
    server.stop().await
}

/// Makes sure that what is going to be measured is what it should be: full pages.
async fn check_pages(server: &Server, log_length: u64) -> Result<()> {
    let target = server.subject().target();
    let mut connection = Connection::open(&target).await?;
    for cursor in [0, log_length / 2] {
        let page =
            read_page(&mut connection, &target, &format!("limit={PAGE_EVENTS}&cursor={cursor}")).await?;
        let is_full = page.len() as u64 == PAGE_EVENTS && page.is_sorted() && page[0] > cursor;
        ensure!(is_full, "the page after {cursor} is not the {PAGE_EVENTS} events that follow");
    }
    Ok(())
}

fn report_details(section: &mut Section<'_>, name: &str, pages: &Measurement) {
    section.figure(&format!("{name}, server CPU"), pages.subject_cpu_us(), "µs");
    section.figure(&format!("{name}, p99"), pages.tally.latencies.quantile_ms(0.99), "ms");
    report_refusals(section, pages);
}
