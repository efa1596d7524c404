//! Refused reactions, counted in memory, and recorded in their rules for many events at once.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::reactions::{RecordRefusals, RuleRefusals, SourceEvent, StoredReaction};
use agentcafe_engine::Engine;
use agentcafe_store::Failure;
use parking_lot::Mutex;
use uuid::Uuid;

/// The refusals of a tenant's rules that are not recorded yet.
pub(super) struct Refusals {
    engine: Arc<Engine>,
    unrecorded: Mutex<Unrecorded>,
}

#[derive(Default)]
struct Unrecorded {
    by_rule: HashMap<Uuid, RuleRefusals>,
    /// When the first of them was added, by the stopwatch.
    since: Option<Duration>,
}

impl Unrecorded {
    fn add(&mut self, refused: RuleRefusals) {
        let known = self.by_rule.entry(refused.subscription_id);
        let count = refused.count;
        known
            .and_modify(|known| *known = RuleRefusals { count: known.count + count, ..refused.clone() })
            .or_insert(refused);
    }
}

impl Refusals {
    /// No refusals.
    pub(super) fn new(engine: &Arc<Engine>) -> Self {
        Self { engine: Arc::clone(engine), unrecorded: Mutex::default() }
    }

    /// Adds the refusal of a rule's reaction to an event.
    pub(super) fn add(&self, rule: &StoredReaction, source: &SourceEvent, last_error: &str) {
        let mut unrecorded = self.unrecorded.lock();
        unrecorded.since.get_or_insert_with(|| self.engine.clock.stopwatch());
        unrecorded.add(RuleRefusals {
            subscription_id: rule.subscription.id,
            count: 1,
            last_error: last_error.to_owned(),
            last_event_id: source.event_id,
        });
    }

    /// How long the first refusal has been unrecorded.
    pub(super) fn age(&self) -> Duration {
        let since = self.unrecorded.lock().since;
        since.map_or(Duration::ZERO, |since| self.engine.clock.stopwatch().saturating_sub(since))
    }

    /// Records all refusals. One that cannot be recorded because the store is damaged is only logged.
    ///
    /// # Errors
    /// The store cannot be written right now; the others are kept.
    pub(super) async fn record(&self) -> Result<(), Failure> {
        let taken = mem::take(&mut *self.unrecorded.lock());
        let all: Vec<RuleRefusals> = taken.by_rule.into_values().collect();
        for (at, batch) in all.chunks(RecordRefusals::BATCH).enumerate() {
            let command = Arc::new(RecordRefusals(batch.to_vec()));
            match self.engine.execute_in_background(command).await {
                Ok(_) => {}
                Err(failure @ Failure::Unavailable(_)) => {
                    let mut unrecorded = self.unrecorded.lock();
                    unrecorded.since = taken.since;
                    let left = all[at * RecordRefusals::BATCH..].iter().cloned();
                    left.for_each(|refused| unrecorded.add(refused));
                    return Err(failure);
                }
                Err(failure) => {
                    tracing::error!(%failure, "refused reactions could not be recorded in their rules")
                }
            }
        }
        Ok(())
    }
}
