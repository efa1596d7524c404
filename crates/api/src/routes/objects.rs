//! `/v1/objects`: lists, one shared object, creating and changing it.

use agentcafe_domain::{
    fields::Fields,
    ids::{ActorId, RoomId, TenantId},
    object::{ObjectType, SharedObject, change::ChangeObject, create::CreateObject},
    record::{Find, OrderPlace},
    refusal::Refusal,
    work::{self, Changer},
};
use agentcafe_store::Store;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    answer,
    input::{Asked, PathId, Sent},
    paging,
    problem::Problem,
    readgate,
};

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// What a list of objects is asked for.
pub(crate) struct ObjectsAsked {
    tenant: TenantId,
    room: Option<RoomId>,
    object_type: Option<ObjectType>,
    object_key: Option<String>,
    created_by: Option<ActorId>,
    updated_by: Option<ActorId>,
    viewer: Option<ActorId>,
    cursor: Option<OrderPlace>,
    limit: usize,
}

impl ObjectsAsked {
    pub(crate) fn read(query: &Fields) -> Result<Self, Refusal> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::standard),
            room: query.room("roomId")?,
            object_type: query.choice("objectType", &ObjectType::NAMES)?,
            object_key: query.text("objectKey")?,
            created_by: query.actor("createdBy")?,
            updated_by: query.actor("updatedBy")?,
            viewer: readgate::viewer(query)?,
            cursor: paging::cursor::<SharedObject>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    fn find(self) -> Find {
        Find::all::<SharedObject>("updated_at", self.limit)
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
pub(crate) struct ObjectsFound {
    objects: Vec<SharedObject>,
    count: usize,
    next_cursor: Option<String>,
}

pub(crate) async fn list(asked: Asked) -> Result<Response, Problem> {
    let wanted = ObjectsAsked::read(&asked.query)?;
    let (engine, room, viewer) = (&asked.app.engine, wanted.room.as_ref(), wanted.viewer.as_ref());
    readgate::may_list(engine, &wanted.tenant, room, viewer).await?;
    let (objects, next_cursor): (Vec<SharedObject>, _) = paging::page(&engine.store, wanted.find()).await?;
    Ok(answer::found(&ObjectsFound { count: objects.len(), objects, next_cursor }))
}

/// Whose object is asked for.
pub(crate) struct ObjectAsked {
    tenant: TenantId,
    viewer: Option<ActorId>,
}

impl ObjectAsked {
    pub(crate) fn read(query: &Fields) -> Result<Self, Refusal> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::standard),
            viewer: readgate::viewer(query)?,
        })
    }
}

/// One object.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ObjectFound {
    object: SharedObject,
}

/// The object with this id in this tenant. Objects neither vanish nor move.
async fn find(store: &Store, tenant: &TenantId, id: &str) -> Result<SharedObject, Problem> {
    let object = match Uuid::parse_str(id) {
        Ok(object_id) => store.get::<SharedObject>(SharedObject::key_of(object_id)).await?,
        Err(_) => None,
    };
    let own = object.filter(|object| object.tenant_id == *tenant);
    own.ok_or_else(|| work::not_found(tenant, "objectId", id).into())
}

pub(crate) async fn by_id(PathId(id): PathId, asked: Asked) -> Result<Response, Problem> {
    let ObjectAsked { tenant, viewer } = ObjectAsked::read(&asked.query)?;
    let engine = &asked.app.engine;
    let object = find(&engine.store, &tenant, &id).await?;
    readgate::may_read(engine, &tenant, &object.room_id, viewer.as_ref()).await?;
    Ok(answer::found(&ObjectFound { object }))
}

pub(crate) async fn create(sent: Sent) -> Result<Response, Problem> {
    let command = CreateObject::read(&sent.body)?;
    let actor = command.actor().clone();
    let ids = [actor.tenant_id.as_str(), actor.room_id.as_str(), actor.actor_id.as_str()];
    let scope = [ids[0], ids[1], "objects", "create", ids[2]];
    sent.execute((&actor).into(), &scope, command).await
}

pub(crate) async fn change(PathId(id): PathId, sent: Sent) -> Result<Response, Problem> {
    let changer = Changer::read(&sent.query, &sent.body)?;
    let object = find(&sent.app.engine.store, &changer.tenant_id, &id).await?;
    let object_id = object.object_id.to_string();
    let command = ChangeObject::read(&sent.body, changer, object);
    let actor = command.actor().clone();
    let scope = [actor.tenant_id.as_str(), actor.room_id.as_str(), "objects", &object_id, "patch"];
    sent.execute((&actor).into(), &scope, command).await
}
