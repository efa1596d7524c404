//! Reads one profile, or lists those of a tenant, the last changed first.

use agentcafe_domain::kernel::{
    ACTOR_FILTER, ActorId, DomainError, OperationError, RecordQuery, Rules, SortKey, TENANT_ID, TenantId,
};
use agentcafe_domain::profiles::{Profile, ProfileOwner};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, Input, Operation};
use crate::paging::{self, record_list};
use crate::service::Service;

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// Lists profiles.
pub struct ListProfiles {
    tenant: TenantId,
    actor: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

/// Reads one profile.
pub struct GetProfile(ProfileOwner);

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

async fn one(service: &Service, whose: &ProfileOwner) -> Result<OneProfile, OperationError> {
    let profile: Option<Profile> = service.get(whose.key()).await?;
    Ok(OneProfile { profile: profile.ok_or_else(|| whose.unknown())? })
}

impl Operation for ListProfiles {
    type Output = ProfilesAnswer;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            tenant: fields.tenant_or_default()?,
            actor: fields.actor(ACTOR_FILTER)?,
            cursor: paging::cursor::<Profile>(fields)?,
            limit: fields.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<ProfilesAnswer, OperationError> {
        let Self { tenant, actor, cursor, limit } = self;
        if let Some(actor_id) = actor {
            let whose = ProfileOwner { tenant_id: tenant, actor_id };
            return Ok(ProfilesAnswer::One(one(call.service, &whose).await?));
        }
        let query = RecordQuery::all::<Profile>("updated_at", limit)
            .newest_first()
            .is("tenant_id", &tenant)
            .behind(cursor);
        Ok(ProfilesAnswer::List(call.service.page(query).await?.into()))
    }
}

impl Operation for GetProfile {
    type Output = OneProfile;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        ProfileOwner::read(&input.id, &input.parameters, &input.parameters).map(Self)
    }

    async fn run(self, call: &Call<'_>) -> Result<OneProfile, OperationError> {
        one(call.service, &self.0).await
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = input.parameters.tenant(TENANT_ID);
    }
}
