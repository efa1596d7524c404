//! One rule answers one event: submitted like a request, until it is settled.

use std::sync::Arc;

use agentcafe_domain::kernel::{Code, CorrelationId, IdempotencyKey};
use agentcafe_domain::reactions::{
    MatchResult, ReactionOutcome, RecordReactionFailure, RunReaction, SourceEvent, StoredReaction,
};
use agentcafe_engine::metrics::ReasonLabel;
use agentcafe_engine::{Engine, SubmittedCommand};
use agentcafe_store::{Failure, Origin};
use serde_json::Map;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::RETRY_AFTER;

/// The scope of reactions' idempotency keys, and the route in their traces.
const SCOPE: &str = "reactions:run";
/// What stands in the place of an HTTP method.
const METHOD: &str = "REACT";

/// An event on its way through the rules that answer it. Counts as in progress for as long as it lives.
pub(super) struct Answering {
    engine: Arc<Engine>,
    ending: CancellationToken,
    source: Arc<SourceEvent>,
    correlation_id: CorrelationId,
}

/// What to do about a rule after an attempt.
enum Attempt {
    /// It is settled.
    Settled(ReactionOutcome),
    /// The rule was changed: what does it make of the event now?
    Changed,
    /// The store cannot do it right now.
    Later(&'static str),
    /// It cannot be decided, by our fault.
    Fault(String),
}

impl Answering {
    pub(super) fn new(engine: &Arc<Engine>, ending: &CancellationToken, source: Arc<SourceEvent>) -> Self {
        engine.metrics.reactions.in_flight.inc();
        let fresh = || engine.fresh_correlation_id();
        let correlation_id = source.correlation_id.clone().unwrap_or_else(fresh);
        Self { engine: Arc::clone(engine), ending: ending.clone(), source, correlation_id }
    }

    /// Lets a rule answer the event. Tells whether that is settled; it is not if it is time to end first.
    pub(super) async fn answer(&self, mut rule: Arc<StoredReaction>) -> bool {
        loop {
            match self.attempt(&rule).await {
                Attempt::Settled(outcome) => {
                    self.count(&outcome);
                    return true;
                }
                Attempt::Changed => match self.read_again(&rule).await {
                    Ok(Some(current)) => {
                        rule = current;
                        continue;
                    }
                    Ok(None) => {
                        self.count(&ReactionOutcome::Skipped);
                        return true;
                    }
                    Err(()) => {}
                },
                Attempt::Later(why) => tracing::debug!(why, "a reaction waits"),
                Attempt::Fault(why) => {
                    tracing::error!(subscription = %rule.subscription.id, why, "a reaction could not be decided");
                    if self.note(&rule, why).await {
                        return true;
                    }
                }
            }
            tokio::select! {
                () = self.ending.cancelled() => return false,
                () = sleep(RETRY_AFTER) => {}
            }
        }
    }

    async fn attempt(&self, rule: &Arc<StoredReaction>) -> Attempt {
        let source = &self.source;
        let name = format!("{}:{}", rule.subscription.id, source.event_id);
        let key = IdempotencyKey::new(Some(&name), &source.tenant_id, &[SCOPE], METHOD, &Map::new());
        let origin = Origin {
            trace_id: self.engine.fresh_id(),
            request_id: name,
            route: SCOPE.to_owned(),
            method: METHOD,
            tenant_id: source.tenant_id.clone(),
            room_id: Some(source.room_id.clone()),
            actor_id: Some(rule.subscription.target_actor_id.clone()),
            started_at: self.engine.now(),
        };
        let command = Arc::new(RunReaction::new(Arc::clone(rule), Arc::clone(source)));
        let correlation_id = self.correlation_id.clone();
        let executed = self.engine.execute(SubmittedCommand { command, correlation_id, origin, key }).await;
        match executed.map_err(|not| not.failure) {
            Ok(executed) => match serde_json::from_slice(&executed.reply.data) {
                Ok(outcome) => Attempt::Settled(outcome),
                Err(error) => Attempt::Fault(error.to_string()),
            },
            Err(Failure::Refused(error)) if error.code == Code::Conflict => Attempt::Changed,
            Err(Failure::Unavailable(why)) => Attempt::Later(why),
            Err(failure) => Attempt::Fault(failure.to_string()),
        }
    }

    /// The rule as it is now, if it still answers the event.
    async fn read_again(&self, rule: &StoredReaction) -> Result<Option<Arc<StoredReaction>>, ()> {
        let key = StoredReaction::key_of(rule.subscription.id);
        let current: Option<StoredReaction> = self.engine.store.get(key).await.map_err(|_| ())?;
        let now = self.engine.now();
        let answers = |rule: &StoredReaction| rule.verdict(&self.source, now) == MatchResult::Answers;
        Ok(current.filter(answers).map(Arc::new))
    }

    /// Writes a fault of ours into the subscription. Tells whether the event is settled by that; if not even this can be decided,
    /// it is, too: one damaged rule must not keep all others waiting.
    async fn note(&self, rule: &Arc<StoredReaction>, why: String) -> bool {
        let (rule, source) = (Arc::clone(rule), Arc::clone(&self.source));
        let failed = ReactionOutcome::Failed(why.clone());
        match self.engine.execute_in_background(Arc::new(RecordReactionFailure { rule, source, why })).await {
            Err(Failure::Unavailable(_)) => return false,
            Err(failure) => tracing::error!(%failure, "a reaction's failure could not be written down"),
            Ok(_) => {}
        }
        self.count(&failed);
        true
    }

    fn count(&self, outcome: &ReactionOutcome) {
        let metrics = &self.engine.metrics;
        metrics.reactions.count(match outcome {
            ReactionOutcome::Triggered => "triggered",
            ReactionOutcome::Skipped | ReactionOutcome::Blocked(_) => "skipped",
            ReactionOutcome::Failed(_) => "failed",
        });
        let ReactionOutcome::Blocked(why) = outcome else { return };
        let blocks =
            [("moderated:", &metrics.moderation_blocks), ("operator_override:", &metrics.override_blocks)];
        for (prefix, counter) in blocks {
            if let Some(reason) = why.strip_prefix(prefix) {
                counter.get_or_create(&ReasonLabel::of(reason)).inc();
            }
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.engine.metrics.reactions.in_flight.dec();
    }
}
