//! The scenarios: one file each, one function each.

pub(crate) mod baseline;
mod events;
mod fanout;
mod growth;
mod says;
mod webhooks;

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use axum::serve::{Listener, ListenerExt};
use clap::ValueEnum;
use tokio::net::TcpListener;

use crate::arguments::{Scenario, Setup};
use crate::measure::Measurement;
use crate::report::{BenchReport, Section};

/// Runs one scenario. The report includes its errors.
pub(crate) async fn run(scenario: Scenario, setup: &Setup, report: &mut BenchReport) {
    let name = scenario.to_possible_value();
    let mut section = report.section(name.as_ref().map_or("", |name| name.get_name()));
    let result = match scenario {
        Scenario::Baseline => baseline::run(setup, &mut section).await,
        Scenario::Says => says::run_on_sqlite(setup, &mut section, 64).await,
        Scenario::Says256 => says::run_on_sqlite(setup, &mut section, 256).await,
        Scenario::Fanout => fanout::run(setup, &mut section).await,
        Scenario::Events => events::run(setup, &mut section).await,
        Scenario::Growth => growth::run(setup, &mut section).await,
        Scenario::Webhooks => webhooks::run(setup, &mut section).await,
        Scenario::Postgres => says::run_on_postgres(setup, &mut section).await,
    };
    if let Err(error) = result {
        section.failure(format!("{error:#}"));
    }
}

/// Listens on a free port of 127.0.0.1, with Nagle's algorithm off.
async fn listen() -> Result<(SocketAddr, impl Listener<Addr = SocketAddr>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let listener = listener.tap_io(|stream| {
        // A connection on which this fails is about to fail anyway.
        let _ = stream.set_nodelay(true);
    });
    Ok((address, listener))
}

/// A failed request invalidates the measurement.
fn report_failures(section: &mut Section<'_>, measurement: &Measurement) {
    let stats = &measurement.stats;
    if let Some(first) = &stats.failures.first_failure {
        section.failure(format!("{} requests failed; the first: {first}", stats.failed));
    } else if stats.completed == 0 {
        section.failure("no request succeeded".to_owned());
    }
}
