//! Webhooks: one durable follower for each subscription, and who starts and ends them as subscriptions come and go.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentcafe_domain::kernel::{Comparison, Record, RecordQuery, Secret};
use agentcafe_domain::webhooks::counter::{CounterKind, WebhookCounter};
use agentcafe_domain::webhooks::{Subscription, WebhookSecret};
use agentcafe_engine::Engine;
use agentcafe_engine::lease::{LeaseGuard, while_held};
use agentcafe_store::ReadError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

mod limiter;
mod privacy;
mod recorder;
mod resolver;
pub mod sender;
mod signature;
mod subscriber;

use self::limiter::ConcurrencyLimiter;
use self::recorder::{DeliveryRecorder, QueuedReport};
use self::sender::WebhookSender;
use self::subscriber::{CAUGHT_UP, Subscriber};

/// How many subscriptions are read at once.
const PAGE: usize = 500;
/// How often it is looked how far behind the followers are, and whether all of them still run.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The pause after the store could not be read.
const PAUSE: Duration = Duration::from_millis(200);

/// What a subscription wants, with the secret it is signed with.
pub(crate) struct Wanted {
    subscription: Subscription,
    secret: Secret,
}

/// What all followers of subscriptions share.
struct Shared {
    engine: Arc<Engine>,
    sender: Arc<WebhookSender>,
    limiter: ConcurrencyLimiter,
    queued: mpsc::Sender<QueuedReport>,
    ending: CancellationToken,
    /// How many times subscriptions have changed, as the store counts.
    changes: watch::Receiver<u64>,
    /// Up to which of these changes followers have been told.
    applied: watch::Sender<u64>,
}

/// A follower that runs.
struct Running {
    enabled_by: u64,
    wanted: watch::Sender<Arc<Wanted>>,
    ending: CancellationToken,
    task: JoinHandle<()>,
    place: Arc<AtomicU64>,
}

/// Starts and ends followers.
struct Manager {
    shared: Arc<Shared>,
    running: HashMap<Uuid, Running>,
    /// Those that were told to end; who comes after one of them waits for it.
    ending: HashMap<Uuid, JoinHandle<()>>,
    revision: u64,
    counters: watch::Receiver<u64>,
}

/// The lease of who delivers.
const LEASE: &str = "webhooks";

/// Delivers webhooks, on one node at a time, until the engine stops.
pub async fn run(engine: Arc<Engine>, sender: Arc<WebhookSender>, max_concurrency: usize) {
    let deliver =
        |lease: LeaseGuard| deliver(Arc::clone(&engine), Arc::clone(&sender), lease, max_concurrency);
    while_held(Arc::clone(&engine), LEASE, deliver).await;
}

/// Delivers webhooks until the tenure ends; what was delivered is recorded then.
async fn deliver(engine: Arc<Engine>, sender: Arc<WebhookSender>, lease: LeaseGuard, max_concurrency: usize) {
    let (queued, waiting) = mpsc::channel(recorder::MAX_WAITING);
    let recorder = DeliveryRecorder { engine: Arc::clone(&engine), lease: lease.clone() };
    let recorder = tokio::spawn(recorder.run(waiting));
    let mut counters = engine.store.changed(WebhookCounter::TABLE);
    counters.mark_changed();
    let changes = engine.store.changed(Subscription::TABLE);
    let shared = Shared {
        limiter: ConcurrencyLimiter::new(max_concurrency),
        engine,
        sender,
        queued,
        ending: lease.ending,
        changes,
        applied: watch::Sender::new(0),
    };
    let mut manager = Manager {
        shared: Arc::new(shared),
        running: HashMap::new(),
        ending: HashMap::new(),
        revision: 0,
        counters,
    };
    manager.run().await;
    manager.end().await;
    drop(manager);
    if let Err(error) = recorder.await {
        tracing::error!(%error, "the recorder of deliveries ended badly");
    }
}

