//! What an operation is: its input, what it answers, and for mutations the scope of their idempotency keys.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    ActorId, ActorInRoom, Command, DomainError, Fields, OperationError, RoomId, Rules, Sequence, TenantId,
};
use agentcafe_engine::Executed;
use agentcafe_store::LoggedEvent;

use crate::caller::Caller;
use crate::service::Service;

/// What an operation reads, whichever door it came through.
pub struct Input {
    /// The id of the record that is meant; empty for operations that need none.
    pub id: String,
    /// Parameters beside the body, as texts.
    pub parameters: Fields,
    /// The members of the body; empty for reads.
    pub body: Fields,
    /// The last event that a client which reconnects to a stream has received.
    pub last_event_id: Option<Sequence>,
}

/// One call of an operation: what it works on, who calls, and with what.
pub struct Call<'a> {
    pub(crate) service: &'a Arc<Service>,
    pub(crate) caller: &'a Caller,
    pub(crate) input: &'a Input,
}

/// Something that the café can do for a caller. The implementing type is the input, read and valid.
pub trait Operation: Sized + Send + 'static {
    /// What it answers.
    type Output: Send;

    /// Whether it first waits until this node has seen what any node has committed: a caller then reads its own writes.
    const READS_OWN_WRITES: bool = true;

    /// Reads the input.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError>;

    /// Does it.
    ///
    /// # Errors
    /// A refusal, or that the store is not available.
    fn run(self, call: &Call<'_>) -> impl Future<Output = Result<Self::Output, OperationError>> + Send;

    /// Reads every field that the operation takes, so that fields which describe themselves are listed.
    fn describe(input: &Input, rules: &Rules) {
        let _ = Self::read(input, rules);
    }
}

/// An operation that takes effect: it becomes one command, once per idempotency key.
pub trait Mutation: Sized + Send + 'static {
    /// What decides it.
    type Command: Command + 'static;
    /// What the rendered answer holds.
    type Answer;

    /// Reads the input. What identifies the actor must be right; what else is wrong with a body stays in the command,
    /// because permissions are refused before payloads.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError>;

    /// Makes the command, and says what it is about and in which scope its key counts.
    ///
    /// # Errors
    /// What it is about does not exist, or the store is not available.
    fn prepare(
        self,
        call: &Call<'_>,
    ) -> impl Future<Output = Result<Prepared<Self::Command>, OperationError>> + Send;

    /// As [`Operation::describe`].
    fn describe(input: &Input, rules: &Rules) {
        let _ = Self::read(input, rules);
    }
}

/// A command that is ready to be executed.
pub struct Prepared<C> {
    /// What is to be decided.
    pub command: C,
    /// Whom it is about, for its trace and its key.
    pub subject: Subject,
    /// Where its key counts.
    pub scope: KeyScope,
}

impl<C> Prepared<C> {
    /// A command of an actor in a room.
    pub fn by_actor(actor: &ActorInRoom, scope: KeyScope, command: C) -> Self {
        Self { command, subject: Subject::from(actor), scope }
    }
}

/// Whom a mutation is about, for its trace and its key.
pub struct Subject {
    /// The tenant.
    pub tenant: TenantId,
    /// The room, if it is about one.
    pub room: Option<RoomId>,
    /// The actor, if there is one.
    pub actor: Option<ActorId>,
}

impl From<&ActorInRoom> for Subject {
    fn from(actor: &ActorInRoom) -> Self {
        let ActorInRoom { tenant_id, room_id, actor_id } = actor.clone();
        Self { tenant: tenant_id, room: Some(room_id), actor: Some(actor_id) }
    }
}

/// Where an idempotency key counts: the same key in another scope is another key.
///
/// Both parts are hashed into stored keys. They never change, whatever an operation or its route is called: a test holds
/// them to keys that earlier versions stored.
pub struct KeyScope {
    /// `POST`, `PATCH` or `DELETE`.
    pub verb: &'static str,
    /// The names and ids of the scope.
    pub parts: Vec<String>,
}

impl KeyScope {
    /// The scope of an operation that creates or does something.
    pub fn post<const N: usize>(parts: [&str; N]) -> Self {
        Self { verb: "POST", parts: parts.map(str::to_owned).into() }
    }

    /// The scope of an operation that changes something.
    pub fn patch<const N: usize>(parts: [&str; N]) -> Self {
        Self { verb: "PATCH", ..Self::post(parts) }
    }

    /// The scope of an operation that deletes something.
    pub fn delete<const N: usize>(parts: [&str; N]) -> Self {
        Self { verb: "DELETE", ..Self::post(parts) }
    }
}

/// Events, as the log keeps them, and what is said beside them.
pub struct EventList<T> {
    /// The events, in the order of the list.
    pub events: Vec<LoggedEvent>,
    /// What is said beside them.
    pub rest: T,
}

/// A mutation runs as its command, once per key.
impl<M: Mutation> Operation for M {
    type Output = Executed;

    const READS_OWN_WRITES: bool = false;

    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError> {
        M::read(input, rules)
    }

    async fn run(self, call: &Call<'_>) -> Result<Executed, OperationError> {
        call.execute(self.prepare(call).await?).await
    }

    fn describe(input: &Input, rules: &Rules) {
        M::describe(input, rules);
    }
}

/// Does work that takes long, such as parsing thousands of events, on a thread that answers no other calls.
pub(crate) async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, OperationError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| OperationError::internal())
}
