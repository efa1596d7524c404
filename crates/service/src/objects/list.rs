//! Lists shared objects, the last changed first.

use agentcafe_domain::kernel::{
    ActorId, DomainError, Field, OperationError, ROOM_FILTER, RecordQuery, RoomId, Rules, SortKey, TenantId,
};
use agentcafe_domain::objects::{ObjectType, SharedObject};

use crate::operation::{Call, Input, Operation};
use crate::paging::{self, record_list};
use crate::read_access;

const CREATED_BY: Field = Field::new("createdBy", "Only objects that this actor created.", "Nova");
const OBJECT_KEY: Field = Field::new("objectKey", "Only objects with this objectKey.", "menu");
const OBJECT_TYPE: Field = Field::new("objectType", "Only objects of this type.", "whiteboard");
const UPDATED_BY: Field = Field::new("updatedBy", "Only objects that this actor changed last.", "Kai");

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// Lists shared objects.
pub struct ListObjects {
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

record_list! {
    /// Shared objects, the last changed first.
    ObjectList { objects: SharedObject }
}

impl Operation for ListObjects {
    type Output = ObjectList;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            tenant: fields.tenant_or_default()?,
            room: fields.room(ROOM_FILTER)?,
            object_type: fields.choice(OBJECT_TYPE, &ObjectType::NAMES)?,
            object_key: fields.text(OBJECT_KEY)?,
            created_by: fields.actor(CREATED_BY)?,
            updated_by: fields.actor(UPDATED_BY)?,
            viewer: read_access::viewer(fields)?,
            cursor: paging::cursor::<SharedObject>(fields)?,
            limit: fields.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<ObjectList, OperationError> {
        call.service.may_list(&self.tenant, self.room.as_ref(), self.viewer.as_ref()).await?;
        let query = RecordQuery::all::<SharedObject>("updated_at", self.limit)
            .newest_first()
            .is("tenant_id", &self.tenant)
            .is_if_given("room_id", self.room.as_ref())
            .is_if_given("object_type", self.object_type.map(ObjectType::as_str))
            .is_if_given("object_key", self.object_key.as_deref())
            .is_if_given("created_by", self.created_by.as_ref())
            .is_if_given("updated_by", self.updated_by.as_ref())
            .behind(self.cursor);
        Ok(call.service.page(query).await?.into())
    }
}