impl Manager {
    async fn run(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut changes = self.shared.changes.clone();
        changes.mark_changed();
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shared.ending.cancelled() => return,
                _ = ticks.tick() => self.look().await,
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let number = *changes.borrow_and_update();
                    while self.apply().await.is_err() && !shared.ending.is_cancelled() {
                        sleep(PAUSE).await;
                    }
                    self.shared.applied.send_replace(number);
                }
            }
        }
    }

    /// Takes in every subscription that has changed since the last time.
    async fn apply(&mut self) -> Result<(), ReadError> {
        let store = Arc::clone(&self.shared.engine.store);
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
                self.set(subscription, secret.map(|secret| secret.secret));
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Starts, tells or ends the follower of a subscription.
    fn set(&mut self, subscription: Subscription, secret: Option<Secret>) {
        let id = subscription.id;
        let secret = secret.filter(|_| subscription.is_active());
        let enabled_by = subscription.enabled_by;
        let is_same = |running: &&Running| running.enabled_by == enabled_by;
        match secret {
            Some(secret) => {
                let wanted = Arc::new(Wanted { subscription, secret });
                match self.running.get(&id).filter(is_same) {
                    Some(running) => drop(running.wanted.send_replace(wanted)),
                    None => {
                        self.stop(id);
                        self.start(wanted);
                    }
                }
            }
            None => self.stop(id),
        }
    }

    fn stop(&mut self, id: Uuid) {
        if let Some(running) = self.running.remove(&id) {
            running.ending.cancel();
            self.ending.insert(id, running.task);
        }
    }

    fn start(&mut self, wanted: Arc<Wanted>) {
        let (id, enabled_by) = (wanted.subscription.id, wanted.subscription.enabled_by);
        let before = self.ending.remove(&id);
        let (wanted, seen) = watch::channel(wanted);
        let ending = self.shared.ending.child_token();
        let place = Arc::new(AtomicU64::new(CAUGHT_UP));
        let subscriber =
            Subscriber::new(id, Arc::clone(&self.shared), seen, ending.clone(), Arc::clone(&place));
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                // However it ended: it does nothing any more.
                let _ = before.await;
            }
            subscriber.run().await;
        });
        self.running.insert(id, Running { enabled_by, wanted, ending, task, place });
    }

    /// Measures, and starts again what should not have ended.
    async fn look(&mut self) {
        self.ending.retain(|_, task| !task.is_finished());
        let broken: Vec<Uuid> = self
            .running
            .iter()
            .filter(|(_, running)| running.task.is_finished() && !running.ending.is_cancelled())
            .map(|(id, _)| *id)
            .collect();
        for id in broken {
            tracing::error!(subscription = %id, "the follower of a webhook ended badly; it is started again");
            if let Some(running) = self.running.remove(&id) {
                let wanted = Arc::clone(&running.wanted.borrow());
                self.start(wanted);
            }
        }
        let metrics = &self.shared.engine.metrics.webhooks;
        let head = self.shared.engine.store.recent_events().head().0;
        let place = |running: &Running| running.place.load(Ordering::Relaxed);
        let last = self.running.values().map(place).min().unwrap_or(CAUGHT_UP);
        *metrics.lag.lock() = Some(head.saturating_sub(last));
        if self.counters.has_changed().unwrap_or(false) {
            self.counters.mark_unchanged();
            let key = WebhookCounter::key_of(CounterKind::DeadLetters);
            if let Ok(counter) = self.shared.engine.store.get::<WebhookCounter>(key).await {
                metrics.dlq_open.set(counter.map_or(0, |counter| counter.open));
            }
        }
    }

    /// Waits until all followers have ended and filed what they did.
    async fn end(&mut self) {
        let running = self.running.drain().map(|(_, running)| running.task);
        for task in running.chain(self.ending.drain().map(|(_, task)| task)) {
            if let Err(error) = task.await {
                tracing::error!(%error, "the follower of a webhook ended badly");
            }
        }
        // Who delivers from now on says how far behind it is.
        self.shared.engine.metrics.webhooks.lag.lock().take();
    }
}
