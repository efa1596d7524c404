//! `fanout`: one busy room's events to many subscribers, none of whom may miss one.

use std::time::Duration;

use agentcafe_load::fanout::{Differences, read_after};
use agentcafe_load::script::TimedSayScript;
use agentcafe_load::stats::Stopwatch;
use agentcafe_load::subscriber::{ReceivedEvents, Subscribers, WaitResult};
use agentcafe_load::worker::{RunControl, WorkerOptions, WorkerPool};
use anyhow::{Result, bail, ensure};

use super::report_failures;
use crate::arguments::Setup;
use crate::measure::{MeasuredServer, Measurement, UsageSample};
use crate::report::{Goal, Section};
use crate::server::Server;

/// Subscribers of the room.
const SUBSCRIBERS: usize = 1000;
/// One of this many subscribers measures latencies, which costs a little.
const MEASURED_EVERY: usize = 16;
/// Connections that send says as fast as they can, each as an actor of its own.
const CONNECTIONS: u64 = 8;
/// The room.
const ROOM: &str = "plaza";
/// Deadline for subscribing, and for receiving the last event.
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);

/// Measures delivery.
pub(crate) async fn run(setup: &Setup, section: &mut Section<'_>) -> Result<()> {
    let dir = setup.temporary_dir()?;
    let server = Server::start(&setup.server_binary, &dir.path().join("store")).await?;
    let measured = server.measured();
    section.progress(&format!("subscribing {} times", SUBSCRIBERS));
    let stopwatch = Stopwatch::start();
    let path = format!("/v1/streams/market-events?roomId={ROOM}&cursor=latest");
    let subscribers =
        Subscribers::subscribe(&measured.target(), &path, SUBSCRIBERS, MEASURED_EVERY, stopwatch);
    let is_ready = settle(&subscribers, "subscribing", |received| received.is_ready).await?;
    ensure!(is_ready, "not all streams were ready after {SETTLE_DEADLINE:?}");
    section.progress(&format!("{CONNECTIONS} connections send says as fast as they can"));
    let (delivered, says) = send_says(setup, measured, &subscribers, stopwatch).await?;

    section.progress("comparing what was received with the log");
    let of_room = format!("roomId={ROOM}");
    let mut sequences = read_after(&measured.target(), &of_room, 0).await?;
    let last = sequences.last().copied().unwrap_or(0);
    settle(&subscribers, "receiving the last event", |received| received.sequences.last >= last).await?;
    let (received, latencies) = subscribers.close();
    sequences.extend(read_after(&measured.target(), &of_room, last).await?);
    server.stop().await?;

    let delivered_cpu_us = says.server_cpu.as_secs_f64() * 1e6 / delivered;
    let generator_cpu_us = says.generator_cpu.as_secs_f64() * 1e6 / delivered;
    let delivered_per_second = delivered / says.elapsed.as_secs_f64();
    section.figure_with_goal("events delivered", delivered_per_second, "/s", Goal::AtLeast(300_000.0));
    section.figure_with_goal("server CPU per delivered event", delivered_cpu_us, "µs", Goal::AtMost(3.0));
    section.figure_with_goal("delivery p99", latencies.quantile_ms(0.99), "ms", Goal::Below(100.0));
    section.figure("delivery p50", latencies.quantile_ms(0.50), "ms");
    section.figure("says", says.per_second(), "/s");
    section.figure("generator CPU per delivered event", generator_cpu_us, "µs");
    report_failures(section, &says);
    if latencies.count() == 0 {
        section.failure("no timed message was received".to_owned());
    }
    report_differences(section, Differences::between(&received, &sequences, last));
    Ok(())
}

/// Sends says; returns the number of events delivered while measuring, and the other results.
async fn send_says(
    setup: &Setup,
    server: MeasuredServer,
    subscribers: &Subscribers,
    stopwatch: Stopwatch,
) -> Result<(f64, Measurement)> {
    let target = server.target();
    let scripts = TimedSayScript::for_actors(&target, "default", ROOM, 0, CONNECTIONS);
    let workers =
        WorkerPool::start(&target, RunControl::until_stopped(), stopwatch, WorkerOptions::default(), scripts);
    tokio::time::sleep(setup.settings.warm_up()).await;
    let (before, delivered_before) = (UsageSample::take(server)?, subscribers.delivered());
    subscribers.start_measuring();
    workers.control().start_measuring();
    tokio::time::sleep(setup.settings.measured()).await;
    workers.control().stop();
    subscribers.stop_measuring();
    let (measurement, delivered) = (before.elapsed_usage()?, subscribers.delivered() - delivered_before);
    let stats = workers.join(SETTLE_DEADLINE).await?;
    Ok((delivered as f64, Measurement { stats, ..measurement }))
}

/// Waits for all subscribers; returns false at the deadline. A stream that ended is an error.
async fn settle(
    subscribers: &Subscribers,
    what: &'static str,
    condition: impl Fn(&ReceivedEvents) -> bool,
) -> Result<bool> {
    match subscribers.wait_until(what, SETTLE_DEADLINE, &(), condition).await {
        WaitResult::Reached => Ok(true),
        WaitResult::TimedOut => Ok(false),
        WaitResult::StreamEnded => {
            let (count, failures) = subscribers.ended();
            let first = failures.first_failure.unwrap_or_default();
            bail!("{count} streams ended while {what}; the first: {first}");
        }
    }
}

fn report_differences(section: &mut Section<'_>, differences: Differences) {
    let counts = [
        ("events lost", differences.lost),
        ("events repeated", differences.repeated),
        ("events out of order", differences.out_of_order),
        ("subscribers with another log", differences.subscribers),
    ];
    for (name, count) in counts {
        section.figure_with_goal(name, count as f64, "", Goal::AtMost(0.0));
    }
    if differences != Differences::default() {
        section.failure("not every subscriber received exactly the log, in order".to_owned());
    }
}
