//! `/v1/objects`: lists, one shared object, creating and changing it.

use agentcafe_domain::{
    kernel::{
        error::DomainError,
        fields::Fields,
        ids::{ActorId, RoomId, TenantId},
        record::{RecordQuery, SortKey},
    },
    objects::{ObjectType, SharedObject, change::UpdateSharedObject, create::CreateSharedObject},
    work::{self, Editor},
};
use agentcafe_store::Store;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    answer,
    error::ApiError,
    input::{PathId, ReadRequest, WriteRequest},
    paging, read_access,
};

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// What a list of objects is asked for.
pub(crate) struct ObjectsQuery {
    tenant: TenantId,
    room: Option<RoomId>,
    object_type: Option<ObjectType>,
    object_key: Option<String>,
    created_by: Option<ActorId>,
    updated_by: Option<ActorId>,
    viewer: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

impl ObjectsQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?,
            object_type: query.choice("objectType", &ObjectType::NAMES)?,
            object_key: query.text("objectKey")?,
            created_by: query.actor("createdBy")?,
            updated_by: query.actor("updatedBy")?,
            viewer: read_access::viewer(query)?,
            cursor: paging::cursor::<SharedObject>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    fn find(self) -> RecordQuery {
        RecordQuery::all::<SharedObject>("updated_at", self.limit)
            .newest_first()
            .is("tenant_id", &self.tenant)
            .is_if_given("room_id", self.room.as_ref())
            .is_if_given("object_type", self.object_type.map(ObjectType::as_str))
            .is_if_given("object_key", self.object_key.as_deref())
            .is_if_given("created_by", self.created_by.as_ref())
            .is_if_given("updated_by", self.updated_by.as_ref())
            .behind(self.cursor)
    }
}

/// The answer to a list.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectsResponse {
    objects: Vec<SharedObject>,
    count: usize,
    next_cursor: Option<String>,
}

pub(crate) async fn list(request: ReadRequest) -> Result<Response, ApiError> {
    let wanted = ObjectsQuery::read(&request.query)?;
    let (engine, room, viewer) = (&request.app.engine, wanted.room.as_ref(), wanted.viewer.as_ref());
    read_access::may_list(engine, &wanted.tenant, room, viewer).await?;
    let (objects, next_cursor): (Vec<SharedObject>, _) = paging::page(&engine.store, wanted.find()).await?;
    Ok(answer::found(&ObjectsResponse { count: objects.len(), objects, next_cursor }))
}

/// Whose object is asked for.
pub(crate) struct ObjectQuery {
    tenant: TenantId,
    viewer: Option<ActorId>,
}

impl ObjectQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            viewer: read_access::viewer(query)?,
        })
    }
}

/// One object.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ObjectResponse {
    object: SharedObject,
}

/// The object with this id in this tenant. Objects neither vanish nor move.
async fn find(store: &Store, tenant: &TenantId, id: &str) -> Result<SharedObject, ApiError> {
    let object = match Uuid::parse_str(id) {
        Ok(object_id) => store.get::<SharedObject>(SharedObject::key_of(object_id)).await?,
        Err(_) => None,
    };
    let own = object.filter(|object| object.tenant_id == *tenant);
    own.ok_or_else(|| work::not_found(tenant, "objectId", id).into())
}

pub(crate) async fn by_id(PathId(id): PathId, request: ReadRequest) -> Result<Response, ApiError> {
    let ObjectQuery { tenant, viewer } = ObjectQuery::read(&request.query)?;
    let engine = &request.app.engine;
    let object = find(&engine.store, &tenant, &id).await?;
    read_access::may_read(engine, &tenant, &object.room_id, viewer.as_ref()).await?;
    Ok(answer::found(&ObjectResponse { object }))
}

pub(crate) async fn create(request: WriteRequest) -> Result<Response, ApiError> {
    let command = CreateSharedObject::read(&request.body)?;
    let actor = command.actor().clone();
    let ids = [actor.tenant_id.as_str(), actor.room_id.as_str(), actor.actor_id.as_str()];
    let scope = [ids[0], ids[1], "objects", "create", ids[2]];
    request.execute((&actor).into(), &scope, command).await
}

pub(crate) async fn change(PathId(id): PathId, request: WriteRequest) -> Result<Response, ApiError> {
    let changer = Editor::read(&request.query, &request.body)?;
    let object = find(&request.app.engine.store, &changer.tenant_id, &id).await?;
    let object_id = object.object_id.to_string();
    let command = UpdateSharedObject::read(&request.body, changer, object);
    let actor = command.actor().clone();
    let scope = [actor.tenant_id.as_str(), actor.room_id.as_str(), "objects", &object_id, "patch"];
    request.execute((&actor).into(), &scope, command).await
}
