//! `/v1/profiles`: how actors are shown.

use agentcafe_domain::{
    kernel::{
        error::DomainError,
        fields::Fields,
        ids::{ActorId, TenantId},
        record::{RecordQuery, SortKey},
    },
    profiles::{DeleteProfile, Profile, ProfileOwner, UpdateProfile, UpsertProfile},
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    error::ApiError,
    input::{PathId, ReadRequest, Subject, WriteRequest},
    paging,
};

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// What a list of profiles is asked for.
pub(crate) struct ProfilesQuery {
    tenant: TenantId,
    actor: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

impl ProfilesQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            actor: query.actor("actorId")?,
            cursor: paging::cursor::<Profile>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }
}

/// One profile.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ProfileResponse {
    profile: Profile,
}

/// Many.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProfilesResponse {
    profiles: Vec<Profile>,
    count: usize,
    next_cursor: Option<String>,
}

/// One profile, or many.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum ProfilesAnswer {
    One(ProfileResponse),
    Many(ProfilesResponse),
}

pub(crate) async fn list(request: ReadRequest) -> Result<Response, ApiError> {
    let ProfilesQuery { tenant, actor, cursor, limit } = ProfilesQuery::read(&request.query)?;
    if let Some(actor_id) = actor {
        return one(&request, &ProfileOwner { tenant_id: tenant, actor_id }).await;
    }
    let find = RecordQuery::all::<Profile>("updated_at", limit)
        .newest_first()
        .is("tenant_id", &tenant)
        .behind(cursor);
    let (profiles, next_cursor): (Vec<Profile>, _) = paging::page(&request.app.engine.store, find).await?;
    Ok(answer::found(&ProfilesResponse { count: profiles.len(), profiles, next_cursor }))
}

async fn one(request: &ReadRequest, whose: &ProfileOwner) -> Result<Response, ApiError> {
    let profile: Option<Profile> = request.app.engine.store.get(whose.key()).await?;
    Ok(answer::found(&ProfileResponse { profile: profile.ok_or_else(|| whose.unknown())? }))
}

pub(crate) async fn by_actor(PathId(id): PathId, request: ReadRequest) -> Result<Response, ApiError> {
    let whose = ProfileOwner::read(&id, &request.query, &request.query)?;
    one(&request, &whose).await
}

pub(crate) async fn write(request: WriteRequest) -> Result<Response, ApiError> {
    let command = UpsertProfile::read(&request.body)?;
    let (whose, room) = (command.whose().clone(), command.room_id().cloned());
    let scope = [whose.tenant_id.as_str(), "profiles", whose.actor_id.as_str(), "upsert"];
    let subject = Subject { tenant: &whose.tenant_id, room: room.as_ref(), actor: Some(&whose.actor_id) };
    request.execute(subject, &scope, command).await
}

pub(crate) async fn change(PathId(id): PathId, request: WriteRequest) -> Result<Response, ApiError> {
    let whose = ProfileOwner::read(&id, &request.query, &request.body)?;
    let command = UpdateProfile::read(whose.clone(), &request.body);
    let scope = [whose.tenant_id.as_str(), "profiles", whose.actor_id.as_str(), "PATCH"];
    request.execute(subject(&whose), &scope, command).await
}

pub(crate) async fn delete(PathId(id): PathId, request: WriteRequest) -> Result<Response, ApiError> {
    let whose = ProfileOwner::read(&id, &request.query, &request.body)?;
    let command = DeleteProfile { whose: whose.clone() };
    let scope = [whose.tenant_id.as_str(), "profiles", whose.actor_id.as_str(), "DELETE"];
    request.execute(subject(&whose), &scope, command).await
}

fn subject(whose: &ProfileOwner) -> Subject<'_> {
    Subject { tenant: &whose.tenant_id, room: None, actor: Some(&whose.actor_id) }
}
