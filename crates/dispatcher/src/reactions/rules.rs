//! A cache of the active rules of each tenant, until a rule is written.

use std::collections::HashMap;
use std::sync::Arc;

use agentcafe_domain::kernel::{Record, TenantId};
use agentcafe_domain::reactions::StoredReaction;
use agentcafe_engine::Engine;
use agentcafe_store::{ReadError, Store};
use tokio::sync::watch;

/// The most rules in the cache; when it is full, it is cleared.
const MAX_CACHED_RULES: usize = 20_000;

type TenantRules = Arc<Vec<Arc<StoredReaction>>>;

/// The active rules.
pub(super) struct Rules {
    store: Arc<Store>,
    changed: watch::Receiver<u64>,
    is_any: Option<bool>,
    by_tenant: HashMap<TenantId, TenantRules>,
    cached: usize,
}

impl Rules {
    /// An empty cache.
    pub(super) fn new(engine: &Engine) -> Self {
        let changed = engine.store.changed(StoredReaction::TABLE);
        let store = Arc::clone(&engine.store);
        Self { store, changed, is_any: None, by_tenant: HashMap::new(), cached: 0 }
    }

    /// Clears the cache if rules have changed.
    pub(super) fn refresh(&mut self) {
        if self.changed.has_changed().unwrap_or(false) {
            self.changed.mark_unchanged();
            self.is_any = None;
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.by_tenant.clear();
        self.cached = 0;
    }

    /// Whether any tenant has an active rule.
    pub(super) async fn is_any_active(&mut self) -> Result<bool, ReadError> {
        self.refresh();
        if let Some(is_any) = self.is_any {
            return Ok(is_any);
        }
        let is_any = !self.store.find::<StoredReaction>(StoredReaction::any_at_work()).await?.is_empty();
        self.is_any = Some(is_any);
        Ok(is_any)
    }

    /// The active rules of a tenant, the oldest first.
    pub(super) async fn for_tenant(&mut self, tenant: &TenantId) -> Result<TenantRules, ReadError> {
        if let Some(rules) = self.by_tenant.get(tenant) {
            return Ok(Arc::clone(rules));
        }
        let rules = self.store.find::<StoredReaction>(StoredReaction::at_work(tenant)).await?;
        if self.cached + rules.len() + 1 > MAX_CACHED_RULES {
            self.clear();
        }
        // A tenant without rules takes memory too.
        self.cached += rules.len() + 1;
        let rules: TenantRules = Arc::new(rules.into_iter().map(Arc::new).collect());
        self.by_tenant.insert(tenant.clone(), Arc::clone(&rules));
        Ok(rules)
    }
}
