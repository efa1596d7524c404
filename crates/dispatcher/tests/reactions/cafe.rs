//! An engine with reactions and a test clock. Records and events are written without checks.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use agentcafe_dispatcher::reactions::{self, ReactionLimits};
use agentcafe_domain::kernel::{
    ActorId, ActorInRoom, CallResult, Clock, Command, CommandContext, CommandError, Event, ExternalCall,
    Fields, IdempotencyRules, Key, Query, Record, Reply, RoomId, Rules, Sequence, StoredRecord, Success,
    Table, TenantId, Timestamp,
};
use agentcafe_domain::keys::Principal;
use agentcafe_domain::moderation::ModerationRules;
use agentcafe_domain::orders::OrderChanged;
use agentcafe_domain::reactions::{CreateReaction, ReactionCounts, ReactionProgress, StoredReaction};
use agentcafe_engine::Engine;
use agentcafe_engine::clock::RandomIds;
use agentcafe_engine::external_calls::ExternalCallRunner;
use agentcafe_engine::metrics::Metrics;
use agentcafe_store::store::Closing;
use agentcafe_store::{EventFilter, EventQuery, Store, StoreLocation, StoreOptions};
use agentcafe_testkit::eventually;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use uuid::Uuid;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A clock that stands still until it is advanced.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn stopwatch(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst).unsigned_abs())
    }
}

struct NoExternalCalls;

