//! Writes, changes and deletes profiles.

use agentcafe_domain::kernel::{DomainError, OperationError, Rules, TENANT_ID};
use agentcafe_domain::profiles::{
    DeleteProfile, DeleteProfileResponse, ProfileOwner, UpdateProfile as UpdateProfileCommand, UpsertProfile,
    WriteProfileResponse,
};

use crate::operation::{Call, Input, KeyScope, Mutation, Prepared, Subject};

fn subject(owner: &ProfileOwner) -> Subject {
    Subject { tenant: owner.tenant_id.clone(), room: None, actor: Some(owner.actor_id.clone()) }
}

impl Mutation for UpsertProfile {
    type Command = Self;
    type Answer = WriteProfileResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.body)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let owner = self.owner();
        let scope = KeyScope::post([owner.tenant_id.as_str(), "profiles", owner.actor_id.as_str(), "upsert"]);
        let subject = Subject { room: self.room_id().cloned(), ..subject(owner) };
        Ok(Prepared { subject, scope, command: self })
    }
}

/// Changes some members of a profile.
pub struct UpdateProfile(ProfileOwner);

impl Mutation for UpdateProfile {
    type Command = UpdateProfileCommand;
    type Answer = WriteProfileResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        ProfileOwner::read(&input.id, &input.parameters, &input.body).map(Self)
    }

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<UpdateProfileCommand>, OperationError> {
        let Self(owner) = self;
        let scope = KeyScope::patch([owner.tenant_id.as_str(), "profiles", owner.actor_id.as_str(), "PATCH"]);
        let subject = subject(&owner);
        Ok(Prepared { subject, scope, command: UpdateProfileCommand::read(owner, &call.input.body) })
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = (input.parameters.tenant(TENANT_ID), UpdateProfileCommand::describe(&input.body));
    }
}

/// Deletes a profile.
pub struct RemoveProfile(ProfileOwner);

impl Mutation for RemoveProfile {
    type Command = DeleteProfile;
    type Answer = DeleteProfileResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        ProfileOwner::read(&input.id, &input.parameters, &input.body).map(Self)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<DeleteProfile>, OperationError> {
        let Self(owner) = self;
        let scope =
            KeyScope::delete([owner.tenant_id.as_str(), "profiles", owner.actor_id.as_str(), "DELETE"]);
        Ok(Prepared { subject: subject(&owner), scope, command: DeleteProfile { owner } })
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = input.parameters.tenant(TENANT_ID);
    }
}
