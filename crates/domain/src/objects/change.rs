//! Changing a shared object.

use serde_json::{Map, Value};

use super::create::{CONTENT, DATA, OBJECT_KEY, OBJECT_TYPE, QUANTITY, TITLE};
use super::{MAX_QUANTITY, ObjectType, SharedObject, SharedObjectUpdated, WriteObjectResponse};
use crate::kernel::{
    ActorId, ActorInRoom, Code, Command, CommandContext, CommandError, DomainError, Field, Fields, METADATA,
    Query, Reply, Success, Timestamp,
};
use crate::tables::plan::Feature;
use crate::work::{self, Editor, WorkPolicy};

const UPDATE: WorkPolicy = WorkPolicy { action: "object_update", feature: Feature::SharedObjects };

/// What can be changed, in the order of the documentation.
const CHANGEABLE: [Field; 7] = [OBJECT_TYPE, OBJECT_KEY, TITLE, CONTENT, DATA, QUANTITY, METADATA];
const EXPECTED_VERSION: Field = Field::new(
    "expectedVersion",
    "Change the object only if this is still its version; else ERR_CONFLICT.",
    "1",
);

/// `PATCH /v1/objects/{objectId}`: an actor changes what it names.
pub struct UpdateSharedObject {
    actor: ActorInRoom,
    object: SharedObject,
    patch: Result<ObjectPatch, DomainError>,
}

/// The fields that the body names.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ObjectPatch {
    /// The version that the sender expects (optimistic concurrency); none: any.
    expected_version: Option<i64>,
    object_type: Option<ObjectType>,
    object_key: Option<Option<String>>,
    title: Option<Option<String>>,
    content: Option<Option<String>>,
    data: Option<Map<String, Value>>,
    quantity: Option<Option<i64>>,
    metadata: Option<Map<String, Value>>,
}

impl ObjectPatch {
    pub(super) fn read(fields: &Fields) -> Result<Self, DomainError> {
        if CHANGEABLE.iter().all(|field| !fields.has(field.name)) {
            return Err(work::names_nothing(&CHANGEABLE));
        }
        let text = |field| work::named(fields, field, Fields::filled_text);
        let object =
            |field| work::named(fields, field, |fields, field| Ok(fields.object(field)?.unwrap_or_default()));
        Ok(Self {
            object_type: fields.changed_choice(OBJECT_TYPE, &ObjectType::NAMES)?,
            object_key: text(OBJECT_KEY)?,
            title: text(TITLE)?,
            content: text(CONTENT)?,
            data: object(DATA)?,
            quantity: work::named(fields, QUANTITY, |fields, field| fields.bounded(field, 0..=MAX_QUANTITY))?,
            metadata: object(METADATA)?,
            // No object has version 0: what is below 1 is held there, and expects in vain.
            expected_version: fields.integer(EXPECTED_VERSION, 0..=i64::MAX)?,
        })
    }

    /// The object as the patch leaves it, and which of its fields were named or followed from what was named.
    pub(super) fn apply(
        &self,
        before: &SharedObject,
        by: &ActorId,
        now: Timestamp,
    ) -> (SharedObject, Vec<&'static str>) {
        let mut object = SharedObject {
            version: before.version + 1,
            updated_by: by.clone(),
            updated_at: now,
            ..before.clone()
        };
        work::set(&mut object.object_type, &self.object_type);
        work::set(&mut object.object_key, &self.object_key);
        work::set(&mut object.title, &self.title);
        work::set(&mut object.content, &self.content);
        work::set(&mut object.data, &self.data);
        work::set(&mut object.metadata, &self.metadata);
        object.quantity = object.object_type.quantity(self.quantity.unwrap_or(before.quantity));
        let is_named = [
            self.object_type.is_some(),
            self.object_key.is_some(),
            self.title.is_some(),
            self.content.is_some(),
            self.data.is_some(),
            self.quantity.is_some(),
            self.metadata.is_some(),
        ];
        let named = CHANGEABLE.into_iter().zip(is_named).filter(|(_, is_named)| *is_named);
        let counted = self.quantity.is_none() && object.quantity != before.quantity;
        (object, named.map(|(field, _)| field.name).chain(counted.then_some(QUANTITY.name)).collect())
    }

    /// Refuses to change another version than the expected one.
    fn check(&self, object: &SharedObject) -> Result<(), DomainError> {
        match self.expected_version {
            Some(expected) if expected.unsigned_abs() != object.version => {
                Err(DomainError::new(Code::Conflict)
                    .saying("the object has been changed")
                    .with("tenantId", object.tenant_id.as_str())
                    .with("objectId", object.object_id.to_string())
                    .with("expectedVersion", expected)
                    .with("version", object.version))
            }
            _ => Ok(()),
        }
    }
}

impl UpdateSharedObject {
    /// Reads the object's fields from the body. The object is in the editor's tenant.
    pub fn read(fields: &Fields, editor: Editor, object: SharedObject) -> Self {
        Self { actor: editor.in_room(&object.room_id), object, patch: ObjectPatch::read(fields) }
    }

    /// Names the fields of the body.
    pub fn describe(fields: &Fields) {
        let _ = Editor::read(fields, fields);
        let _ = ObjectPatch::read(fields);
    }

    /// The actor that changes it, in the object's room.
    pub fn actor(&self) -> &ActorInRoom {
        &self.actor
    }
}

impl Command for UpdateSharedObject {
    fn reads(&self) -> Vec<Query> {
        let object = Query::one::<SharedObject>(SharedObject::key_of(self.object.object_id));
        work::reads(&self.actor).into_iter().chain([object]).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        UPDATE.allow(ctx, &self.actor)?;
        let patch = self.patch.as_ref().map_err(Clone::clone)?;
        let (tenant, id) = (&self.object.tenant_id, self.object.object_id);
        let before: Option<SharedObject> = ctx.get(SharedObject::key_of(id))?;
        let before = before.ok_or_else(|| work::not_found(tenant, "objectId", &id.to_string()))?;
        patch.check(&before)?;
        let (object, changed) = patch.apply(&before, &self.actor.actor_id, ctx.now);
        let changed_fields = changed.into_iter().map(str::to_owned).collect();
        let updated = SharedObjectUpdated { object: object.clone().into(), changed_fields };
        ctx.append(&self.actor, &updated, None)?;
        ctx.put(&object);
        Ok(WriteObjectResponse::reply(ctx, Success::Ok, object))
    }
}
