//! What callers submit to the writer, and what they get back.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    ActorId, CallResult, Command, CorrelationId, DomainError, ExternalCall, IdempotencyKey, OperationError,
    Owner, Reply, RequestAuthor, RequestContext, RoomId, Step, TenantId, Timestamp,
};
use uuid::Uuid;

/// A command on its way into a commit batch.
#[derive(Clone)]
pub struct Envelope {
    /// The command to decide.
    pub command: Arc<dyn Command>,
    /// Written into the events and the trace.
    pub correlation_id: CorrelationId,
    /// The request it came with; none for background work, which leaves no trace.
    pub request: Option<Request>,
    /// The result of the external call that the command requested when it was submitted before.
    pub outcome: Option<CallResult>,
}

/// The request of a command, and the idempotency key under which it takes effect once.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where it came from.
    pub origin: Arc<Origin>,
    /// What identifies a repetition of the request.
    pub key: IdempotencyKey,
}

impl Request {
    /// What the command sees of it.
    pub(crate) fn seen(&self) -> RequestContext<'_> {
        RequestContext { id: &self.origin.request_id, key: self.key.identity, by: self.origin.by.as_ref() }
    }
}

/// The request that a trace is about.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The attempt's id.
    pub trace_id: Uuid,
    /// The `x-request-id`.
    pub request_id: String,
    /// The path.
    pub route: String,
    /// The HTTP method.
    pub method: &'static str,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room, if it is about one.
    pub room_id: Option<RoomId>,
    /// The actor, if there is one.
    pub actor_id: Option<ActorId>,
    /// The API key that it came in with, if it is one.
    pub by: Option<RequestAuthor>,
    /// The owner of the trace, if it came in with an API key.
    pub owner: Option<Owner>,
    /// When it arrived.
    pub started_at: Timestamp,
}

/// What a request came to, for its trace.
#[derive(Clone, Debug)]
pub struct TraceNote {
    /// The request.
    pub origin: Arc<Origin>,
    /// The id by which the trace is found.
    pub correlation_id: CorrelationId,
    /// When it was answered.
    pub ended_at: Timestamp,
    /// Whether it was answered with success, now or as a replay.
    pub succeeded: bool,
    /// What happened after it was received.
    pub steps: Vec<Step>,
}

/// The answer to a command that took effect, now or the first time.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It took effect in this batch.
    Done(Reply),
    /// It had taken effect before: a replay of the first answer.
    Replayed {
        /// The first answer.
        reply: Reply,
        /// The correlation id of the first request.
        correlation_id: CorrelationId,
    },
}

/// Why a command did not take effect.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A rule refused it.
    #[error("{0}")]
    Refused(DomainError),
    /// It needs the result of an external call; submit it again with that.
    #[error("an external call must be made first")]
    External(ExternalCall),
    /// An internal error: the command could not be decided.
    #[error("{0}")]
    Internal(&'static str),
    /// The queue is full, or the store could not be written. Nothing was done; a retry later may succeed.
    #[error("{0}")]
    Unavailable(&'static str),
}

/// The cause of an internal failure is left out.
impl From<Failure> for OperationError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error.into(),
            // The engine runs external calls before it answers.
            Failure::Internal(_) | Failure::External(_) => Self::internal(),
            Failure::Unavailable(message) => Self::unavailable(message),
        }
    }
}