impl ExternalCallRunner for NoExternalCalls {
    fn run(&self, _: ExternalCall) -> Pin<Box<dyn Future<Output = Option<CallResult>> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

/// Writes records without checks.
struct WriteRecords(Vec<(&'static Table, Key, StoredRecord)>);

impl Command for WriteRecords {
    fn reads(&self) -> Vec<Query> {
        Vec::new()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        for (table, key, record) in &self.0 {
            ctx.effects.written.set(table, key.clone(), Some(record.clone()));
        }
        Ok(Reply::new(Success::Ok, &()))
    }
}

/// Appends an order without checks.
struct AppendOrder(ActorInRoom);

impl Command for AppendOrder {
    fn reads(&self) -> Vec<Query> {
        Vec::new()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let payload = OrderChanged { item_id: "tea".to_owned(), size: "regular".to_owned() };
        let event = ctx.append(&self.0, &payload, None)?;
        Ok(Reply::new(Success::Ok, &event.event_id))
    }
}

/// An engine that runs reactions.
pub(crate) struct Cafe {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<TestClock>,
    running: JoinHandle<()>,
    closing: Closing,
    directory: TempDir,
}

pub(crate) fn actor(name: &str) -> ActorInRoom {
    ActorInRoom {
        tenant_id: TenantId::default(),
        room_id: RoomId::main(),
        actor_id: ActorId::parse(name).unwrap(),
    }
}

/// Idempotency keys expire after a minute, and texts may be repeated.
fn rules() -> Rules {
    let moderation = ModerationRules { max_repeated_text_per_window: 0, ..ModerationRules::default() };
    Rules::default().with(IdempotencyRules { ttl_ms: 60_000 }).with(moderation)
}

fn engine(store: Arc<Store>) -> Arc<Engine> {
    let (metrics, ids) = (Arc::new(Metrics::default()), Box::new(RandomIds::default()));
    Arc::new(Engine::new(store, rules(), metrics, ids, Arc::new(NoExternalCalls)))
}

fn open(directory: &Path, clock: &Arc<TestClock>) -> (Arc<Store>, Closing) {
    Store::open(StoreOptions {
        location: StoreLocation::Directory(directory.to_owned()),
        accept_shorter_log: false,
        rules: rules(),
        clock: clock.clone(),
        ids: Box::new(RandomIds::default()),
        shared_windows: None,
        on_commit: Box::new(|_| ()),
    })
    .unwrap()
}

impl Cafe {
    /// Starts an engine on a new store, and waits until reactions run.
    pub(crate) async fn open() -> Self {
        let clock = Arc::new(TestClock(AtomicI64::new(1_000_000)));
        Self::start(TempDir::new().unwrap(), clock, async |_, _| ()).await
    }

    /// Stops the engine and starts it again. `before` runs on the opened store, before reactions do.
    pub(crate) async fn restart(self, before: impl AsyncFnOnce(&Engine, &TestClock)) -> Self {
        let Self { engine: old, clock, running, closing, directory } = self;
        old.stopping.cancel();
        running.await.unwrap();
        drop(old);
        closing.wait();
        Self::start(directory, clock, before).await
    }

    async fn start(
        directory: TempDir,
        clock: Arc<TestClock>,
        before: impl AsyncFnOnce(&Engine, &TestClock),
    ) -> Self {
        let (store, closing) = open(directory.path(), &clock);
        let engine = engine(store);
        before(&engine, &clock).await;
        let limits = ReactionLimits { concurrency: 4, max_per_cause: 50 };
        let running = tokio::spawn(reactions::run(Arc::clone(&engine), limits));
        let cafe = Self { engine, clock, running, closing, directory };
        cafe.until("the reactions run", || !cafe.engine.followers.lags(cafe.head()).is_empty()).await;
        cafe
    }

    fn head(&self) -> Sequence {
        self.engine.store.recent_events().head()
    }

    /// Waits for a condition.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        eventually(what, TIMEOUT, async || holds().then_some(())).await;
    }

    /// Waits until reactions have processed all events.
    pub(crate) async fn process_all(&self) {
        let done = || self.engine.followers.lag("reactions", self.head()) == 0;
        self.until("reactions have processed all events", done).await;
    }

    /// Writes a record.
    pub(crate) async fn put<R: Record>(&self, record: &R) {
        put(&self.engine, record).await;
    }

    /// Replaces a rule by a record that cannot be read.
    pub(crate) async fn damage(&self, id: Uuid) {
        let stored: StoredReaction = self.stored(id).await;
        let broken = StoredRecord { json: b"{}".to_vec(), ..StoredRecord::of(&stored) };
        let writes = WriteRecords(vec![(StoredReaction::TABLE, stored.key(), broken)]);
        self.engine.execute_in_background(Arc::new(writes)).await.unwrap();
    }

    /// Appends an order of this actor.
    pub(crate) async fn order(&self, name: &str) {
        self.engine.execute_in_background(Arc::new(AppendOrder(actor(name)))).await.unwrap();
    }

    /// Creates a rule: when somebody orders, Kai says hello. `over` replaces members of its body.
    pub(crate) async fn rule(&self, over: Value) -> Uuid {
        let mut body = json!({"targetActorId": "Kai", "actionType": "say", "actionPayload": {"text": "hello"}, "cooldownMs": 0,
            "triggerEventTypes": ["order_changed"]});
        body.as_object_mut().unwrap().extend(over.as_object().cloned().unwrap());
        let fields = Fields::of_body(body.as_object().cloned().unwrap());
        let command = CreateReaction::read(&fields, &self.engine.rules, Principal::Shared).unwrap();
        let reply = self.engine.execute_in_background(Arc::new(command)).await.unwrap();
        let made: Value = serde_json::from_slice(&reply.data).unwrap();
        serde_json::from_value(made["subscription"]["id"].clone()).unwrap()
    }

    pub(crate) async fn stored(&self, id: Uuid) -> StoredReaction {
        self.engine.store.get(StoredReaction::key_of(id)).await.unwrap().unwrap()
    }

    /// How often a rule was triggered, and how its last reactions ended.
    pub(crate) async fn counts(&self, id: Uuid) -> ReactionCounts {
        let found: Option<ReactionProgress> =
            self.engine.store.get(StoredReaction::key_of(id)).await.unwrap();
        found.map(|progress| progress.counts).unwrap_or_default()
    }

    /// All events of the log.
    pub(crate) async fn log(&self) -> Vec<Event> {
        let query = EventQuery::after(EventFilter::default(), Sequence::START, 10_000);
        let page = self.engine.store.events(query).await.unwrap();
        page.events.iter().map(|event| serde_json::from_slice(&event.json).unwrap()).collect()
    }
}

/// Writes a record.
pub(crate) async fn put<R: Record>(engine: &Engine, record: &R) {
    let writes = WriteRecords(vec![(R::TABLE, record.key(), StoredRecord::of(record))]);
    engine.execute_in_background(Arc::new(writes)).await.unwrap();
}
