//! `webhooks`: how fast many events go out to many receivers, each of them in order.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentcafe_bench::measure::{Measurement, Reading, measure_requests};
use agentcafe_load::connection::Connection;
use agentcafe_load::stopwatch::Stopwatch;
use anyhow::{Result, ensure};
use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::serve::ListenerExt;
use tokio::task::JoinHandle;

use super::report_refusals;
use crate::report::Section;
use crate::server::Server;
use crate::setup::Setup;

/// Subscriptions, each to everything that is said.
const SUBSCRIPTIONS: usize = 20;
/// Connections that say.
const CONNECTIONS: u64 = 64;
/// How long may pass without a delivery.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at what has been received.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Measures how long it takes until everything that was said has arrived everywhere.
pub(crate) async fn run(setup: &Setup, section: &mut Section<'_>) -> Result<()> {
    let dir = setup.temporary_dir()?;
    let server = Server::start(&setup.server_binary, &dir.path().join("store")).await?;
    let receiver = Receiver::start().await?;
    for number in 0..SUBSCRIPTIONS {
        subscribe(server.subject().address, &receiver.url(number)).await?;
    }
    let events = setup.settings.webhook_events;
    section.progress(&format!("{events} events to {SUBSCRIPTIONS} subscriptions"));
    let before = Reading::take(server.subject())?;
    let says = measure_requests(server.subject(), server.subject().says(CONNECTIONS), events).await?;
    receiver.wait_for(events).await?;
    let drained = before.until_now()?;
    server.stop().await?;
    report(section, &receiver, &says, &drained);
    ensure!(
        receiver.counts().iter().all(|count| *count == events),
        "nothing failed, but not every event came once: {:?}",
        receiver.counts()
    );
    Ok(())
}

fn report(section: &mut Section<'_>, receiver: &Receiver, says: &Measurement, drained: &Measurement) {
    let delivered = receiver.counts().iter().sum::<u64>() as f64;
    let each_us = |cpu: Duration| cpu.as_secs_f64() * 1e6 / delivered;
    section.figure("deliveries", delivered / drained.elapsed.as_secs_f64(), "/s");
    section.figure("server CPU per delivery, says included", each_us(drained.subject_cpu), "µs");
    section.figure("generator CPU per delivery", each_us(drained.generator_cpu), "µs");
    section.figure("says meanwhile", says.per_second(), "/s");
    section.figure("last delivery after", drained.elapsed.as_secs_f64(), "s");
    report_refusals(section, says);
}

/// Makes a subscription to everything that is said.
async fn subscribe(server: SocketAddr, url: &str) -> Result<()> {
    let body = format!(r#"{{"targetUrl":"{url}","eventTypes":["conversation_message_posted"]}}"#);
    let head = format!(
        "POST /v1/subscriptions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         idempotency-key: {url}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = Connection::open(&server.into()).await?;
    let answer = connection.exchange((head + &body).as_bytes()).await?;
    ensure!(answer.status == 201, "a subscription was refused: {}", String::from_utf8_lossy(answer.body));
    Ok(())
}

/// Takes whatever comes, and counts it.
struct Receiver {
    address: SocketAddr,
    counts: Arc<[AtomicU64; SUBSCRIPTIONS]>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|stream| {
            // A connection that cannot be configured fails by itself soon enough.
            let _ = stream.set_nodelay(true);
        });
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

    /// Waits until every subscription has been told of so many events.
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
            ensure!(since.elapsed() < PATIENCE, "no delivery for {PATIENCE:?}: {counts:?}");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}
