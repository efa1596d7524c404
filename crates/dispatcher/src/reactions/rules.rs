//! The rules at work, tenant by tenant, kept in memory until one is written to.

use std::collections::HashMap;
use std::sync::Arc;

use agentcafe_domain::kernel::{Record, TenantId};
use agentcafe_domain::reactions::StoredReaction;
use agentcafe_engine::Engine;
use agentcafe_store::{ReadError, Store};
use tokio::sync::watch;

/// The most rules that are kept in memory; past it all are forgotten and read again.
const MAX_KEPT_RULES: usize = 20_000;

type OfTenant = Arc<Vec<Arc<StoredReaction>>>;

/// The rules at work.
pub(super) struct Rules {
    store: Arc<Store>,
    changed: watch::Receiver<u64>,
    is_any: Option<bool>,
    by_tenant: HashMap<TenantId, OfTenant>,
    kept: usize,
}

impl Rules {
    /// No rules read yet.
    pub(super) fn new(engine: &Engine) -> Self {
        let changed = engine.store.changed(StoredReaction::TABLE);
        let store = Arc::clone(&engine.store);
        Self { store, changed, is_any: None, by_tenant: HashMap::new(), kept: 0 }
    }

    /// Forgets what may be old.
    pub(super) fn refresh(&mut self) {
        if self.changed.has_changed().unwrap_or(false) {
            self.changed.mark_unchanged();
            self.is_any = None;
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.by_tenant.clear();
        self.kept = 0;
    }

    /// Whether there is a rule at work anywhere.
    pub(super) async fn is_any_at_work(&mut self) -> Result<bool, ReadError> {
        self.refresh();
        if let Some(is_any) = self.is_any {
            return Ok(is_any);
        }
        let is_any = !self.store.find::<StoredReaction>(StoredReaction::any_at_work()).await?.is_empty();
        self.is_any = Some(is_any);
        Ok(is_any)
    }

    /// The rules at work in a tenant, the oldest first.
    pub(super) async fn of(&mut self, tenant: &TenantId) -> Result<OfTenant, ReadError> {
        if let Some(rules) = self.by_tenant.get(tenant) {
            return Ok(Arc::clone(rules));
        }
        let rules = self.store.find::<StoredReaction>(StoredReaction::at_work(tenant)).await?;
        if self.kept + rules.len() + 1 > MAX_KEPT_RULES {
            self.forget();
        }
        // A tenant without rules takes room too.
        self.kept += rules.len() + 1;
        let rules: OfTenant = Arc::new(rules.into_iter().map(Arc::new).collect());
        self.by_tenant.insert(tenant.clone(), Arc::clone(&rules));
        Ok(rules)
    }
}
