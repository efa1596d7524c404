//! Records what was delivered, while the next deliveries are on their way.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::Code;
use agentcafe_domain::webhooks::record::{DeliveryReport, RecordDeliveries};
use agentcafe_engine::Engine;
use agentcafe_engine::lease::LeaseGuard;
use agentcafe_store::Failure;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::sleep;

/// The most reports that wait to be recorded; past it those who deliver wait.
pub(super) const MAX_WAITING: usize = 1_024;
/// The pause before recording is tried again, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(2)];
/// How often recording is tried once the tenure has ended.
const TRIES_WHEN_ENDING: u32 = 6;

/// A report, and the place it takes among what its subscription has not recorded yet.
pub(super) struct QueuedReport {
    pub(super) report: DeliveryReport,
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// Records on behalf of a tenure.
pub(super) struct DeliveryRecorder {
    pub(super) engine: Arc<Engine>,
    pub(super) lease: LeaseGuard,
}

impl DeliveryRecorder {
    /// Records all that is filed, until nobody files any more.
    pub(super) async fn run(self, mut queued: mpsc::Receiver<QueuedReport>) {
        let mut waiting = Vec::with_capacity(RecordDeliveries::BATCH);
        while queued.recv_many(&mut waiting, RecordDeliveries::BATCH).await > 0 {
            let (reports, places): (Vec<_>, Vec<_>) =
                waiting.drain(..).map(|QueuedReport { report, place }| (report, place)).unzip();
            self.record(reports).await;
            drop(places);
        }
    }

    /// Records until it is done: what arrived has arrived, and is not sent again because the disk is full.
    async fn record(&self, reports: Vec<DeliveryReport>) {
        let mut tries = 0;
        loop {
            let command = Arc::new(RecordDeliveries::new(self.lease.hold, reports.clone()));
            let failure = match self.engine.execute_in_background(command).await {
                Ok(_) => return,
                Err(failure) => failure,
            };
            tries += 1;
            if matches!(&failure, Failure::Refused(error) if error.code == Code::Conflict) {
                let reports = reports.len();
                return tracing::warn!(
                    reports,
                    "another node delivers now, and repeats what was not recorded"
                );
            } else if matches!(failure, Failure::Unavailable(_)) {
                tracing::warn!(%failure, reports = reports.len(), "deliveries are not recorded yet");
            } else if reports.len() > 1 {
                // One of them cannot be recorded: it must not keep the others from it.
                for report in reports {
                    Box::pin(self.record(vec![report])).await;
                }
                return;
            } else {
                return tracing::error!(%failure, ?reports, "a delivery cannot be recorded");
            }
            if self.lease.ending.is_cancelled() && tries >= TRIES_WHEN_ENDING {
                let reports = reports.len();
                return tracing::error!(reports, "deliveries were not recorded; they are repeated");
            }
            sleep((PAUSES[0] * 2_u32.saturating_pow(tries.min(10))).min(PAUSES[1])).await;
        }
    }
}
