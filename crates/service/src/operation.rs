//! What an operation is: its input, what it answers, and for mutations the scope of their idempotency keys.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    ActorId, ActorInRoom, Command, DomainError, Fields, OperationError, RoomId, Rules, TenantId,
};
use agentcafe_domain::keys::Scope;
use agentcafe_engine::Executed;
use agentcafe_eventlog::LastEventId;
use agentcafe_store::{LaterEvent, LoggedEvent};

use crate::caller::Caller;
use crate::service::Service;

/// What an operation reads, whichever transport it came through.
pub struct Input {
    /// The id of the record that is meant; empty for operations that need none.
    pub id: String,
    /// Parameters beside the body, as texts.
    pub parameters: Fields,
    /// The members of the body; empty for reads.
    pub body: Fields,
    /// The last event that a client which reconnects to a stream has received (`Last-Event-ID`).
    pub last_event_id: LastEventId,
}

/// One call of an operation: what it works on, who calls, and with what.
pub struct Call<'a> {
    pub(crate) service: &'a Arc<Service>,
    pub(crate) caller: &'a Caller,
    pub(crate) input: &'a Input,
}

/// What an operation works on: its input, read and valid.
pub trait FromInput: Sized {
    /// Reads the input. Of a mutation, what identifies the actor must be right; what else is wrong with a body stays in the
    /// command, because permissions are refused before payloads.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError>;

    /// Reads every field that the operation takes, so that fields which describe themselves are listed.
    fn describe(input: &Input, rules: &Rules) {
        let _ = Self::read(input, rules);
    }
}

/// An operation of the server for a caller.
pub trait Operation: FromInput + Send + 'static {
    /// What it answers.
    type Output: Send;

    /// What a caller's key must allow: all of these.
    const SCOPES: &'static [Scope];

    /// The scope that is enough without them, if there is one.
    const SUFFICIENT_SCOPE: Option<Scope> = None;

    /// Whether it first waits until this node has seen what any node has committed: a caller then reads its own writes.
    const READS_OWN_WRITES: bool = true;

    /// Does it.
    ///
    /// # Errors
    /// A refusal, or that the store is not available.
    fn run(self, call: &Call<'_>) -> impl Future<Output = Result<Self::Output, OperationError>> + Send;
}

/// An operation that takes effect: it becomes one command, once per idempotency key.
pub trait Mutation: FromInput + Send + 'static {
    /// What decides it.
    type Command: Command + 'static;
    /// What the rendered answer holds.
    type Answer;

    /// What a caller's key must allow: all of these.
    const SCOPES: &'static [Scope];

    /// Makes the command and the scope of its key.
    ///
    /// # Errors
    /// What it is about does not exist, or the store is not available.
    fn prepare(
        self,
        call: &Call<'_>,
    ) -> impl Future<Output = Result<Prepared<Self::Command>, OperationError>> + Send;
}

/// A mutation runs as its command, once per key.
impl<M: Mutation> Operation for M {
    type Output = Executed;

    const SCOPES: &'static [Scope] = M::SCOPES;

    const READS_OWN_WRITES: bool = false;

    async fn run(self, call: &Call<'_>) -> Result<Executed, OperationError> {
        call.input.parameters.check_caller_beside(&call.input.body)?;
        call.execute(self.prepare(call).await?).await
    }
}

