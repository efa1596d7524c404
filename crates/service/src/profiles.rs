//! Profiles: how actors are shown.

use agentcafe_domain::kernel::{
    ACTOR_FILTER, ActorId, DomainError, OperationError, RecordQuery, Rules, TENANT_ID, TenantId,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::profiles::{
    DeleteProfile, DeleteProfileResponse, Profile, ProfileOwner, UpdateProfile as UpdateProfileCommand,
    UpsertProfile, WriteProfileResponse,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{
    Call, FromInput, Input, KeyScope, Mutation, Operation, Prepared, Subject, mutation, parameters,
};
use crate::paging::{LIMITS, PageSelector, newest_by, record_list};
use crate::service::Service;

parameters! {
    /// Lists the profiles of a tenant, the last changed first; with an actor, reads one.
    ListProfiles(fields) {
        tenant: TenantId = fields.tenant_or_default()?,
        actor: Option<ActorId> = fields.actor(ACTOR_FILTER)?,
        query: RecordQuery = newest_by::<Profile>("updated_at").is("tenant_id", &tenant),
        page: PageSelector = PageSelector::read::<Profile>(fields, LIMITS)?,
    }
}

record_list! {
    /// Profiles, the last changed first.
    ProfileList { profiles: Profile }
}

/// One profile.
#[derive(Serialize, JsonSchema)]
pub struct OneProfile {
    /// The profile.
    profile: Profile,
}

/// One profile, or a list.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ProfilesAnswer {
    /// With an actor.
    One(OneProfile),
    /// Otherwise.
    List(ProfileList),
}

async fn one(service: &Service, owner: &ProfileOwner) -> Result<OneProfile, OperationError> {
    let profile: Option<Profile> = service.get(owner.key()).await?;
    Ok(OneProfile { profile: profile.ok_or_else(|| owner.unknown())? })
}

impl Operation for ListProfiles {
    type Output = ProfilesAnswer;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<ProfilesAnswer, OperationError> {
        let Self { tenant: tenant_id, actor, query, page } = self;
        match actor {
            Some(actor_id) => {
                let owner = ProfileOwner { tenant_id, actor_id };
                Ok(ProfilesAnswer::One(one(call.service, &owner).await?))
            }
            None => Ok(ProfilesAnswer::List(call.service.page(page.of(query)).await?.into())),
        }
    }
}

/// Reads one profile.
pub struct GetProfile(ProfileOwner);

impl FromInput for GetProfile {
    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        ProfileOwner::read(&input.id, &input.parameters, &input.parameters).map(Self)
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = input.parameters.tenant(TENANT_ID);
    }
}

impl Operation for GetProfile {
    type Output = OneProfile;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<OneProfile, OperationError> {
        one(call.service, &self.0).await
    }
}

impl From<&ProfileOwner> for Subject {
    fn from(owner: &ProfileOwner) -> Self {
        (&owner.tenant_id, None, Some(&owner.actor_id)).into()
    }
}

/// The parts of the scope of a mutation of a profile.
fn parts<'a>(owner: &'a ProfileOwner, last: &'a str) -> [&'a str; 4] {
    [owner.tenant_id.as_str(), "profiles", owner.actor_id.as_str(), last]
}

mutation!(UpsertProfile, WriteProfileResponse, Scope::Act, |input, _| Self::read(&input.body), |profile| {
    let ProfileOwner { tenant_id, actor_id } = profile.owner();
    KeyScope::post((tenant_id, profile.room_id(), Some(actor_id)), parts(profile.owner(), "upsert"))
});

/// Changes some members of a profile.
pub struct UpdateProfile(ProfileOwner);

impl FromInput for UpdateProfile {
    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        ProfileOwner::own(&input.id, &input.parameters, &input.body).map(Self)
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = (input.parameters.tenant(TENANT_ID), UpdateProfileCommand::describe(&input.body));
    }
}

impl Mutation for UpdateProfile {
    type Command = UpdateProfileCommand;
    type Answer = WriteProfileResponse;

    const SCOPES: &'static [Scope] = &[Scope::Act];

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<UpdateProfileCommand>, OperationError> {
        let scope = KeyScope::patch(&self.0, parts(&self.0, "PATCH"));
        Ok(Prepared { scope, command: UpdateProfileCommand::read(self.0, &call.input.body) })
    }
}

mutation!(
    DeleteProfile,
    DeleteProfileResponse,
    Scope::Act,
    |input, _| { ProfileOwner::own(&input.id, &input.parameters, &input.body).map(|owner| Self { owner }) },
    |delete| KeyScope::delete(&delete.owner, parts(&delete.owner, "DELETE")),
    |input| drop(input.parameters.tenant(TENANT_ID)),
);
