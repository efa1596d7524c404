//! `events`: how fast pages of a long log are read.

use std::ops::Range;

use agentcafe_load::connection::Connection;
use agentcafe_load::fanout::read_page;
use agentcafe_load::script::{GetScript, Script, reserve_numbers, scramble, write_decimal};
use agentcafe_load::target::Target;
use anyhow::{Result, ensure};

use super::report_failures;
use crate::arguments::Setup;
use crate::measure::{Measurement, measure_for, preload};
use crate::report::{Goal, Section};
use crate::server::Server;

/// Connections that read.
const CONNECTIONS: usize = 32;
/// Events per page.
const PAGE_EVENTS: u64 = 100;

/// Measures the first page repeatedly, then random pages.
pub(crate) async fn run(setup: &Setup, section: &mut Section<'_>) -> Result<()> {
    let dir = setup.temporary_dir()?;
    let server = Server::start(&setup.server_binary, &dir.path().join("store")).await?;
    let log_length = setup.settings.paged_log_events;
    section.progress(&format!("filling the log with {log_length} events"));
    preload(server.measured(), log_length).await?;
    check_pages(&server, log_length).await?;

    let (warm_up, duration) = (setup.settings.warm_up(), setup.settings.measured());
    section.progress(&format!("the first page, on {CONNECTIONS} connections"));
    let target = server.measured().target();
    let first_page = GetScript::new(&target, &[&format!("/v1/events?limit={PAGE_EVENTS}")]);
    let scripts = vec![first_page; CONNECTIONS];
    let first = measure_for(server.measured(), scripts, warm_up, duration).await?;
    section.figure_with_goal("first page", first.per_second(), "/s", Goal::AtLeast(5_000.0));
    report_details(section, "first page", &first);

    section.progress(&format!("any page, on {CONNECTIONS} connections"));
    let scripts = (0..CONNECTIONS).map(|_| PageScript::new(&target, PAGE_EVENTS, log_length)).collect();
    let any = measure_for(server.measured(), scripts, warm_up, duration).await?;
    section.figure("any page", any.per_second(), "/s");
    report_details(section, "any page", &any);
    server.stop().await
}

/// Checks that the pages to measure are full.
async fn check_pages(server: &Server, log_length: u64) -> Result<()> {
    let target = server.measured().target();
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
    section.figure(&format!("{name}, server CPU"), pages.us_per_success(pages.server_cpu), "µs");
    section.figure(&format!("{name}, p99"), pages.stats.latencies.quantile_ms(0.99), "ms");
    report_failures(section, pages);
}

/// Requests for random pages of the log.
#[derive(Clone, Debug)]
struct PageScript {
    request: Vec<u8>,
    cursor: Range<usize>,
    log_length: u64,
    next_number: u64,
}

impl PageScript {
    /// Pages of `limit` events, in a log of `log_length` events.
    fn new(target: &Target, limit: u64, log_length: u64) -> Self {
        let before = format!("/v1/events?limit={limit}&cursor=");
        let digits = log_length.to_string().len();
        let start = "GET ".len() + before.len();
        Self {
            request: target.get(&format!("{before}{}", "0".repeat(digits))),
            cursor: start..start + digits,
            log_length: log_length.saturating_sub(limit).max(1),
            next_number: reserve_numbers(),
        }
    }
}

impl Script for PageScript {
    fn next_request(&mut self, _now_us: u64) -> &[u8] {
        write_decimal(&mut self.request[self.cursor.clone()], scramble(self.next_number) % self.log_length);
        self.next_number += 1;
        &self.request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_script_requests_random_pages() {
        let mut script = PageScript::new(&Target::parse("http://cafe").unwrap(), 100, 250_000);
        let request = String::from_utf8(script.next_request(0).to_vec()).unwrap();
        let (_, after) = request.split_once("GET /v1/events?limit=100&cursor=").unwrap();
        let cursor: u64 = after.split(' ').next().unwrap().parse().unwrap();
        assert!(cursor < 250_000);
        assert_ne!(request.as_bytes(), script.next_request(0));
    }
}