/// Declares what an operation works on: its parameters, in the order in which they are read, each with how it is read. The
/// names in parentheses are those of the parameters beside the body and, where it is needed, of the whole input.
macro_rules! parameters {
    ($(#[$doc:meta])* $name:ident($fields:ident $(, $input:ident)?) {
        $($(#[$field_doc:meta])* $visible:vis $field:ident: $type:ty = $value:expr,)+
    }) => {
        $(#[$doc])*
        pub struct $name {
            $($(#[$field_doc])* $visible $field: $type,)+
        }

        impl $crate::operation::FromInput for $name {
            fn read(
                whole_input: &$crate::operation::Input,
                _: &agentcafe_domain::kernel::Rules,
            ) -> Result<Self, agentcafe_domain::kernel::DomainError> {
                $(let $input = whole_input;)?
                let $fields = &whole_input.parameters;
                $(let $field: $type = $value;)+
                Ok(Self { $($field,)+ })
            }
        }
    };
}
pub(crate) use parameters;

/// A command that is ready to be executed.
pub struct Prepared<C> {
    /// What is to be decided.
    pub command: C,
    /// Whom it is about, and where its key counts.
    pub scope: KeyScope,
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

impl From<(&TenantId, Option<&RoomId>, Option<&ActorId>)> for Subject {
    fn from((tenant, room, actor): (&TenantId, Option<&RoomId>, Option<&ActorId>)) -> Self {
        Self { tenant: tenant.clone(), room: room.cloned(), actor: actor.cloned() }
    }
}

impl From<&ActorInRoom> for Subject {
    fn from(actor: &ActorInRoom) -> Self {
        (&actor.tenant_id, Some(&actor.room_id), Some(&actor.actor_id)).into()
    }
}

/// The tenant, the room and the actor.
pub(crate) fn ids(actor: &ActorInRoom) -> [&str; 3] {
    [actor.tenant_id.as_str(), actor.room_id.as_str(), actor.actor_id.as_str()]
}

/// Where an idempotency key counts: the same key in another scope is another key.
///
/// The verb and the parts are hashed into stored keys. They never change, whatever an operation or its route is called: a
/// test compares them with keys that earlier versions stored.
pub struct KeyScope {
    /// Whom the mutation is about.
    pub subject: Subject,
    /// `POST`, `PATCH` or `DELETE`.
    pub verb: &'static str,
    /// The names and ids of the scope.
    pub parts: Vec<String>,
}

impl KeyScope {
    /// The scope of an operation that creates or does something.
    pub fn post<const N: usize>(subject: impl Into<Subject>, parts: [&str; N]) -> Self {
        Self { subject: subject.into(), verb: "POST", parts: parts.map(str::to_owned).into() }
    }

    /// The scope of an operation that changes something.
    pub fn patch<const N: usize>(subject: impl Into<Subject>, parts: [&str; N]) -> Self {
        Self { verb: "PATCH", ..Self::post(subject, parts) }
    }

    /// The scope of an operation that deletes something.
    pub fn delete<const N: usize>(subject: impl Into<Subject>, parts: [&str; N]) -> Self {
        Self { verb: "DELETE", ..Self::post(subject, parts) }
    }
}

/// Makes a [`Mutation`] of a command that is read from the input alone, or of a type around such a command. Its arguments:
/// the type, what it answers, the scope that it needs, how the command is read, its [`KeyScope`], and how it is described, if not by reading it.
macro_rules! mutation {
    ($name:ident($command:ty), $($rest:tt)+) => {
        mutation!(@ $name, $command, $name, |$name(command)| command, $($rest)+);
    };
    (@ $name:ty, $command:ty, $wrap:expr, $unwrap:expr,
     $answer:ty, $needs:expr, $read:expr, $scope:expr $(, $describe:expr)? $(,)?) => {
        impl $crate::operation::FromInput for $name {
            fn read(
                input: &$crate::operation::Input,
                rules: &agentcafe_domain::kernel::Rules,
            ) -> Result<Self, agentcafe_domain::kernel::DomainError> {
                let read: fn(&$crate::operation::Input, &agentcafe_domain::kernel::Rules) -> Result<$command, _> = $read;
                read(input, rules).map($wrap)
            }

            $(fn describe(input: &$crate::operation::Input, _: &agentcafe_domain::kernel::Rules) {
                let describe: fn(&$crate::operation::Input) = $describe;
                describe(input);
            })?
        }

        impl $crate::operation::Mutation for $name {
            type Command = $command;
            type Answer = $answer;

            const SCOPES: &'static [agentcafe_domain::keys::Scope] = &[$needs];

            async fn prepare(
                self,
                _: &$crate::operation::Call<'_>,
            ) -> Result<$crate::operation::Prepared<$command>, agentcafe_domain::kernel::OperationError> {
                let (unwrap, scope): (fn(Self) -> $command, fn(&$command) -> _) = ($unwrap, $scope);
                let command = unwrap(self);
                Ok($crate::operation::Prepared { scope: scope(&command), command })
            }
        }
    };
    ($command:ty, $($rest:tt)+) => {
        mutation!(@ $command, $command, std::convert::identity, std::convert::identity, $($rest)+);
    };
}
pub(crate) use mutation;

/// The most event JSON that a list holds, in bytes: a page of the default length fits. What follows is read later.
pub(crate) const MAX_HELD_BYTES: usize = 64 << 10;

/// Events, as the log keeps them, and the other members of the answer.
pub struct EventList<T> {
    /// The events, in the order of the list.
    pub events: Vec<LoggedEvent>,
    /// Those that follow, and are read while the answer is sent.
    pub later: Vec<LaterEvent>,
    /// The other members.
    pub rest: T,
}

/// Does work that takes long, such as parsing thousands of events, on a thread that answers no other calls.
pub(crate) async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, OperationError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| OperationError::internal())
}
