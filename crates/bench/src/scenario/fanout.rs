//! `fanout`: one busy room's events to many subscribers, none of whom may miss one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use agentcafe_bench::measure::{Measurement, Reading, Run, Subject};
use agentcafe_load::control::Control;
use agentcafe_load::latency::Latencies;
use agentcafe_load::script::TimedSayScript;
use agentcafe_load::stopwatch::Stopwatch;
use agentcafe_load::subscriber::{IdSet, Received, SendWindow, subscribe};
use anyhow::{Result, bail, ensure};
use tokio::task::JoinSet;

use super::{log, report_refusals};
use crate::report::{Section, Target};
use crate::server::Server;
use crate::setup::Setup;

/// Subscribers of the room.
const SUBSCRIBERS: usize = 1000;
/// Every so many subscribers one times what it receives.
const TIMED_EVERY: usize = 16;
/// Connections that say as fast as they can, each as its own actor.
const SPEAKERS: usize = 8;
/// The room.
const ROOM: &str = "plaza";
/// How long subscribing may take, and how long receiving may go on after the last say.
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);
/// Pause between two looks at what has been received.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Measures delivery.
pub(crate) async fn run(setup: &Setup, section: &mut Section<'_>) -> Result<()> {
    let dir = setup.temporary_dir()?;
    let server = Server::start(&setup.server_binary, &dir.path().join("store")).await?;
    let subject = server.subject();
    section.progress(&format!("subscribing {SUBSCRIBERS} times"));
    let audience = Audience::assemble(subject.address).await?;
    section.progress(&format!("{SPEAKERS} connections say as fast as they can"));
    let (warm_up, duration) = (setup.settings.warm_up(), setup.settings.measured());
    let (delivered, says) = audience.measure(subject, warm_up, duration).await?;

    section.progress("comparing what was received with the log");
    let mut sequences = log::read_room(subject.address, ROOM, 0).await?;
    let last = sequences.last().copied().unwrap_or(0);
    audience.wait_until("receiving the last event", |received| received.ids.last >= last).await?;
    let (receipts, latencies) = audience.dismiss();
    sequences.extend(log::read_room(subject.address, ROOM, last).await?);
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
    report_differences(section, &receipts, &sequences, last);
    Ok(())
}

/// All subscribers.
struct Audience {
    stopwatch: Stopwatch,
    window: Arc<SendWindow>,
    receipts: Vec<Arc<Mutex<Received>>>,
    /// Their tasks; dropping them closes the streams.
    _streams: JoinSet<()>,
}

impl Audience {
    /// Subscribes all and waits until the server has told each that it is ready.
    async fn assemble(address: SocketAddr) -> Result<Self> {
        let stopwatch = Stopwatch::start();
        let window = Arc::new(SendWindow::default());
        let mut streams = JoinSet::new();
        let mut receipts = Vec::new();
        for number in 0..SUBSCRIBERS {
            let received = Received::nothing(number.is_multiple_of(TIMED_EVERY));
            let received = Arc::new(Mutex::new(received));
            receipts.push(Arc::clone(&received));
            let window = Arc::clone(&window);
            streams.spawn(async move {
                let path = format!("/v1/streams/market-events?roomId={ROOM}&cursor=latest");
                subscribe(address, &path, stopwatch, &window, &received).await;
            });
        }
        let audience = Self { stopwatch, window, receipts, _streams: streams };
        let is_ready = audience.wait_until("subscribing", |received| received.is_ready).await?;
        ensure!(is_ready, "not all streams were ready after {SETTLE_DEADLINE:?}");
        Ok(audience)
    }

    /// Has the speakers speak; gives the events delivered while measuring, and the rest.
    async fn measure(
        &self,
        subject: Subject,
        warm_up: Duration,
        duration: Duration,
    ) -> Result<(f64, Measurement)> {
        let scripts =
            (0..SPEAKERS).map(|number| TimedSayScript::new(ROOM, &format!("actor-{number:03}"))).collect();
        let run = Run::start(subject.address, Control::until_stopped(), self.stopwatch, scripts);
        tokio::time::sleep(warm_up).await;
        let (before, delivered_before) = (Reading::take(subject.process)?, self.delivered());
        self.window.open(self.stopwatch.elapsed_us());
        run.control().measure();
        tokio::time::sleep(duration).await;
        run.control().stop();
        self.window.close(self.stopwatch.elapsed_us());
        let (measurement, delivered) = (before.until_now()?, self.delivered() - delivered_before);
        let tally = run.join(SETTLE_DEADLINE).await?;
        Ok((delivered as f64, Measurement { tally, ..measurement }))
    }

    fn delivered(&self) -> u64 {
        self.receipts().map(|received| received.ids.count).sum()
    }

    fn receipts(&self) -> impl Iterator<Item = MutexGuard<'_, Received>> {
        self.receipts.iter().map(|received| received.lock().expect("no holder panics"))
    }

    /// Waits until `condition` holds for every subscriber; false if that takes too long. A stream
    /// that ended is an error.
    async fn wait_until(&self, what: &str, condition: impl Fn(&Received) -> bool) -> Result<bool> {
        let stopwatch = Stopwatch::start();
        loop {
            if let Some(failure) = self.receipts().find_map(|received| received.failure.clone()) {
                let count = self.receipts().filter(|received| received.failure.is_some()).count();
                bail!("{count} streams ended while {what}; the first: {failure}");
            }
            if self.receipts().all(|received| condition(&received)) {
                return Ok(true);
            }
            if stopwatch.elapsed() > SETTLE_DEADLINE {
                return Ok(false);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Closes the streams and gives what each received, and all latencies together.
    fn dismiss(self) -> (Vec<Received>, Latencies) {
        let mut latencies = Latencies::default();
        let receipts = self.receipts().map(|mut received| std::mem::take(&mut *received)).collect::<Vec<_>>();
        receipts.iter().filter_map(|received| received.latencies.as_ref()).for_each(|timed| {
            latencies.merge(timed);
        });
        (receipts, latencies)
    }
}

/// Compares what each subscriber received with the log: with all of it up to `last`, the last event
/// when the speakers had stopped, and for a subscriber that received later ones, up to those.
fn report_differences(section: &mut Section<'_>, receipts: &[Received], sequences: &[u64], last: u64) {
    let prefixes = id_sets(sequences);
    let (mut lost, mut repeated, mut out_of_order, mut differing) = (0, 0, 0, 0);
    for received in receipts {
        let last = last.max(received.ids.last);
        let length = prefixes.partition_point(|prefix| prefix.last <= last);
        let expected = length.checked_sub(1).map_or_else(IdSet::default, |at| prefixes[at]);
        lost += expected.count.saturating_sub(received.ids.count);
        repeated += received.repeated;
        out_of_order += received.out_of_order;
        differing += u64::from(received.ids != expected);
    }
    let differences = [
        ("events lost", lost),
        ("events repeated", repeated),
        ("events out of order", out_of_order),
        ("subscribers who saw another log", differing),
    ];
    for (name, count) in differences {
        section.aimed(name, count as f64, "", Target::AtMost(0.0));
    }
    if differences.iter().any(|(_, count)| *count > 0) {
        section.failure("not every subscriber received exactly the log, in order".to_owned());
    }
}

/// The set of the first id, of the first two, and so on.
fn id_sets(sequences: &[u64]) -> Vec<IdSet> {
    let grow = |ids: &mut IdSet, sequence: &u64| {
        ids.add(*sequence);
        Some(*ids)
    };
    sequences.iter().scan(IdSet::default(), grow).collect()
}
