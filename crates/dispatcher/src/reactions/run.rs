//! Runs one reaction: submits its command like a request, and retries until it has an outcome.

use std::sync::Arc;

use agentcafe_domain::kernel::{Code, CorrelationId, DomainError, IdempotencyKey, Sequence};
use agentcafe_domain::reactions::{
    MatchResult, ReactionOutcome, ReactionProgress, RunReaction, SourceEvent, StoredReaction, last_error,
};
use agentcafe_engine::metrics::GaugeGuard;
use agentcafe_engine::{Engine, SubmittedCommand};
use agentcafe_store::{Failure, Origin, ReadError};
use serde_json::Map;
use tokio_util::sync::CancellationToken;

use super::pause;
use super::refusals::Refusals;
use super::rules::CachedRule;

/// The scope of the idempotency keys of reactions, and the route in their traces.
const SCOPE: &str = "reactions:run";
/// The method in their traces, in place of an HTTP method.
const METHOD: &str = "REACT";

/// Runs the reactions to one event, which counts as in flight until this is dropped.
pub(super) struct ReactionRunner<'l> {
    engine: &'l Arc<Engine>,
    ending: &'l CancellationToken,
    source: Arc<SourceEvent>,
    refusals: &'l Refusals,
    correlation_id: CorrelationId,
    _in_flight: GaugeGuard,
}

/// The result of an attempt.
enum Attempt {
    /// The event is processed.
    Completed(ReactionOutcome),
    /// The target may not act.
    Refused(DomainError),
    /// The rule was changed, and must be matched again.
    Changed,
    /// The store is unavailable.
    Retry(&'static str),
    /// An internal error.
    Internal(String),
}

impl<'l> ReactionRunner<'l> {
    pub(super) fn new(
        engine: &'l Arc<Engine>,
        ending: &'l CancellationToken,
        source: Arc<SourceEvent>,
        refusals: &'l Refusals,
    ) -> Self {
        let _in_flight = GaugeGuard::new(&engine.metrics.reactions.in_flight);
        let fresh = || engine.fresh_correlation_id();
        let correlation_id = source.correlation_id.clone().unwrap_or_else(fresh);
        Self { engine, ending, source, refusals, correlation_id, _in_flight }
    }

    /// The sequence of the event.
    pub(super) fn sequence(&self) -> Sequence {
        self.source.sequence
    }

    /// Runs the reaction of a rule. Returns `false` if `ending` is cancelled before it has an outcome.
    pub(super) async fn run(&self, mut rule: Arc<CachedRule>) -> bool {
        if !self.is_due(&rule) {
            // It is cooling down since an event that was matched together with this one.
            return self.count("skipped");
        }
        loop {
            let now = self.engine.now();
            match self.attempt(&rule.stored).await {
                Attempt::Completed(ReactionOutcome::Triggered) => {
                    rule.trigger(&self.source, now);
                    return self.count("triggered");
                }
                Attempt::Completed(ReactionOutcome::Skipped) => return self.count("skipped"),
                Attempt::Refused(error) => {
                    self.refusals.add(&rule.stored, &self.source, last_error(&error).unwrap_or_default());
                    // The settings have become narrower than the rule, or the target may not do it.
                    return self.count(if error.code == Code::Validation { "failed" } else { "skipped" });
                }
                Attempt::Changed => match self.reload(&rule.stored).await {
                    Ok(Some(current)) => {
                        rule = current;
                        continue;
                    }
                    Ok(None) => return self.count("skipped"),
                    Err(_) => {}
                },
                Attempt::Retry(why) => tracing::debug!(why, "a reaction is retried"),
                Attempt::Internal(why) => {
                    tracing::error!(subscription = %rule.stored.subscription.id, why, "a reaction failed");
                    self.refusals.add(&rule.stored, &self.source, &why);
                    return self.count("failed");
                }
            }
            if pause(self.ending).await.is_none() {
                return false;
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
            by: rule.author(),
            owner: rule.subscription.owner.clone(),
            started_at: self.engine.now(),
        };
        let command = Arc::new(RunReaction::new(Arc::clone(rule), Arc::clone(source)));
        let correlation_id = self.correlation_id.clone();
        let executed = self.engine.execute(SubmittedCommand { command, correlation_id, origin, key }).await;
        match executed.map_err(|not| not.failure) {
            Ok(executed) => match serde_json::from_slice(&executed.reply.data) {
                Ok(outcome) => Attempt::Completed(outcome),
                Err(error) => Attempt::Internal(error.to_string()),
            },
            Err(Failure::Refused(error)) if last_error(&error).is_some() => Attempt::Refused(error),
            Err(Failure::Refused(error)) if error.code == Code::Conflict => Attempt::Changed,
            Err(Failure::Unavailable(why)) => Attempt::Retry(why),
            Err(failure) => Attempt::Internal(failure.to_string()),
        }
    }

    /// The rule as it is now, if it still matches the event.
    async fn reload(&self, rule: &StoredReaction) -> Result<Option<Arc<CachedRule>>, ReadError> {
        let key = StoredReaction::key_of(rule.subscription.id);
        let Some(current) = self.engine.store.get::<StoredReaction>(key.clone()).await? else {
            return Ok(None);
        };
        let progress: Option<ReactionProgress> = self.engine.store.get(key).await?;
        Ok(Some(CachedRule::new(current, progress)).filter(|rule| self.is_due(rule)))
    }

    fn is_due(&self, rule: &CachedRule) -> bool {
        rule.verdict(&self.source, self.engine.now()) == MatchResult::Answers
    }

    /// Counts an outcome, and returns `true`.
    fn count(&self, outcome: &'static str) -> bool {
        self.engine.metrics.reactions.outcomes.get(outcome).inc();
        true
    }
}
