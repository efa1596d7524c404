//! Buys a session, and changes or ends it.

use agentcafe_domain::kernel::{DomainError, OperationError, RoomId, Rules};
use agentcafe_domain::tables::change::{UpdateTableSession, UpdateTableSessionResponse};
use agentcafe_domain::tables::open::{CreateTableSession, CreateTableSessionResponse};

use crate::operation::{Call, Input, KeyScope, Mutation, Prepared, Subject};

/// Stands in the scope of a key for a room that the caller does not name.
const FRESH_ROOM: &str = "auto";

impl Mutation for CreateTableSession {
    type Command = Self;
    type Answer = CreateTableSessionResponse;

    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.body, rules)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let (tenant, actor, owner, room) = self.subject();
        let scope_room = room.map_or(FRESH_ROOM, RoomId::as_str);
        let scope = KeyScope::post([tenant.as_str(), "table-sessions", "create", scope_room, owner.as_str()]);
        let subject = Subject { tenant: tenant.clone(), room: room.cloned(), actor: Some(actor.clone()) };
        Ok(Prepared { subject, scope, command: self })
    }
}

impl Mutation for UpdateTableSession {
    type Command = Self;
    type Answer = UpdateTableSessionResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.id, &input.parameters, &input.body)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let (tenant, actor, session) = self.subject();
        let scope = KeyScope::patch([tenant.as_str(), "table-sessions", &session.to_string(), "patch"]);
        let subject = Subject { tenant: tenant.clone(), room: None, actor: Some(actor.clone()) };
        Ok(Prepared { subject, scope, command: self })
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = Self::describe(&input.body);
    }
}
