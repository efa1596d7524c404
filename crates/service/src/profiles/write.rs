//! Writes, changes and deletes profiles.

use agentcafe_domain::{
    kernel::{
        error::{DomainError, OperationError},
        fields::TENANT_ID,
        rules::Rules,
    },
    profiles::{ChangeProfile, DeleteProfile, ProfileDeleted, ProfileWritten, Whose, WriteProfile},
};

use crate::operation::{Call, Input, KeyScope, Mutation, Prepared, Subject};

fn subject(whose: &Whose) -> Subject {
    Subject { tenant: whose.tenant_id.clone(), room: None, actor: Some(whose.actor_id.clone()) }
}

impl Mutation for WriteProfile {
    type Command = Self;
    type Answer = ProfileWritten;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.body)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let whose = self.whose();
        let scope = KeyScope::post([whose.tenant_id.as_str(), "profiles", whose.actor_id.as_str(), "upsert"]);
        let subject = Subject { room: self.room_id().cloned(), ..subject(whose) };
        Ok(Prepared { subject, scope, command: self })
    }
}

/// Changes some members of a profile.
pub struct UpdateProfile(Whose);

impl Mutation for UpdateProfile {
    type Command = ChangeProfile;
    type Answer = ProfileWritten;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Whose::read(&input.id, &input.parameters, &input.body).map(Self)
    }

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<ChangeProfile>, OperationError> {
        let Self(whose) = self;
        let scope = KeyScope::patch([whose.tenant_id.as_str(), "profiles", whose.actor_id.as_str(), "PATCH"]);
        let subject = subject(&whose);
        Ok(Prepared { subject, scope, command: ChangeProfile::read(whose, &call.input.body) })
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = (input.parameters.tenant(TENANT_ID), ChangeProfile::describe(&input.body));
    }
}

/// Deletes a profile.
pub struct RemoveProfile(Whose);

impl Mutation for RemoveProfile {
    type Command = DeleteProfile;
    type Answer = ProfileDeleted;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Whose::read(&input.id, &input.parameters, &input.body).map(Self)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<DeleteProfile>, OperationError> {
        let Self(whose) = self;
        let scope =
            KeyScope::delete([whose.tenant_id.as_str(), "profiles", whose.actor_id.as_str(), "DELETE"]);
        Ok(Prepared { subject: subject(&whose), scope, command: DeleteProfile { whose } })
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = input.parameters.tenant(TENANT_ID);
    }
}
