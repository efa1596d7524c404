//! Shared objects: listing, reading, creating and changing.

use agentcafe_domain::kernel::{Field, OperationError};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::objects::create::CreateSharedObject;
use agentcafe_domain::objects::{ObjectType, SharedObject, WriteObjectResponse};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, KeyScope, Operation, ids, mutation, parameters};
use crate::paging::{RoomRecords, record_list};
use crate::work::GetWork;

pub use crate::work::UpdateObject;

const CREATED_BY: Field = Field::new("createdBy", "Only objects that this actor created.", "Nova");
const OBJECT_KEY: Field = Field::new("objectKey", "Only objects with this objectKey.", "menu");
const OBJECT_TYPE: Field = Field::new("objectType", "Only objects of this type.", "whiteboard");
const UPDATED_BY: Field = Field::new("updatedBy", "Only objects that this actor changed last.", "Kai");

record_list! {
    /// Shared objects, the last changed first.
    ObjectList { objects: SharedObject }
}

parameters! {
    /// Lists shared objects, the last changed first.
    ListObjects(fields) {
        list: RoomRecords = RoomRecords::read::<SharedObject>(fields, |all| {
            let object_type = fields.choice(OBJECT_TYPE, &ObjectType::NAMES)?;
            Ok(all
                .is_if_given("object_type", object_type.map(ObjectType::as_str))
                .is_if_given("object_key", fields.text(OBJECT_KEY)?.as_deref())
                .is_if_given("created_by", fields.actor(CREATED_BY)?.as_ref())
                .is_if_given("updated_by", fields.actor(UPDATED_BY)?.as_ref()))
        })?,
    }
}

impl Operation for ListObjects {
    type Output = ObjectList;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<ObjectList, OperationError> {
        Ok(self.list.readable(call).await?.into())
    }
}

/// One shared object.
#[derive(Serialize, JsonSchema)]
pub struct OneObject {
    /// The object.
    object: SharedObject,
}

impl From<SharedObject> for OneObject {
    fn from(object: SharedObject) -> Self {
        Self { object }
    }
}

/// Reads one shared object.
pub type GetObject = GetWork<SharedObject>;

mutation!(
    CreateSharedObject,
    WriteObjectResponse,
    Scope::Work,
    |input, _| Self::read(&input.body),
    |object| {
        let [tenant, room, actor] = ids(object.actor());
        KeyScope::post(object.actor(), [tenant, room, "objects", "create", actor])
    }
);
