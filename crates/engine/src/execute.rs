//! Executes commands: idempotency, external calls, trace, commit.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    Command, CorrelationId, DomainError, IdempotencyKey, OperationError, Reply, StepCode,
};
use agentcafe_store::{Answer, Envelope, Failure, Origin, Request, TraceNote, error_step};

use crate::engine::Engine;

/// A command that passed its checks and is to be executed.
pub struct SubmittedCommand {
    /// The command.
    pub command: Arc<dyn Command>,
    /// The correlation id of its events and its trace.
    pub correlation_id: CorrelationId,
    /// The request, for its trace.
    pub origin: Origin,
    /// The idempotency key, or why the request has no valid one.
    pub key: Result<IdempotencyKey, DomainError>,
}

/// A command that took effect, now or before.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
    /// The reply; of a replay, the first one.
    pub reply: Reply,
    /// The correlation id of the request that took effect.
    pub correlation_id: CorrelationId,
    /// Of a replay: the correlation id of this attempt, if it is a different one.
    pub replayed_as: Option<CorrelationId>,
    /// Whether it is a replay: the command took effect before.
    pub replayed: bool,
}

/// A command that did not take effect.
#[derive(Debug)]
pub struct NotExecuted {
    /// Why.
    pub failure: Failure,
    /// The correlation id of its trace.
    pub correlation_id: CorrelationId,
}

impl From<NotExecuted> for OperationError {
    fn from(not_executed: NotExecuted) -> Self {
        let correlation_id = Some(not_executed.correlation_id);
        Self { correlation_id, ..not_executed.failure.into() }
    }
}

impl Engine {
    /// Executes a command once, however many requests have the same key.
    ///
    /// # Errors
    /// [`NotExecuted`]: why it did not take effect. The details of a domain error hold the correlation id.
    pub async fn execute(self: &Arc<Self>, submitted: SubmittedCommand) -> Result<Executed, NotExecuted> {
        let SubmittedCommand { command, correlation_id, origin, key } = submitted;
        let key = match key {
            Ok(key) => key,
            Err(error) => {
                self.note(origin, &correlation_id, &error);
                return Err(self.not_executed(Failure::Refused(error), correlation_id));
            }
        };
        let request = Some(Request { origin: Arc::new(origin), key });
        let envelope = Envelope { command, correlation_id: correlation_id.clone(), request, outcome: None };
        let mut answer = self.store.submit(envelope.clone()).await;
        if let Err(Failure::External(_)) = answer {
            answer = self.run_external_calls(envelope).await;
        }
        match answer {
            Ok(Answer::Done(reply)) => {
                Ok(Executed { reply, correlation_id, replayed_as: None, replayed: false })
            }
            Ok(Answer::Replayed { reply, correlation_id: first }) => {
                let replayed_as = (first != correlation_id).then_some(correlation_id);
                Ok(Executed { reply, correlation_id: first, replayed_as, replayed: true })
            }
            Err(failure) => Err(self.not_executed(failure, correlation_id)),
        }
    }

    /// Executes a command of background work: without a key, without a trace.
    ///
    /// # Errors
    /// [`Failure`] when it did not take effect.
    pub async fn execute_in_background(&self, command: Arc<dyn Command>) -> Result<Reply, Failure> {
        let correlation_id = self.fresh_correlation_id();
        let envelope = Envelope { command, correlation_id, request: None, outcome: None };
        match self.store.submit(envelope).await? {
            Answer::Done(reply) | Answer::Replayed { reply, .. } => Ok(reply),
        }
    }

    fn note(&self, origin: Origin, correlation_id: &CorrelationId, error: &DomainError) {
        let ended_at = self.now();
        let steps = vec![error_step(error, ended_at)];
        let (origin, correlation_id) = (Arc::new(origin), correlation_id.clone());
        self.store.note(TraceNote { origin, correlation_id, ended_at, succeeded: false, steps });
    }

    fn not_executed(&self, mut failure: Failure, correlation_id: CorrelationId) -> NotExecuted {
        if let Failure::Refused(error) = &mut failure {
            self.count_block(error);
            error.details.insert("correlationId".to_owned(), correlation_id.as_str().into());
        }
        NotExecuted { failure, correlation_id }
    }

    fn count_block(&self, error: &DomainError) {
        let blocks = match StepCode::of_error(error.code) {
            StepCode::ModerationBlocked => &self.metrics.moderation_blocks,
            StepCode::OperatorOverrideBlocked => &self.metrics.override_blocks,
            _ => return,
        };
        let reason = error.details.get("reasonCode").and_then(|reason| reason.as_str()).unwrap_or_default();
        blocks.get(reason.to_owned()).inc();
    }
}
