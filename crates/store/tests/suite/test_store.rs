//! The store of a test: the only file of the suite that chooses a database.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentcafe_domain::kernel::{Clock, IdSource, Rules, Secret, Timestamp};
use agentcafe_domain::moderation::ModerationRules;
use agentcafe_store::store::Closing;
use agentcafe_store::{CommitReport, PostgresOptions, Store, StoreLocation, StoreOptions, TimeSource};
use agentcafe_testkit::Postgres;
use tempfile::TempDir;
use uuid::Uuid;

/// The time at which every test begins.
pub(crate) const BEGIN: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// The suite is built once for each database, with its name.
const IS_POSTGRES: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"postgres");

/// A new database on the server of this process.
fn postgres() -> StoreLocation {
    StoreLocation::Postgres(PostgresOptions {
        url: Secret::new(Postgres::shared().database()),
        pool_max: 4,
        idle_timeout: Duration::from_secs(30),
        auto_migrate: true,
        migration_lock_key: 942_516_431,
        time: TimeSource::Node,
    })
}

/// A clock that only the test sets.
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn set(&self, at: Timestamp) {
        self.0.store(at.as_millis(), Ordering::SeqCst);
    }

    pub(crate) fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn stopwatch(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// Ids in sequence, also over a restart.
struct SequentialIds(Arc<AtomicU64>);

impl IdSource for SequentialIds {
    fn fresh(&mut self, _: Timestamp) -> Uuid {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + u128::from(number))
    }
}

/// A store with the clock and the ids of one test.
pub(crate) struct TestStore {
    pub(crate) directory: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) rules: Rules,
    ids: Arc<AtomicU64>,
    batches: Arc<Mutex<Vec<CommitReport>>>,
    postgres: Option<StoreLocation>,
}

/// An open store.
pub(crate) struct OpenStore {
    pub(crate) store: Arc<Store>,
    closing: Closing,
}

impl TestStore {
    /// A new store, empty and closed. Moderation is off: this suite is not about it.
    pub(crate) fn new() -> Self {
        let moderation = ModerationRules {
            window_ms: 0,
            max_actions_per_window: 0,
            max_repeated_text_per_window: 0,
            min_action_interval_ms: 0,
            cooldown_ms: 0,
        };
        Self {
            directory: TempDir::new().unwrap(),
            postgres: IS_POSTGRES.then(postgres),
            clock: Arc::new(ManualClock(AtomicI64::new(BEGIN.as_millis()))),
            rules: Rules::default().with(moderation),
            ids: Arc::default(),
            batches: Arc::default(),
        }
    }

    /// What the store is opened with.
    pub(crate) fn options(&self) -> StoreOptions {
        let batches = Arc::clone(&self.batches);
        StoreOptions {
            location: self
                .postgres
                .clone()
                .unwrap_or_else(|| StoreLocation::Directory(self.directory.path().to_owned())),
            accept_shorter_log: false,
            rules: self.rules.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            ids: Box::new(SequentialIds(Arc::clone(&self.ids))),
            shared_windows: None,
            on_commit: Box::new(move |report| batches.lock().unwrap().push(report.clone())),
        }
    }

    /// Opens the store, or opens it again.
    pub(crate) fn open(&self) -> OpenStore {
        let (store, closing) = Store::open(self.options()).unwrap();
        OpenStore { store, closing }
    }

    /// The reports of the commit batches so far.
    pub(crate) fn batches(&self) -> Vec<CommitReport> {
        self.batches.lock().unwrap().clone()
    }
}

impl OpenStore {
    /// Closes the store and waits until it is closed.
    pub(crate) fn close(self) {
        assert!(Arc::into_inner(self.store).is_some(), "the store is still in use");
        self.closing.wait();
    }
}
