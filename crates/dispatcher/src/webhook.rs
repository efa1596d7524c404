//! Webhooks: one durable follower for each subscription, started and stopped as subscriptions change.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use agentcafe_domain::kernel::{Comparison, Record, RecordQuery, Secret, TenantId};
use agentcafe_domain::webhooks::counter::{CounterKind, WebhookCounter};
use agentcafe_domain::webhooks::sealing::{OpenedSecret, SecretKeys};
use agentcafe_domain::webhooks::{Subscription, WebhookSecret};
use agentcafe_engine::Engine;
use agentcafe_engine::lease::{LeaseGuard, while_held};
use agentcafe_store::ReadError;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

mod limiter;
mod privacy;
mod recorder;
mod resolver;
pub mod sender;
mod subscriber;

use self::limiter::{ConcurrencyLimiter, TenantLimiter};
use self::recorder::{DeliveryRecorder, QueuedReport};
use self::resolver::TenantLookups;
use self::sender::WebhookSender;
use self::subscriber::{CAUGHT_UP, Subscriber};

/// How many subscriptions are read at once.
const PAGE: usize = 500;
/// The interval between checks of the followers: their lag, and whether all of them run.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The pause after a failed read.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// The most attempts in flight to slow targets, and those of one tenant.
const MAX_SLOW_ATTEMPTS: usize = 1_024;
const MAX_TENANT_SLOW_ATTEMPTS: usize = 512;
/// How many tenants may have all their attempts to fast targets in flight at the same time. Further attempts wait, in turn for each
/// tenant.
const MAX_BUSY_TENANTS: usize = 4;
/// The lease that a node holds while it delivers.
const LEASE: &str = "webhooks";

/// A subscription, with its target and the secret that its deliveries are signed with.
pub(crate) struct SignedSubscription {
    subscription: Subscription,
    target_url: Secret,
    secret: Secret,
}

/// What all followers share.
struct FollowerContext {
    engine: Arc<Engine>,
    sender: Arc<WebhookSender>,
    limiter: Arc<ConcurrencyLimiter>,
    max_concurrency: usize,
    reports: mpsc::Sender<QueuedReport>,
    ending: CancellationToken,
    /// The number of changes of subscriptions, as the store counts them.
    changes: watch::Receiver<u64>,
    /// The changes up to which followers have been updated.
    applied: watch::Sender<u64>,
}

/// What the followers of a tenant share: its part of what those of all tenants share.
struct TenantShare {
    attempts: TenantLimiter,
    lookups: Arc<TenantLookups>,
    /// The permits of reports that are not recorded.
    reports: Arc<Semaphore>,
}

/// A follower that runs.
struct RunningFollower {
    enabled_by: u64,
    subscription: watch::Sender<Arc<SignedSubscription>>,
    ending: CancellationToken,
    task: JoinHandle<()>,
    position: Arc<AtomicU64>,
}

/// Starts and stops followers.
struct Manager {
    context: Arc<FollowerContext>,
    running: HashMap<Uuid, RunningFollower>,
    /// Followers that were stopped. The next one of the same subscription waits for them.
    stopped: HashMap<Uuid, JoinHandle<()>>,
    /// The shares of the tenants that have followers.
    shares: HashMap<TenantId, Weak<TenantShare>>,
    revision: u64,
    counters: watch::Receiver<u64>,
}

/// Delivers webhooks, on one node at a time, until the engine stops.
pub async fn run(engine: Arc<Engine>, sender: Arc<WebhookSender>, max_concurrency: usize) {
    let deliver =
        |lease: LeaseGuard| deliver(Arc::clone(&engine), Arc::clone(&sender), lease, max_concurrency);
    while_held(Arc::clone(&engine), LEASE, deliver).await;
}

/// Delivers webhooks until the lease ends, and then records what was delivered.
async fn deliver(engine: Arc<Engine>, sender: Arc<WebhookSender>, lease: LeaseGuard, max_concurrency: usize) {
    let (reports, queue) = mpsc::channel(recorder::MAX_QUEUED);
    let recorder = DeliveryRecorder { engine: Arc::clone(&engine), lease: lease.clone() };
    let recorder = tokio::spawn(recorder.run(queue));
    let mut counters = engine.store.changed(WebhookCounter::TABLE);
    counters.mark_changed();
    let changes = engine.store.changed(Subscription::TABLE);
    let context = Arc::new(FollowerContext {
        limiter: Arc::new(ConcurrencyLimiter::new(
            max_concurrency.saturating_mul(MAX_BUSY_TENANTS),
            MAX_SLOW_ATTEMPTS,
        )),
        max_concurrency,
        engine,
        sender,
        reports,
        ending: lease.ending,
        changes,
        applied: watch::Sender::new(0),
    });
    let (running, stopped, shares) = (HashMap::new(), HashMap::new(), HashMap::new());
    let mut manager = Manager { context, running, stopped, shares, revision: 0, counters };
    manager.run().await;
    manager.end().await;
    drop(manager);
    if let Err(error) = recorder.await {
        tracing::error!(%error, "the recorder of deliveries panicked");
    }
}

