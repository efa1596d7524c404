//! Records deliveries in batches, while the next ones are in flight.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::Code;
use agentcafe_domain::webhooks::record::{DeliveryReport, RecordDeliveries};
use agentcafe_engine::Engine;
use agentcafe_engine::lease::LeaseGuard;
use agentcafe_store::Failure;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::sleep;

/// The most reports in the queue, and those of one tenant; its followers wait while there are as many.
pub(super) const MAX_QUEUED: usize = 1_024;
pub(super) const MAX_TENANT_QUEUED: usize = RecordDeliveries::BATCH;
/// The first pause before a retry, and the longest.
const BACKOFF: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(2)];
/// The most attempts to record once the lease has ended.
const MAX_FINAL_ATTEMPTS: u32 = 6;

/// A report, with the permits that limit the unrecorded attempts of its subscription, and the reports of its tenant.
pub(super) type QueuedReport = (DeliveryReport, [Option<OwnedSemaphorePermit>; 2]);

/// Records while this node holds a lease.
pub(super) struct DeliveryRecorder {
    pub(super) engine: Arc<Engine>,
    pub(super) lease: LeaseGuard,
}

impl DeliveryRecorder {
    /// Records all reports until the queue is closed.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<QueuedReport>) {
        let mut queued = Vec::with_capacity(RecordDeliveries::BATCH);
        while queue.recv_many(&mut queued, RecordDeliveries::BATCH).await > 0 {
            let (reports, permits): (Vec<_>, Vec<_>) = queued.drain(..).unzip();
            self.record(reports).await;
            drop(permits);
        }
    }

    /// Records until it succeeds: an event that has arrived must not be sent again because the disk is full, for example.
    async fn record(&self, reports: Vec<DeliveryReport>) {
        let (mut attempts, count) = (0, reports.len());
        loop {
            let command = Arc::new(RecordDeliveries::new(self.lease.token, reports.clone()));
            let Err(failure) = self.engine.execute_in_background(command).await else { return };
            attempts += 1;
            match &failure {
                Failure::Refused(error) if error.code == Code::Conflict => {
                    return tracing::warn!(
                        count,
                        "another node delivers now, and repeats unrecorded deliveries"
                    );
                }
                Failure::Unavailable(_) => tracing::warn!(%failure, count, "deliveries are not recorded yet"),
                _ if count == 1 => {
                    return tracing::error!(%failure, ?reports, "a delivery cannot be recorded");
                }
                // One of them cannot be recorded. The others can, one by one.
                _ => {
                    for report in reports {
                        Box::pin(self.record(vec![report])).await;
                    }
                    return;
                }
            }
            if self.lease.ending.is_cancelled() && attempts >= MAX_FINAL_ATTEMPTS {
                return tracing::error!(count, "deliveries were not recorded and will be repeated");
            }
            sleep((BACKOFF[0] * 2_u32.saturating_pow(attempts.min(10))).min(BACKOFF[1])).await;
        }
    }
}
