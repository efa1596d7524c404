//! Acknowledges items of an inbox: one by its id, or many.

use agentcafe_domain::inbox::{AckInboxItem, AckInboxItemResponse, AckInboxItems, AckInboxItemsResponse};
use agentcafe_domain::kernel::{ActorId, DomainError, OperationError, RoomId, Rules, TenantId};

use crate::operation::{Call, Input, KeyScope, Mutation, Prepared, Subject};

fn subject((tenant, room, actor): (&TenantId, Option<&RoomId>, &ActorId)) -> Subject {
    Subject { tenant: tenant.clone(), room: room.cloned(), actor: Some(actor.clone()) }
}

impl Mutation for AckInboxItem {
    type Command = Self;
    type Answer = AckInboxItemResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.id, &input.parameters, &input.body)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let (tenant, _, actor) = self.owner();
        let inbox_id = self.inbox_id().to_string();
        let scope = KeyScope::post([tenant.as_str(), actor.as_str(), "inbox", &inbox_id, "ack"]);
        Ok(Prepared { subject: subject(self.owner()), scope, command: self })
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = Self::describe(&input.body);
    }
}

impl Mutation for AckInboxItems {
    type Command = Self;
    type Answer = AckInboxItemsResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.body)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let (tenant, room, actor) = self.owner();
        let room = room.map_or("all", RoomId::as_str);
        let scope = KeyScope::post([tenant.as_str(), actor.as_str(), "inbox", "ack", room]);
        Ok(Prepared { subject: subject(self.owner()), scope, command: self })
    }
}
