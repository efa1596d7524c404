//! Follows the source into memory, for as long as the service runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use agentcafe_client::{Backoff, EventStream, Start, StreamOptions, StreamUpdate};
use agentcafe_domain::kernel::Sequence;
use agentcafe_eventlog::{DamagedEvents, LogPosition};
use parking_lot::Mutex;

use crate::service::Service;

/// The first delay before reconnecting. It is short because most interruptions are.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
/// After this many events at once, other tasks run before the next ones.
const YIELD_AFTER_EVENTS: usize = 64;

/// The status of the connection to the source, for the health document and metrics.
#[derive(Debug, Default)]
pub(crate) struct SourceStatus {
    is_connected: AtomicBool,
    connections: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl SourceStatus {
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    /// How often the connection was made again.
    pub(crate) fn reconnects(&self) -> u64 {
        self.connections.load(Ordering::Relaxed).saturating_sub(1)
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    fn set_connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.is_connected.store(true, Ordering::Relaxed);
    }

    /// Stores the reason first, so that a reader that sees the connection lost also sees why.
    fn set_disconnected(&self, why: String) {
        let is_new = self.last_error.lock().replace(why.clone()).as_ref() != Some(&why);
        if self.is_connected.swap(false, Ordering::Relaxed) || is_new {
            tracing::warn!(why, "the source is not connected");
        }
    }
}

/// Follows the source until the service stops.
pub(crate) async fn run(service: Arc<Service>) {
    let max = service.settings.source_reconnect;
    let options = StreamOptions {
        backoff: Backoff { min: max.min(MIN_BACKOFF), max },
        idle_timeout: service.settings.source_silence,
        ..StreamOptions::all(Start::After(Sequence::START))
    };
    let mut stream = EventStream::new(service.settings.source.clone(), options);
    // The head when the connection was made, and what was received since.
    let (mut target, mut received) = (None, Sequence::START);
    loop {
        let update = tokio::select! {
            biased;
            () = service.stopping.cancelled() => return,
            update = stream.next() => update,
        };
        let mirror = service.mirror();
        match update {
            StreamUpdate::Connected { head, log_id, .. } => {
                mirror.set_source_log(head, log_id);
                service.source_status.set_connected();
                tracing::info!(%head, "the source is connected");
                target = Some(head);
            }
            StreamUpdate::Events(events) => {
                let many = events.len() > YIELD_AFTER_EVENTS;
                received = events.last().map_or(received, |event| event.sequence);
                mirror.apply(events);
                if many {
                    tokio::task::yield_now().await;
                }
            }
            StreamUpdate::ScannedTo(scanned_to) => received = received.max(scanned_to),
            StreamUpdate::Gap { from, to, is_damaged } => {
                tracing::error!(%from, %to, is_damaged, "the source skipped events");
                if is_damaged {
                    mirror.add_damaged(DamagedEvents { after: from, to });
                }
                received = to;
            }
            StreamUpdate::LogReplaced { head, log_id } => {
                tracing::warn!(%head, "the source has another log than before: starting over");
                service.replace_mirror(LogPosition { head, log_id: log_id.unwrap_or_default() });
                (target, received) = (None, Sequence::START);
            }
            StreamUpdate::Disconnected(error) => {
                service.source_status.set_disconnected(error.to_string());
                target = None;
            }
        }
        if target.is_some_and(|target| received >= target) {
            service.mirror().set_caught_up();
        }
    }
}
