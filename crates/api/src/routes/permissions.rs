//! `/v1/permissions`: who may do what in a room.

use agentcafe_domain::{
    actor::ActorInRoom,
    fields::Fields,
    grant::{EffectivePermission, Grant},
    ids::{ActorId, RoomId, TenantId},
    policy::Permission,
    record::{Find, OrderPlace},
    refusal::Refusal,
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    input::{Asked, Sent},
    paging,
    problem::Problem,
};

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

pub(crate) async fn grant(sent: Sent) -> Result<Response, Problem> {
    let command = Grant::read(&sent.body)?;
    let actor = command.actor().clone();
    let scope = [actor.tenant_id.as_str(), "permissions", actor.room_id.as_str(), actor.actor_id.as_str()];
    sent.execute((&actor).into(), &scope, command).await
}

/// What a list of permissions is asked for.
pub(crate) struct PermissionsAsked {
    tenant: TenantId,
    room: Option<RoomId>,
    actor: Option<ActorId>,
    cursor: Option<OrderPlace>,
    limit: usize,
}

impl PermissionsAsked {
    pub(crate) fn read(query: &Fields) -> Result<Self, Refusal> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::standard),
            room: query.room("roomId")?,
            actor: query.actor("actorId")?,
            cursor: paging::cursor::<Permission>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }
}

/// What one actor may do in one room.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PermissionFound {
    permission: EffectivePermission,
}

/// What was given to many.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PermissionsFound {
    permissions: Vec<EffectivePermission>,
    count: usize,
    next_cursor: Option<String>,
}

/// One permission, or many.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum PermissionsAnswer {
    One(PermissionFound),
    Many(PermissionsFound),
}

pub(crate) async fn list(asked: Asked) -> Result<Response, Problem> {
    let PermissionsAsked { tenant, room, actor, cursor, limit } = PermissionsAsked::read(&asked.query)?;
    let store = &asked.app.engine.store;
    if let (Some(room_id), Some(actor_id)) = (&room, &actor) {
        let actor = ActorInRoom { tenant_id: tenant, room_id: room_id.clone(), actor_id: actor_id.clone() };
        let given: Option<Permission> = store.get(actor.key()).await?;
        let permission = given.map_or_else(|| EffectivePermission::standard(&actor), Into::into);
        return Ok(answer::found(&PermissionFound { permission }));
    }
    let find = Find::all::<Permission>("updated_at", limit)
        .newest_first()
        .is("tenant_id", &tenant)
        .is_if_given("room_id", room.as_ref())
        .is_if_given("actor_id", actor.as_ref())
        .behind(cursor);
    let (given, next_cursor): (Vec<Permission>, _) = paging::page(store, find).await?;
    let permissions: Vec<EffectivePermission> = given.into_iter().map(Into::into).collect();
    Ok(answer::found(&PermissionsFound { count: permissions.len(), permissions, next_cursor }))
}
