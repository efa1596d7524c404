//! `/v1/profiles`: how actors are shown.

use agentcafe_domain::{
    fields::Fields,
    ids::{ActorId, TenantId},
    profile::{ChangeProfile, DeleteProfile, Profile, Whose, WriteProfile},
    record::{Find, OrderPlace},
    refusal::Refusal,
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    input::{Asked, PathId, Sent, Subject},
    paging,
    problem::Problem,
};

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// What a list of profiles is asked for.
pub(crate) struct ProfilesAsked {
    tenant: TenantId,
    actor: Option<ActorId>,
    cursor: Option<OrderPlace>,
    limit: usize,
}

impl ProfilesAsked {
    pub(crate) fn read(query: &Fields) -> Result<Self, Refusal> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::standard),
            actor: query.actor("actorId")?,
            cursor: paging::cursor::<Profile>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }
}

/// One profile.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ProfileFound {
    profile: Profile,
}

/// Many.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProfilesFound {
    profiles: Vec<Profile>,
    count: usize,
    next_cursor: Option<String>,
}

/// One profile, or many.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum ProfilesAnswer {
    One(ProfileFound),
    Many(ProfilesFound),
}

pub(crate) async fn list(asked: Asked) -> Result<Response, Problem> {
    let ProfilesAsked { tenant, actor, cursor, limit } = ProfilesAsked::read(&asked.query)?;
    if let Some(actor_id) = actor {
        return one(&asked, &Whose { tenant_id: tenant, actor_id }).await;
    }
    let find =
        Find::all::<Profile>("updated_at", limit).newest_first().is("tenant_id", &tenant).behind(cursor);
    let (profiles, next_cursor): (Vec<Profile>, _) = paging::page(&asked.app.engine.store, find).await?;
    Ok(answer::found(&ProfilesFound { count: profiles.len(), profiles, next_cursor }))
}

async fn one(asked: &Asked, whose: &Whose) -> Result<Response, Problem> {
    let profile: Option<Profile> = asked.app.engine.store.get(whose.key()).await?;
    Ok(answer::found(&ProfileFound { profile: profile.ok_or_else(|| whose.unknown())? }))
}

pub(crate) async fn by_actor(PathId(id): PathId, asked: Asked) -> Result<Response, Problem> {
    let whose = Whose::read(&id, &asked.query, &asked.query)?;
    one(&asked, &whose).await
}

pub(crate) async fn write(sent: Sent) -> Result<Response, Problem> {
    let command = WriteProfile::read(&sent.body)?;
    let (whose, room) = (command.whose().clone(), command.room_id().cloned());
    let scope = [whose.tenant_id.as_str(), "profiles", whose.actor_id.as_str(), "upsert"];
    let subject = Subject { tenant: &whose.tenant_id, room: room.as_ref(), actor: Some(&whose.actor_id) };
    sent.execute(subject, &scope, command).await
}

pub(crate) async fn change(PathId(id): PathId, sent: Sent) -> Result<Response, Problem> {
    let whose = Whose::read(&id, &sent.query, &sent.body)?;
    let command = ChangeProfile::read(whose.clone(), &sent.body);
    let scope = [whose.tenant_id.as_str(), "profiles", whose.actor_id.as_str(), "PATCH"];
    sent.execute(subject(&whose), &scope, command).await
}

pub(crate) async fn delete(PathId(id): PathId, sent: Sent) -> Result<Response, Problem> {
    let whose = Whose::read(&id, &sent.query, &sent.body)?;
    let command = DeleteProfile { whose: whose.clone() };
    let scope = [whose.tenant_id.as_str(), "profiles", whose.actor_id.as_str(), "DELETE"];
    sent.execute(subject(&whose), &scope, command).await
}

fn subject(whose: &Whose) -> Subject<'_> {
    Subject { tenant: &whose.tenant_id, room: None, actor: Some(&whose.actor_id) }
}
