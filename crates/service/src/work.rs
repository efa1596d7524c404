//! What tasks and shared objects have in common: reading one by its id, and changing it.

use std::marker::PhantomData;

use agentcafe_domain::kernel::{ActorId, DomainError, Key, OperationError, Record, RoomId, Rules, TenantId};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::objects::change::UpdateSharedObject;
use agentcafe_domain::objects::{SharedObject, WriteObjectResponse};
use agentcafe_domain::tasks::change::UpdateTask as UpdateTaskCommand;
use agentcafe_domain::tasks::handoff::{HandOffTask as HandOffTaskCommand, HandOffTaskResponse};
use agentcafe_domain::tasks::{Task, WriteTaskResponse};
use agentcafe_domain::work::{self, Editor};
use uuid::Uuid;

use crate::operation::{Call, FromInput, Input, KeyScope, Mutation, Operation, Prepared, ids};
use crate::read_access;

/// A kind of work, kept under an id of its own. Work neither vanishes nor moves.
pub trait Work: Record {
    /// What is answered to a read of one.
    type Answer: From<Self> + Send;

    /// The name of its id, for errors.
    const ID_NAME: &'static str;

    /// The key of the record with this id.
    fn key_of(id: Uuid) -> Key;

    /// Its id, and where it belongs.
    fn place(&self) -> (Uuid, &TenantId, &RoomId);
}

macro_rules! work {
    ($record:ty, $answer:ty, $id:ident, $id_name:literal) => {
        impl Work for $record {
            type Answer = $answer;

            const ID_NAME: &'static str = $id_name;

            fn key_of(id: Uuid) -> Key {
                Self::key_of(id)
            }

            fn place(&self) -> (Uuid, &TenantId, &RoomId) {
                (self.$id, &self.tenant_id, &self.room_id)
            }
        }
    };
}
work!(Task, crate::tasks::OneTask, task_id, "taskId");
work!(SharedObject, crate::objects::OneObject, object_id, "objectId");

/// Reads one task or one shared object.
pub struct GetWork<W> {
    id: String,
    tenant: TenantId,
    viewer: Option<ActorId>,
    kind: PhantomData<fn() -> W>,
}

impl<W: Work> GetWork<W> {
    /// The record, if the viewer may read its room.
    pub(crate) async fn find(&self, call: &Call<'_>) -> Result<W, OperationError> {
        let work: W = find(call, &self.tenant, &self.id).await?;
        call.service.may_read(&self.tenant, work.place().2, self.viewer.as_ref()).await?;
        Ok(work)
    }
}

impl<W: Work> FromInput for GetWork<W> {
    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let (id, fields) = (input.id.clone(), &input.parameters);
        let tenant = fields.tenant_or_default()?;
        Ok(Self { id, tenant, viewer: read_access::viewer(fields)?, kind: PhantomData })
    }
}

impl<W: Work> Operation for GetWork<W> {
    type Output = W::Answer;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<W::Answer, OperationError> {
        Ok(self.find(call).await?.into())
    }
}

/// The record with this id in this tenant, in a room that the caller reaches.
pub(crate) async fn find<W: Work>(call: &Call<'_>, tenant: &TenantId, id: &str) -> Result<W, OperationError> {
    let found = call.service.by_id::<W>(id, W::key_of).await?;
    let reached = found.filter(|work| {
        let (_, of_tenant, room) = work.place();
        of_tenant == tenant && call.caller.principal.reaches(tenant, Some(room))
    });
    reached.ok_or_else(|| work::not_found(tenant, W::ID_NAME, id).into())
}

/// Declares a mutation of the record that the path names: the verb and the last part of its key's scope, which begins with
/// the tenant, the room, the collection and the id.
macro_rules! work_mutation {
    ($(#[$doc:meta])* $name:ident($command:ty: $record:ty), $answer:ty, $verb:ident, $collection:literal, $last:literal) => {
        $(#[$doc])*
        pub struct $name(Editor);

        impl FromInput for $name {
            fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
                Editor::read(&input.parameters, &input.body).map(Self)
            }

            fn describe(input: &Input, _: &Rules) {
                <$command>::describe(&input.body);
            }
        }

        impl Mutation for $name {
            type Command = $command;
            type Answer = $answer;

            const SCOPES: &'static [Scope] = &[Scope::Work];

            async fn prepare(self, call: &Call<'_>) -> Result<Prepared<$command>, OperationError> {
                let record: $record = find(call, &self.0.tenant_id, &call.input.id).await?;
                let id = record.place().0.to_string();
                let command = <$command>::read(&call.input.body, self.0, record);
                let [tenant, room, _] = ids(command.actor());
                let scope = KeyScope::$verb(command.actor(), [tenant, room, $collection, &id, $last]);
                Ok(Prepared { scope, command })
            }
        }
    };
}

work_mutation! {
    /// Changes a task.
    UpdateTask(UpdateTaskCommand: Task), WriteTaskResponse, patch, "tasks", "patch"
}

work_mutation! {
    /// Hands a task over, or reports its progress.
    HandOffTask(HandOffTaskCommand: Task), HandOffTaskResponse, post, "tasks", "handoff"
}

work_mutation! {
    /// Changes a shared object.
    UpdateObject(UpdateSharedObject: SharedObject), WriteObjectResponse, patch, "objects", "patch"
}
