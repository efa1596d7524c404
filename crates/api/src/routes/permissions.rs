//! `/v1/permissions`: who may do what in a room.

use agentcafe_domain::{
    kernel::{
        actor::ActorInRoom,
        error::DomainError,
        fields::Fields,
        ids::{ActorId, RoomId, TenantId},
        record::{RecordQuery, SortKey},
    },
    permissions::{
        Permission,
        grant::{EffectivePermission, GrantPermission},
    },
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    error::ApiError,
    input::{ReadRequest, WriteRequest},
    paging,
};

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

pub(crate) async fn grant(request: WriteRequest) -> Result<Response, ApiError> {
    let command = GrantPermission::read(&request.body)?;
    let actor = command.actor().clone();
    let scope = [actor.tenant_id.as_str(), "permissions", actor.room_id.as_str(), actor.actor_id.as_str()];
    request.execute((&actor).into(), &scope, command).await
}

/// What a list of permissions is asked for.
pub(crate) struct PermissionsQuery {
    tenant: TenantId,
    room: Option<RoomId>,
    actor: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

impl PermissionsQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?,
            actor: query.actor("actorId")?,
            cursor: paging::cursor::<Permission>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }
}

/// What one actor may do in one room.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PermissionResponse {
    permission: EffectivePermission,
}

/// What was given to many.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PermissionsResponse {
    permissions: Vec<EffectivePermission>,
    count: usize,
    next_cursor: Option<String>,
}

/// One permission, or many.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum PermissionsAnswer {
    One(PermissionResponse),
    Many(PermissionsResponse),
}

pub(crate) async fn list(request: ReadRequest) -> Result<Response, ApiError> {
    let PermissionsQuery { tenant, room, actor, cursor, limit } = PermissionsQuery::read(&request.query)?;
    let store = &request.app.engine.store;
    if let (Some(room_id), Some(actor_id)) = (&room, &actor) {
        let actor = ActorInRoom { tenant_id: tenant, room_id: room_id.clone(), actor_id: actor_id.clone() };
        let given: Option<Permission> = store.get(actor.key()).await?;
        let permission = given.map_or_else(|| EffectivePermission::standard(&actor), Into::into);
        return Ok(answer::found(&PermissionResponse { permission }));
    }
    let find = RecordQuery::all::<Permission>("updated_at", limit)
        .newest_first()
        .is("tenant_id", &tenant)
        .is_if_given("room_id", room.as_ref())
        .is_if_given("actor_id", actor.as_ref())
        .behind(cursor);
    let (given, next_cursor): (Vec<Permission>, _) = paging::page(store, find).await?;
    let permissions: Vec<EffectivePermission> = given.into_iter().map(Into::into).collect();
    Ok(answer::found(&PermissionsResponse { count: permissions.len(), permissions, next_cursor }))
}
