//! What goes into a turn and what comes out of it.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    command::{Command, Reply, RequestContext},
    error::DomainError,
    external_call::{CallResult, ExternalCall},
    idempotency::IdempotencyKey,
    ids::{ActorId, CorrelationId, RoomId, TenantId},
    time::Timestamp,
    trace::Step,
};
use uuid::Uuid;

/// A command on its way into a turn.
#[derive(Clone)]
pub struct Envelope {
    /// What is to be decided.
    pub command: Arc<dyn Command>,
    /// Stamped on the events.
    pub correlation_id: CorrelationId,
    /// The request it came with; none for background work, which leaves no trace.
    pub request: Option<Request>,
    /// What came of the errand that the command asked for when it was submitted before.
    pub outcome: Option<CallResult>,
}

/// The request that a command came with, and the key under which it takes effect once.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where it came from.
    pub origin: Arc<Origin>,
    /// What makes it the same request when it comes again.
    pub key: IdempotencyKey,
}

impl Request {
    /// What the command may know of it.
    pub(crate) fn seen(&self) -> RequestContext<'_> {
        RequestContext { id: &self.origin.request_id, key: self.key.identity }
    }
}

/// What a trace says of the request it is about.
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
    /// When it came in.
    pub started_at: Timestamp,
}

/// An attempt that has ended, for its trace.
#[derive(Clone, Debug)]
pub struct TraceNote {
    /// The request.
    pub origin: Arc<Origin>,
    /// What the trace is found by.
    pub correlation_id: CorrelationId,
    /// When it was answered.
    pub ended_at: Timestamp,
    /// Whether it was done, or replayed.
    pub succeeded: bool,
    /// What happened after it was received.
    pub steps: Vec<Step>,
}

/// The answer to a command that took effect, now or the first time.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It took effect in this turn.
    Done(Reply),
    /// It had taken effect before: the first answer again.
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
    /// A rule said no.
    #[error("{0}")]
    Refused(DomainError),
    /// Something must be done outside first; submit the command again with its outcome.
    #[error("something must be done outside first")]
    External(ExternalCall),
    /// A fault of ours: the command could not be decided.
    #[error("{0}")]
    Internal(&'static str),
    /// The queue is full, or the store could not write; nothing was done, and trying again later may help.
    #[error("{0}")]
    Unavailable(&'static str),
}
