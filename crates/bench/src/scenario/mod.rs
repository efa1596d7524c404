//! The scenarios: one file each, one function each.

mod baseline;
mod events;
mod fanout;
mod growth;
mod postgres;
mod says;
mod webhooks;

use agentcafe_bench::measure::Measurement;

use crate::arguments::Scenario;
use crate::report::{Report, Section};
use crate::setup::Setup;

/// Runs one scenario. What goes wrong is part of the report.
pub(crate) async fn run(scenario: Scenario, setup: &Setup, report: &mut Report) {
    let mut section = report.section(name(scenario));
    let result = match scenario {
        Scenario::Baseline => baseline::run(setup, &mut section).await,
        Scenario::Says => says::run(setup, &mut section, 64).await,
        Scenario::Says256 => says::run(setup, &mut section, 256).await,
        Scenario::Fanout => fanout::run(setup, &mut section).await,
        Scenario::Events => events::run(setup, &mut section).await,
        Scenario::Growth => growth::run(setup, &mut section).await,
        Scenario::Webhooks => webhooks::run(setup, &mut section).await,
        Scenario::Postgres => postgres::run(setup, &mut section).await,
    };
    if let Err(error) = result {
        section.failure(format!("{error:#}"));
    }
}

fn name(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Baseline => "baseline",
        Scenario::Says => "says",
        Scenario::Says256 => "says256",
        Scenario::Fanout => "fanout",
        Scenario::Events => "events",
        Scenario::Growth => "growth",
        Scenario::Webhooks => "webhooks",
        Scenario::Postgres => "postgres",
    }
}

/// Any answer that was not the expected one makes the measurement worthless.
fn report_refusals(section: &mut Section<'_>, measurement: &Measurement) {
    let tally = &measurement.tally;
    if let Some(sample) = &tally.failure_sample {
        section.failure(format!("{} requests failed; the first: {sample}", tally.failed));
    } else if tally.completed == 0 {
        section.failure("no request was answered".to_owned());
    }
}
