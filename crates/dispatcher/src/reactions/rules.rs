//! A cache of the active rules of each tenant, until one of them is changed.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Record, TenantId, Timestamp};
use agentcafe_domain::reactions::counter::ReactionCounter;
use agentcafe_domain::reactions::{MatchResult, ReactionProgress, SourceEvent, StoredReaction};
use agentcafe_engine::Engine;
use agentcafe_store::{ReadError, Store};
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::watch;

/// The most rules in the cache; past it, those of the tenant without an event for the longest time leave it.
const MAX_CACHED_RULES: usize = 20_000;
/// How often it is checked whether there are rules still.
const CHECK_EVERY: Duration = Duration::from_secs(1);

pub(super) type TenantRules = Arc<Vec<Arc<CachedRule>>>;

/// A rule, with its progress as far as this node knows it. The commit batch, which decides a reaction, knows it exactly.
pub(super) struct CachedRule {
    pub(super) stored: Arc<StoredReaction>,
    progress: Mutex<ReactionProgress>,
}

impl CachedRule {
    pub(super) fn new(stored: StoredReaction, progress: Option<ReactionProgress>) -> Arc<Self> {
        let progress = progress.unwrap_or_else(|| ReactionProgress::none(&stored.subscription));
        Arc::new(Self { stored: Arc::new(stored), progress: Mutex::new(progress) })
    }

    /// Matches the rule with an event.
    pub(super) fn verdict(&self, source: &SourceEvent, now: Timestamp) -> MatchResult {
        self.stored.verdict(&self.progress.lock(), source, now)
    }

    /// Notes a reaction, which began at `now`.
    pub(super) fn trigger(&self, source: &SourceEvent, now: Timestamp) {
        self.progress.lock().trigger(source, now);
    }
}

/// The active rules.
pub(super) struct Rules {
    store: Arc<Store>,
    /// How many commit batches have changed rules.
    version: watch::Receiver<u64>,
    cache: Mutex<Cache>,
}

struct Cache {
    is_any: Option<KnownPresence>,
    by_tenant: LruCache<TenantId, CachedTenant>,
    rules: usize,
}

/// Whether there are rules.
#[derive(Clone, Copy)]
struct KnownPresence {
    is_any: bool,
    /// When that was read, by the stopwatch.
    at: Duration,
    version: u64,
}

/// The rules of a tenant.
struct CachedTenant {
    rules: TenantRules,
    /// How often the tenant's rules had been changed.
    changes: u64,
    /// The version up to which this was the last change.
    version: u64,
}

impl Cache {
    fn add(&mut self, tenant: &TenantId, cached: CachedTenant) {
        // A tenant without rules takes memory too.
        let size = |cached: &CachedTenant| cached.rules.len() + 1;
        self.rules += size(&cached);
        let replaced = self.by_tenant.put(tenant.clone(), cached);
        self.rules -= replaced.as_ref().map_or(0, size);
        while self.rules > MAX_CACHED_RULES
            && let Some((_, oldest)) = self.by_tenant.pop_lru()
        {
            self.rules -= size(&oldest);
        }
    }
}

impl Rules {
    /// An empty cache.
    pub(super) fn new(engine: &Engine) -> Self {
        let cache = Cache { is_any: None, by_tenant: LruCache::unbounded(), rules: 0 };
        let version = engine.store.changed(ReactionCounter::TABLE);
        Self { store: Arc::clone(&engine.store), version, cache: Mutex::new(cache) }
    }

    /// Whether any tenant has, or had shortly before, an active rule. `now` is by the stopwatch.
    pub(super) async fn is_any_active(&self, now: Duration) -> Result<bool, ReadError> {
        let version = *self.version.borrow();
        if let Some(known) = self.cache.lock().is_any {
            let is_recent = now.saturating_sub(known.at) < CHECK_EVERY;
            let is_current = if known.is_any { is_recent } else { known.version == version };
            if is_current {
                return Ok(known.is_any);
            }
        }
        let is_any = !self.store.find::<StoredReaction>(StoredReaction::any_at_work()).await?.is_empty();
        self.cache.lock().is_any = Some(KnownPresence { is_any, at: now, version });
        Ok(is_any)
    }

    /// The active rules of a tenant, the oldest first.
    pub(super) async fn of_tenant(&self, tenant: &TenantId) -> Result<TenantRules, ReadError> {
        let version = *self.version.borrow();
        if let Some(cached) = self.cache.lock().by_tenant.get(tenant)
            && cached.version == version
        {
            return Ok(Arc::clone(&cached.rules));
        }
        // In this order: what is read later is as new, or newer.
        let counter: Option<ReactionCounter> = self.store.get(ReactionCounter::key_of(tenant)).await?;
        let changes = counter.map_or(0, |counter| counter.changes);
        if let Some(cached) = self.cache.lock().by_tenant.get_mut(tenant)
            && cached.changes == changes
        {
            cached.version = version;
            return Ok(Arc::clone(&cached.rules));
        }
        let stored = self.store.find::<StoredReaction>(StoredReaction::at_work(tenant)).await?;
        let keys = stored.iter().map(Record::key).collect();
        let progress = self.store.get_all::<ReactionProgress>(keys).await?;
        let rules =
            stored.into_iter().zip(progress).map(|(stored, progress)| CachedRule::new(stored, progress));
        let rules: TenantRules = Arc::new(rules.collect());
        let cached = CachedTenant { rules: Arc::clone(&rules), changes, version };
        self.cache.lock().add(tenant, cached);
        Ok(rules)
    }
}
