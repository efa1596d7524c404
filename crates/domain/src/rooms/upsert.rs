//! Giving a room a record, or changing it: its name, its owner, whether it is private.

use serde_json::{Map, Value};

use super::{Room, RoomCreated, RoomDetails, RoomType, RoomUpdated};
use crate::kernel::{
    ACTOR_ID, ActorId, ActorInRoom, Authority, Code, Command, CommandContext, CommandError, DomainError,
    EmittedEvent, Field, Fields, METADATA, Query, Reply, Success, response,
};
use crate::permissions::{self, Capability};
use crate::rooms::claim;
use crate::tables::payment::{self, PaymentInput, PaymentReceipt};
use crate::tables::{PrivateTableRules, TableSession, access};

/// The longest name of a room, in characters.
pub const MAX_NAME_CHARS: usize = 200;
const ACTION: &str = "room_upsert";
const ROOM_ID: Field = Field::new("roomId", "The room to create or change.", "reading-corner");
const ROOM_TYPE: Field = Field::new(
    "roomType",
    "lobby: open to all; private_table: for its owner and the actors that it invites, after a payment. Default: lobby.",
    "private_table",
)
.in_example();
const OWNER_ACTOR_ID: Field = Field::new("ownerActorId", "The actor that owns the room.", "Nova").of_caller();
const DISPLAY_NAME: Field =
    Field::new("displayName", "The room's name, for people.", "The reading corner").up_to(MAX_NAME_CHARS);

/// `POST /v1/rooms`: creates or changes the record of a room. A field that is not sent keeps its value.
pub struct UpsertRoom {
    actor: ActorInRoom,
    room_type: Option<RoomType>,
    owner_actor_id: Option<ActorId>,
    display_name: Option<Option<String>>,
    metadata: Option<Map<String, Value>>,
    offer: PaymentInput,
    authority: Authority,
}

response! {
    /// The answer to an [`UpsertRoom`].
    UpsertRoomResponse + emitted_events {
        /// The room as it is now.
        room: Room,
        /// Whether the room had no record before.
        created: bool,
        /// The payment; null if there was none.
        payment: Option<PaymentReceipt>,
    }
}

impl UpsertRoom {
    /// Reads the body.
    ///
    /// # Errors
    /// The first field that is not valid, in the order in which they are read.
    pub fn read(fields: &Fields) -> Result<Self, DomainError> {
        let tenant_id = fields.tenant_or_default()?;
        let room_id = fields.required_room(ROOM_ID)?;
        let actor_id = fields.required_actor(ACTOR_ID)?;
        let room_type = fields.choice(ROOM_TYPE, &RoomType::NAMES)?;
        let owner_actor_id = fields.actor(OWNER_ACTOR_ID)?;
        let name = fields.trimmed_text(DISPLAY_NAME)?;
        Ok(Self {
            actor: ActorInRoom { tenant_id, room_id, actor_id },
            room_type,
            owner_actor_id,
            display_name: fields.has(DISPLAY_NAME.name).then_some(name),
            metadata: fields.object(METADATA)?,
            offer: PaymentInput::read(fields)?,
            authority: fields.authority(),
        })
    }

    /// The requester, and the room.
    pub fn actor(&self) -> &ActorInRoom {
        &self.actor
    }

    /// The room as it will be.
    fn wanted(&self, existing: Option<&Room>, ctx: &CommandContext<'_>) -> Room {
        let ActorInRoom { tenant_id, room_id, actor_id } = &self.actor;
        let fresh = Room {
            owner_actor_id: Some(actor_id.clone()),
            created_at: Some(ctx.now),
            ..Room::without_record(tenant_id.clone(), room_id.clone())
        };
        let before = existing.cloned().unwrap_or(fresh);
        Room {
            room_type: self.room_type.unwrap_or(before.room_type),
            owner_actor_id: self.owner_actor_id.clone().or(before.owner_actor_id),
            display_name: self.display_name.clone().unwrap_or(before.display_name),
            metadata: self.metadata.clone().unwrap_or(before.metadata),
            updated_at: Some(ctx.now),
            ..before
        }
    }

