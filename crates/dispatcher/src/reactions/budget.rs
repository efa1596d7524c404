//! The budget of a cascade: how many reactions one cause may have, with those to its reactions' own events.

use std::num::NonZeroUsize;
use std::time::Duration;

use agentcafe_domain::kernel::{CorrelationId, TenantId};
use agentcafe_domain::reactions::SourceEvent;
use lru::LruCache;
use parking_lot::Mutex;

/// How long a budget lasts; then it begins anew.
const WINDOW: Duration = Duration::from_secs(60);
/// The most causes whose reactions are counted; past it, the one without an event for the longest time is forgotten.
const MAX_CAUSES: NonZeroUsize = NonZeroUsize::new(16_384).expect("it is not 0");

/// The budgets of all causes. The events of a reaction have the correlation id of the event that it reacts to, so a cause and
/// everything that follows from it share one. Counted in memory: a restart begins anew.
pub(super) struct CascadeBudgets {
    max: u32,
    spent: Mutex<LruCache<(TenantId, CorrelationId), Spent>>,
}

#[derive(Clone, Copy)]
struct Spent {
    since: Duration,
    reactions: u32,
}

impl CascadeBudgets {
    /// Allows `max` reactions to each cause within [`WINDOW`].
    pub(super) fn new(max: u32) -> Self {
        Self { max, spent: Mutex::new(LruCache::new(MAX_CAUSES)) }
    }

    /// Whether the cause of an event may have no more reactions.
    pub(super) fn is_spent(&self, source: &SourceEvent, now: Duration) -> bool {
        let Some(cause) = cause_of(source) else { return false };
        let spent = self.spent.lock().get(&cause).copied();
        spent.is_some_and(|spent| spent.reactions >= self.max && now.saturating_sub(spent.since) < WINDOW)
    }

    /// Counts a reaction to an event. Returns whether its cause may have it.
    pub(super) fn take(&self, source: &SourceEvent, now: Duration) -> bool {
        let Some(cause) = cause_of(source) else { return true };
        let mut budgets = self.spent.lock();
        let spent = budgets.get_or_insert_mut(cause, || Spent { since: now, reactions: 0 });
        if now.saturating_sub(spent.since) >= WINDOW {
            *spent = Spent { since: now, reactions: 0 };
        }
        let may_react = spent.reactions < self.max;
        spent.reactions += u32::from(may_react);
        may_react
    }
}

fn cause_of(source: &SourceEvent) -> Option<(TenantId, CorrelationId)> {
    Some((source.tenant_id.clone(), source.correlation_id.clone()?))
}
