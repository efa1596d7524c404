//! A cache of the active rules of each tenant, until a rule is written.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Record, TenantId};
use agentcafe_domain::reactions::StoredReaction;
use agentcafe_engine::Engine;
use agentcafe_store::{ReadError, Store};
use parking_lot::Mutex;
use tokio::sync::watch;

/// The most rules in the cache; when it is full, it is cleared.
const MAX_CACHED_RULES: usize = 20_000;
/// How often it is checked whether there are rules still.
const CHECK_EVERY: Duration = Duration::from_secs(1);

pub(super) type TenantRules = Arc<Vec<Arc<StoredReaction>>>;

/// The active rules.
pub(super) struct Rules {
    store: Arc<Store>,
    cache: Mutex<Cache>,
}

struct Cache {
    changed: watch::Receiver<u64>,
    /// Whether there are rules, and when that was read, by the stopwatch.
    is_any: Option<(bool, Duration)>,
    by_tenant: HashMap<TenantId, TenantRules>,
    rules: usize,
}

impl Cache {
    /// Clears the cache if rules have changed, and returns the version of what may be added to it.
    fn refresh(&mut self) -> u64 {
        if self.changed.has_changed().unwrap_or(false) {
            self.changed.mark_unchanged();
            // Reactions change rules, too. As long as there are rules, it does no harm not to notice at once that there are none.
            self.is_any = self.is_any.filter(|(is_any, _)| *is_any);
            self.clear();
        }
        *self.changed.borrow()
    }

    fn clear(&mut self) {
        self.by_tenant.clear();
        self.rules = 0;
    }

    fn add(&mut self, tenant: &TenantId, rules: &TenantRules) {
        if self.rules + rules.len() + 1 > MAX_CACHED_RULES {
            self.clear();
        }
        // A tenant without rules takes memory too.
        self.rules += rules.len() + 1;
        self.by_tenant.insert(tenant.clone(), Arc::clone(rules));
    }
}

impl Rules {
    /// An empty cache.
    pub(super) fn new(engine: &Engine) -> Self {
        let changed = engine.store.changed(StoredReaction::TABLE);
        let cache = Cache { changed, is_any: None, by_tenant: HashMap::new(), rules: 0 };
        Self { store: Arc::clone(&engine.store), cache: Mutex::new(cache) }
    }

    /// Whether any tenant has, or had shortly before, an active rule. `now` is by the stopwatch.
    pub(super) async fn is_any_active(&self, now: Duration) -> Result<bool, ReadError> {
        let version = {
            let mut cache = self.cache.lock();
            let version = cache.refresh();
            match cache.is_any {
                Some((true, at)) if now.saturating_sub(at) < CHECK_EVERY => return Ok(true),
                Some((false, _)) => return Ok(false),
                _ => version,
            }
        };
        let is_any = !self.store.find::<StoredReaction>(StoredReaction::any_at_work()).await?.is_empty();
        let mut cache = self.cache.lock();
        if cache.refresh() == version || is_any {
            cache.is_any = Some((is_any, now));
        }
        Ok(is_any)
    }

    /// The active rules of a tenant, the oldest first.
    pub(super) async fn of_tenant(&self, tenant: &TenantId) -> Result<TenantRules, ReadError> {
        let version = {
            let mut cache = self.cache.lock();
            let version = cache.refresh();
            if let Some(rules) = cache.by_tenant.get(tenant) {
                return Ok(Arc::clone(rules));
            }
            version
        };
        let rules = self.store.find::<StoredReaction>(StoredReaction::at_work(tenant)).await?;
        let rules: TenantRules = Arc::new(rules.into_iter().map(Arc::new).collect());
        let mut cache = self.cache.lock();
        if cache.refresh() == version {
            cache.add(tenant, &rules);
        }
        Ok(rules)
    }
}
