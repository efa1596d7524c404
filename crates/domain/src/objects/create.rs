//! Creating a shared object.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{MAX_QUANTITY, ObjectType, SharedObject, SharedObjectCreated, WriteObjectResponse};
use crate::kernel::{
    ActorInRoom, Command, CommandContext, CommandError, DomainError, Field, Fields, METADATA, Query, Reply,
    Success, Timestamp,
};
use crate::tables::plan::Feature;
use crate::work::{self, MAX_CONTENT_CHARS, MAX_TITLE_CHARS, WorkPolicy};

pub(super) const OBJECT_TYPE: Field =
    Field::new("objectType", "What kind of object it is. Default: note.", "whiteboard");
pub(super) const OBJECT_KEY: Field =
    Field::new("objectKey", "The client's own name for the object.", "menu").up_to(MAX_TITLE_CHARS);
pub(super) const TITLE: Field =
    Field::new("title", "The object's title.", "Today's menu").up_to(MAX_TITLE_CHARS);
pub(super) const CONTENT: Field = Field::new("content", "The object's text.", "Flat white, espresso, tea")
    .up_to(MAX_CONTENT_CHARS)
    .in_example();
pub(super) const DATA: Field =
    Field::new("data", "Free data of the object, stored as it is.", r#"{"sold":3}"#);
pub(super) const QUANTITY: Field =
    Field::new("quantity", "How many there are. A token always has a quantity; its default is 0.", "3");

const CREATE: WorkPolicy = WorkPolicy { action: "object_create", feature: Feature::SharedObjects };

/// `POST /v1/objects`: an actor creates a shared object in a room.
pub struct CreateSharedObject {
    actor: ActorInRoom,
    draft: Result<NewSharedObject, DomainError>,
}

/// The fields of the object in the body.
struct NewSharedObject {
    object_type: ObjectType,
    object_key: Option<String>,
    title: Option<String>,
    content: Option<String>,
    data: Map<String, Value>,
    quantity: Option<i64>,
    metadata: Map<String, Value>,
}

impl NewSharedObject {
    fn read(fields: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            object_type: fields.choice(OBJECT_TYPE, &ObjectType::NAMES)?.unwrap_or(ObjectType::Note),
            object_key: fields.filled_text(OBJECT_KEY)?,
            title: fields.filled_text(TITLE)?,
            content: fields.filled_text(CONTENT)?,
            data: fields.object(DATA)?.unwrap_or_default(),
            quantity: fields.bounded(QUANTITY, 0..=MAX_QUANTITY)?,
            metadata: fields.object(METADATA)?.unwrap_or_default(),
        })
    }

    fn object(&self, object_id: Uuid, actor: &ActorInRoom, now: Timestamp) -> SharedObject {
        SharedObject {
            object_id,
            tenant_id: actor.tenant_id.clone(),
            room_id: actor.room_id.clone(),
            object_type: self.object_type,
            object_key: self.object_key.clone(),
            title: self.title.clone(),
            content: self.content.clone(),
            data: self.data.clone(),
            quantity: self.object_type.quantity(self.quantity),
            metadata: self.metadata.clone(),
            version: 1,
            created_by: actor.actor_id.clone(),
            updated_by: actor.actor_id.clone(),
            created_at: now,
            updated_at: now,
        }
    }
}

impl CreateSharedObject {
    /// Reads the body.
    ///
    /// # Errors
    /// A field that identifies the actor is not valid; the command refuses other fields when it is decided.
    pub fn read(fields: &Fields) -> Result<Self, DomainError> {
        Ok(Self { actor: ActorInRoom::read(fields)?, draft: NewSharedObject::read(fields) })
    }

    /// The actor that creates it.
    pub fn actor(&self) -> &ActorInRoom {
        &self.actor
    }
}

impl Command for CreateSharedObject {
    fn reads(&self) -> Vec<Query> {
        work::reads(&self.actor)
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        CREATE.allow(ctx, &self.actor)?;
        let draft = self.draft.as_ref().map_err(Clone::clone)?;
        let object = draft.object(ctx.fresh_id(), &self.actor, ctx.now);
        ctx.append(&self.actor, &SharedObjectCreated { object: object.clone().into() }, None)?;
        ctx.put(&object);
        Ok(WriteObjectResponse::reply(ctx, Success::Created, object))
    }
}
