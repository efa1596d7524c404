//! `webhooks`: how fast events are delivered to many webhook subscriptions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentcafe_load::connection::Connection;
use agentcafe_load::stats::Stopwatch;
use anyhow::{Result, ensure};
use axum::Router;
use axum::http::{StatusCode, Uri};
use tokio::task::JoinHandle;

use super::{listen, report_failures};
use crate::arguments::Setup;
use crate::measure::{Measurement, UsageSample, measure_requests};
use crate::report::Section;
use crate::server::Server;

/// Subscriptions, each to all messages.
const SUBSCRIPTIONS: usize = 20;
/// Connections that send says.
const CONNECTIONS: u64 = 64;
/// Longest time without a delivery.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between two checks of what has been received.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Measures how long it takes until all messages have been delivered to all subscriptions.
pub(crate) async fn run(setup: &Setup, section: &mut Section<'_>) -> Result<()> {
    let dir = setup.temporary_dir()?;
    let server = Server::start(&setup.server_binary, &dir.path().join("store")).await?;
    let receiver = WebhookReceiver::start().await?;
    for number in 0..SUBSCRIPTIONS {
        subscribe(server.measured().address, &receiver.url(number)).await?;
    }
    let events = setup.settings.webhook_events;
    section.progress(&format!("{events} events to {SUBSCRIPTIONS} subscriptions"));
    let before = UsageSample::take(server.measured())?;
    let says = measure_requests(server.measured(), server.measured().says(CONNECTIONS), events).await?;
    receiver.wait_for(events).await?;
    let drained = before.elapsed_usage()?;
    server.stop().await?;
    report(section, &receiver, &says, &drained);
    ensure!(
        receiver.counts().iter().all(|count| *count == events),
        "not every event was delivered exactly once: {:?}",
        receiver.counts()
    );
    Ok(())
}

fn report(section: &mut Section<'_>, receiver: &WebhookReceiver, says: &Measurement, drained: &Measurement) {
    let delivered = receiver.counts().iter().sum::<u64>() as f64;
    let each_us = |cpu: Duration| cpu.as_secs_f64() * 1e6 / delivered;
    section.figure("deliveries", delivered / drained.elapsed.as_secs_f64(), "/s");
    section.figure("server CPU per delivery, says included", each_us(drained.server_cpu), "µs");
    section.figure("generator CPU per delivery", each_us(drained.generator_cpu), "µs");
    section.figure("says accepted", says.per_second(), "/s");
    section.figure("last delivery after", drained.elapsed.as_secs_f64(), "s");
    report_failures(section, says);
}

/// Creates a subscription to all messages.
async fn subscribe(server: SocketAddr, url: &str) -> Result<()> {
    let body = format!(r#"{{"targetUrl":"{url}","eventTypes":["conversation_message_posted"]}}"#);
    let head = format!(
        "POST /v1/subscriptions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         idempotency-key: {url}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = Connection::open(&server.into()).await?;
    let response = connection.exchange((head + &body).as_bytes()).await?;
    ensure!(response.status == 201, "a subscription was refused: {}", String::from_utf8_lossy(response.body));
    Ok(())
}

/// Counts the deliveries of each subscription.
struct WebhookReceiver {
    address: SocketAddr,
    counts: Arc<[AtomicU64; SUBSCRIPTIONS]>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Drop for WebhookReceiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl WebhookReceiver {
    async fn start() -> Result<Self> {
        let (address, listener) = listen().await?;
        let counts: Arc<[AtomicU64; SUBSCRIPTIONS]> = Arc::default();
        let counted = Arc::clone(&counts);
        let take = move |uri: Uri| {
            let number = uri.path().trim_start_matches('/').parse::<usize>();
            if let Some(count) = number.ok().and_then(|number| counted.get(number)) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            std::future::ready(StatusCode::NO_CONTENT)
        };
        let router = Router::new().fallback(take);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, counts, serving })
    }

    fn url(&self, number: usize) -> String {
        format!("http://{}/{number}", self.address)
    }

    fn counts(&self) -> [u64; SUBSCRIPTIONS] {
        std::array::from_fn(|number| self.counts[number].load(Ordering::Relaxed))
    }

    /// Waits until every subscription has received this many events.
    async fn wait_for(&self, events: u64) -> Result<()> {
        let (mut last, mut since) = (0, Stopwatch::start());
        loop {
            let counts = self.counts();
            if counts.iter().all(|count| *count >= events) {
                return Ok(());
            }
            let sum = counts.iter().sum();
            if sum > last {
                (last, since) = (sum, Stopwatch::start());
            }
            ensure!(since.elapsed() < DELIVERY_TIMEOUT, "no delivery for {DELIVERY_TIMEOUT:?}: {counts:?}");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}