impl Manager {
    async fn run(&mut self) {
        let context = Arc::clone(&self.context);
        let mut changes = context.changes.clone();
        changes.mark_changed();
        let mut ticks = interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = context.ending.cancelled() => return,
                _ = ticks.tick() => self.check().await,
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let number = *changes.borrow_and_update();
                    while self.apply().await.is_err() && !context.ending.is_cancelled() {
                        sleep(RETRY_AFTER).await;
                    }
                    context.applied.send_replace(number);
                }
            }
        }
    }

    /// Applies every change of a subscription since the last time.
    async fn apply(&mut self) -> Result<(), ReadError> {
        let store = Arc::clone(&self.context.engine.store);
        loop {
            let after = i64::try_from(self.revision).unwrap_or(i64::MAX);
            let find =
                RecordQuery::all::<Subscription>("revision", PAGE).only("revision", Comparison::Above, after);
            let changed: Vec<Subscription> = store.find(find).await?;
            let keys = changed.iter().map(Record::key).collect();
            let secrets = store.get_all::<WebhookSecret>(keys).await?;
            let is_last = changed.len() < PAGE;
            for (subscription, secret) in changed.into_iter().zip(secrets) {
                self.revision = subscription.revision;
                let opened = secret.and_then(|stored| self.open(&stored));
                self.set(subscription, opened);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// The secrets, if they can be decrypted: nothing is sent that would be signed wrongly.
    fn open(&self, stored: &WebhookSecret) -> Option<OpenedSecret> {
        let opened = self.context.engine.rules.get::<SecretKeys>().open(stored);
        opened.inspect_err(|error| tracing::error!(%error, "a webhook is not delivered")).ok()
    }

    /// Starts, updates or stops the follower of a subscription.
    fn set(&mut self, subscription: Subscription, opened: Option<OpenedSecret>) {
        let (id, enabled_by) = (subscription.id, subscription.enabled_by);
        let Some(opened) = opened.filter(|_| subscription.is_active()) else { return self.stop(id) };
        let OpenedSecret { secret, target_url } = opened;
        let target_url = target_url.unwrap_or_else(|| Secret::new(&subscription.target_url));
        let subscription = Arc::new(SignedSubscription { subscription, target_url, secret });
        match self.running.get(&id).filter(|running| running.enabled_by == enabled_by) {
            Some(running) => drop(running.subscription.send_replace(subscription)),
            None => {
                self.stop(id);
                self.start(subscription);
            }
        }
    }

    fn stop(&mut self, id: Uuid) {
        if let Some(running) = self.running.remove(&id) {
            running.ending.cancel();
            self.stopped.insert(id, running.task);
        }
    }

    fn start(&mut self, subscription: Arc<SignedSubscription>) {
        let (id, enabled_by) = (subscription.subscription.id, subscription.subscription.enabled_by);
        let share = self.share_of(&subscription.subscription.tenant_id);
        let previous = self.stopped.remove(&id);
        let (subscription, updates) = watch::channel(subscription);
        let ending = self.context.ending.child_token();
        let position = Arc::new(AtomicU64::new(CAUGHT_UP));
        let context = Arc::clone(&self.context);
        let shared = (context, share);
        let subscriber = Subscriber::new(id, shared, updates, ending.clone(), Arc::clone(&position));
        let task = tokio::spawn(async move {
            if let Some(previous) = previous {
                // Even if it panicked, it has ended.
                let _ = previous.await;
            }
            subscriber.run().await;
        });
        self.running.insert(id, RunningFollower { enabled_by, subscription, ending, task, position });
    }

    /// What the followers of a tenant share.
    fn share_of(&mut self, tenant: &TenantId) -> Arc<TenantShare> {
        if let Some(share) = self.shares.get(tenant).and_then(Weak::upgrade) {
            return share;
        }
        let FollowerContext { limiter, max_concurrency, sender, .. } = &*self.context;
        let share = Arc::new(TenantShare {
            attempts: TenantLimiter::new(*max_concurrency, MAX_TENANT_SLOW_ATTEMPTS, Arc::clone(limiter)),
            lookups: TenantLookups::new(&sender.lookups),
            reports: Arc::new(Semaphore::new(recorder::MAX_TENANT_QUEUED)),
        });
        self.shares.insert(tenant.clone(), Arc::downgrade(&share));
        share
    }

    /// Updates the metrics, and restarts followers that panicked.
    async fn check(&mut self) {
        self.shares.retain(|_, share| share.strong_count() > 0);
        self.stopped.retain(|_, task| !task.is_finished());
        let panicked =
            |running: &RunningFollower| running.task.is_finished() && !running.ending.is_cancelled();
        let failed: Vec<_> = self.running.extract_if(|_, running| panicked(running)).collect();
        for (id, running) in failed {
            tracing::error!(subscription = %id, "the follower of a webhook panicked and is restarted");
            self.start(Arc::clone(&running.subscription.borrow()));
        }
        let metrics = &self.context.engine.metrics.webhooks;
        let head = self.context.engine.store.recent_events().head().0;
        let positions = self.running.values().map(|running| running.position.load(Ordering::Relaxed));
        *metrics.lag.lock() = Some(head.saturating_sub(positions.min().unwrap_or(CAUGHT_UP)));
        if self.counters.has_changed().unwrap_or(false) {
            self.counters.mark_unchanged();
            let key = WebhookCounter::key_of(CounterKind::DeadLetters);
            if let Ok(counter) = self.context.engine.store.get::<WebhookCounter>(key).await {
                metrics.dlq_open.set(counter.map_or(0, |counter| counter.open));
            }
        }
    }

    /// Waits until all followers have ended and enqueued their reports.
    async fn end(&mut self) {
        let running = self.running.drain().map(|(_, running)| running.task);
        for task in running.chain(self.stopped.drain().map(|(_, task)| task)) {
            if let Err(error) = task.await {
                tracing::error!(%error, "the follower of a webhook panicked");
            }
        }
        // The node that delivers from now on reports the lag.
        self.context.engine.metrics.webhooks.lag.lock().take();
    }
}
