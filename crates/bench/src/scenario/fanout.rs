//! `fanout`: one busy room's events to many subscribers, none of whom may miss one.

use std::time::Duration;

use agentcafe_bench::measure::{Measurement, Reading, Subject};
use agentcafe_load::audience::{Audience, Differences, Seats, Waited, differences};
use agentcafe_load::control::Control;
use agentcafe_load::play::Manner;
use agentcafe_load::progress::Nobody;
use agentcafe_load::room_log::read_from;
use agentcafe_load::run::Run;
use agentcafe_load::script::TimedSayScript;
use agentcafe_load::stopwatch::Stopwatch;
use agentcafe_load::subscriber::Received;
use anyhow::{Result, bail, ensure};

use super::report_refusals;
use crate::report::{Section, Target};
use crate::server::Server;
use crate::setup::Setup;

/// Subscribers of the room; some of them time what they receive.
const SEATS: Seats = Seats { count: 1000, timed_every: 16 };
/// Connections that say as fast as they can, each as its own actor.
const SPEAKERS: u64 = 8;
/// The room.
const ROOM: &str = "plaza";
/// How long subscribing may take, and how long receiving may go on after the last say.
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);

/// Measures delivery.
pub(crate) async fn run(setup: &Setup, section: &mut Section<'_>) -> Result<()> {
    let dir = setup.temporary_dir()?;
    let server = Server::start(&setup.server_binary, &dir.path().join("store")).await?;
    let subject = server.subject();
    section.progress(&format!("subscribing {} times", SEATS.count));
    let stopwatch = Stopwatch::start();
    let path = format!("/v1/streams/market-events?roomId={ROOM}&cursor=latest");
    let audience = Audience::subscribe(&subject.target(), &path, SEATS, stopwatch);
    let is_ready = settle(&audience, "subscribing", |received| received.is_ready).await?;
    ensure!(is_ready, "not all streams were ready after {SETTLE_DEADLINE:?}");
    section.progress(&format!("{SPEAKERS} connections say as fast as they can"));
    let (delivered, says) = speak(setup, subject, &audience, stopwatch).await?;

    section.progress("comparing what was received with the log");
    let of_room = format!("roomId={ROOM}");
    let mut sequences = read_from(&subject.target(), &of_room, 0).await?;
    let last = sequences.last().copied().unwrap_or(0);
    settle(&audience, "receiving the last event", |received| received.ids.last >= last).await?;
    let (receipts, latencies) = audience.dismiss();
    sequences.extend(read_from(&subject.target(), &of_room, last).await?);
    server.stop().await?;

    let delivered_cpu_us = says.subject_cpu.as_secs_f64() * 1e6 / delivered;
    let generator_cpu_us = says.generator_cpu.as_secs_f64() * 1e6 / delivered;
    let delivered_per_second = delivered / says.elapsed.as_secs_f64();
    section.aimed("events delivered", delivered_per_second, "/s", Target::AtLeast(300_000.0));
    section.aimed("server CPU per delivered event", delivered_cpu_us, "µs", Target::AtMost(3.0));
    section.aimed("delivery p99", latencies.quantile_ms(0.99), "ms", Target::Below(100.0));
    section.figure("delivery p50", latencies.quantile_ms(0.50), "ms");
    section.figure("says", says.per_second(), "/s");
    section.figure("generator CPU per delivered event", generator_cpu_us, "µs");
    report_refusals(section, &says);
    if latencies.count() == 0 {
        section.failure("no event with a time in its text was received".to_owned());
    }
    report_differences(section, differences(&receipts, &sequences, last));
    Ok(())
}

/// Has the speakers speak; gives the events delivered while measuring, and the rest.
async fn speak(
    setup: &Setup,
    subject: Subject,
    audience: &Audience,
    stopwatch: Stopwatch,
) -> Result<(f64, Measurement)> {
    let target = subject.target();
    let scripts = TimedSayScript::for_actors(&target, "default", ROOM, 0, SPEAKERS);
    let run = Run::start(&target, Control::until_stopped(), stopwatch, Manner::default(), scripts);
    tokio::time::sleep(setup.settings.warm_up()).await;
    let (before, delivered_before) = (Reading::take(subject)?, audience.delivered());
    audience.open_window();
    run.control().measure();
    tokio::time::sleep(setup.settings.measured()).await;
    run.control().stop();
    audience.close_window();
    let (measurement, delivered) = (before.until_now()?, audience.delivered() - delivered_before);
    let tally = run.join(SETTLE_DEADLINE).await?;
    Ok((delivered as f64, Measurement { tally, ..measurement }))
}

/// Waits for all subscribers; a stream that ended is an error.
async fn settle(
    audience: &Audience,
    what: &'static str,
    condition: impl Fn(&Received) -> bool,
) -> Result<bool> {
    match audience.wait_until(what, SETTLE_DEADLINE, &Nobody, condition).await {
        Waited::All => Ok(true),
        Waited::TooLong => Ok(false),
        Waited::Ended => {
            let (count, _, sample) = audience.ended();
            bail!("{count} streams ended while {what}; the first: {}", sample.unwrap_or_default());
        }
    }
}

fn report_differences(section: &mut Section<'_>, found: Differences) {
    let differences = [
        ("events lost", found.lost),
        ("events repeated", found.repeated),
        ("events out of order", found.out_of_order),
        ("subscribers who saw another log", found.subscribers),
    ];
    for (name, count) in differences {
        section.aimed(name, count as f64, "", Target::AtMost(0.0));
    }
    if found != Differences::default() {
        section.failure("not every subscriber received exactly the log, in order".to_owned());
    }
}