    /// Checks that the owner or a moderator of the room changes it, and that only the owner transfers it or opens it to all.
    fn may_change(&self, ctx: &CommandContext<'_>, before: &Room, wanted: &Room) -> Result<(), CommandError> {
        let owner = before.owner_actor_id.as_ref();
        let is_owner = owner.is_none_or(|owner| *owner == self.actor.actor_id);
        if !is_owner {
            permissions::require(ctx, &self.actor, Capability::Moderate, ACTION)?;
        }
        let forbidden = |message: &str| {
            self.actor.describe(DomainError::new(Code::Forbidden).saying(message)).with("action", ACTION)
        };
        if !is_owner && owner != wanted.owner_actor_id.as_ref() {
            return Err(forbidden("only its owner gives a room away").into());
        }
        if before.room_type == RoomType::PrivateTable && wanted.room_type == RoomType::Lobby {
            let session = access::active_session(&self.actor.tenant_id, &self.actor.room_id);
            let session = ctx.find::<TableSession>(session)?.pop();
            if let Some(session) = session.filter(|session| session.expires_at > ctx.now) {
                return Err(forbidden("the private table has an active session")
                    .with("sessionId", session.session_id.to_string())
                    .into());
            }
            if !is_owner {
                return Err(forbidden("only its owner opens a private table to all").into());
            }
        }
        Ok(())
    }

    fn upsert(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let existing: Option<Room> = ctx.get(self.actor.room_key())?;
        if existing.as_ref().is_none_or(|room| room.owner_actor_id.is_none()) {
            claim::check(ctx, self.authority, &self.actor, ACTION)?;
        }
        let room = self.wanted(existing.as_ref(), ctx);
        if let Some(before) = &existing {
            self.may_change(ctx, before, &room)?;
        }
        permissions::not_overridden(ctx, &self.actor, ACTION)?;
        let was_private = existing.as_ref().is_some_and(|before| before.room_type == RoomType::PrivateTable);
        let paid = if room.room_type == RoomType::PrivateTable && !was_private {
            let amount = self.offer.amount(ctx.rules.get::<PrivateTableRules>().price)?;
            let payer = self.actor.with_actor(room.owner_actor_id.as_ref().unwrap_or(&self.actor.actor_id));
            Some(payment::settle(ctx, &payer, &self.offer, amount)?)
        } else {
            None
        };
        ctx.put(&room);
        let created = existing.is_none();
        announce(ctx, &self.actor, &room, created)?;
        let success = if created { Success::Created } else { Success::Ok };
        Ok(UpsertRoomResponse::reply(ctx, success, room, created, paid))
    }
}

/// Appends the event of a room that got a record, or whose record changed.
///
/// # Errors
/// None: the event notifies no inbox.
pub(crate) fn announce(
    ctx: &mut CommandContext<'_>,
    actor: &ActorInRoom,
    room: &Room,
    created: bool,
) -> Result<EmittedEvent, CommandError> {
    let room = RoomDetails {
        room_id: room.room_id.clone(),
        room_type: room.room_type.as_str().to_owned(),
        display_name: room.display_name.clone(),
        owner_actor_id: room.owner_actor_id.clone(),
        metadata: room.metadata.clone(),
    };
    if created {
        ctx.append(actor, &RoomCreated { room }, None)
    } else {
        ctx.append(actor, &RoomUpdated { room }, None)
    }
}

impl Command for UpsertRoom {
    fn reads(&self) -> Vec<Query> {
        permissions::reads(&self.actor).into_iter().chain([access::read(&self.actor)]).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        payment::recording_charge(ctx, |ctx| self.upsert(ctx))
    }
}
