//! Opening a private table: buying a plan for a room, for a while.

use serde_json::{Map, Value};

use super::{
    INVITED_ACTOR_IDS, PrivateTableRules, SessionStatus, TableSession, TableSessionCreated, end, guests,
};
use crate::kernel::{
    ACTOR_ID, ActorId, ActorInRoom, Authority, Code, Command, CommandContext, CommandError, DomainError,
    EmittedEvent, Field, Fields, METADATA, Query, Reply, RoomId, Rules, Success, TenantId, Timestamp, Usd,
    response,
};
use crate::permissions;
use crate::rooms::claim;
use crate::rooms::upsert::{self, MAX_NAME_CHARS};
use crate::rooms::{Room, RoomType};
use crate::tables::access;
use crate::tables::payment::{self, PaymentInput};
use crate::tables::plan::Plan;

const ACTION: &str = "table_session_create";
const PLAN_ID: Field = Field::new("planId", "The plan to buy; /healthz lists them.", "espresso");
const OWNER_ACTOR_ID: Field =
    Field::new("ownerActorId", "The actor that owns the session. Default: actorId.", "Nova").of_caller();
const ROOM_ID: Field =
    Field::new("roomId", "The room that becomes private. Default: a new room.", "table-for-two").in_example();
const DISPLAY_NAME: Field =
    Field::new("displayName", "The name of a new room, for people.", "A table for two").up_to(MAX_NAME_CHARS);
const STARTED_AT: Field =
    Field::new("startedAt", "When the session starts. Default: now.", "2026-01-01T00:00:00.000Z");
const EXPIRES_AT: Field = Field::new(
    "expiresAt",
    "When the session ends. Default, and latest: as long after its start as the plan lasts.",
    "2026-01-01T02:00:00.000Z",
);
/// How many characters of an id name a room that the client does not name.
const ROOM_NAME_CHARS: usize = 8;

/// `POST /v1/table-sessions`: buys a plan for a room that is private, or becomes private.
pub struct CreateTableSession {
    tenant_id: TenantId,
    actor_id: ActorId,
    plan: Plan,
    owner_actor_id: ActorId,
    room_id: Option<RoomId>,
    display_name: Option<String>,
    invited_actor_ids: Vec<ActorId>,
    metadata: Map<String, Value>,
    offer: PaymentInput,
    amount: Usd,
    started_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    authority: Authority,
}

response! {
    /// The answer to an [`CreateTableSession`].
    CreateTableSessionResponse {
        /// The room as it is now.
        room: Room,
        /// The session that was bought.
        session: TableSession,
        /// Every event of this request, in order.
        emitted_events: Vec<EmittedEvent>,
    }
}

/// Reads the plan that is to be bought.
fn read_plan(fields: &Fields, rules: &Rules) -> Result<Plan, DomainError> {
    let plans = &rules.get::<PrivateTableRules>().plans;
    let id = fields.required_text(PLAN_ID)?;
    if fields.is_describing() {
        return Ok(plans.standard().clone());
    }
    plans.find(&id).cloned().ok_or_else(|| {
        DomainError::new(Code::InvalidEnum)
            .saying(format!("there is no such plan; the plans are: {}", plans.ids()))
            .with("field", PLAN_ID.name)
            .with("value", id)
            .with("allowed", plans.ids())
    })
}

impl CreateTableSession {
    /// Reads the body.
    ///
    /// # Errors
    /// The first field that is not valid, in the order in which they are read.
    pub fn read(fields: &Fields, rules: &Rules) -> Result<Self, DomainError> {
        let tenant_id = fields.tenant_or_default()?;
        let actor_id = fields.required_actor(ACTOR_ID)?;
        let plan = read_plan(fields, rules)?;
        let owner_actor_id = fields.actor(OWNER_ACTOR_ID)?.unwrap_or_else(|| actor_id.clone());
        let room_id = fields.room(ROOM_ID)?;
        let name = fields.trimmed_text(DISPLAY_NAME)?;
        let invited = fields.actors(INVITED_ACTOR_IDS)?.unwrap_or_default();
        let invited_actor_ids = guests(invited, &owner_actor_id, plan.max_agents)?;
        let metadata = fields.object(METADATA)?.unwrap_or_default();
        let offer = PaymentInput::read(fields)?;
        let amount = offer.amount(plan.price).map_err(|error| error.with("planId", plan.plan_id.as_str()))?;
        Ok(Self {
            tenant_id,
            actor_id,
            owner_actor_id,
            room_id,
            display_name: name,
            invited_actor_ids,
            metadata,
            offer,
            amount,
            authority: fields.authority(),
            started_at: fields.timestamp(STARTED_AT)?,
            expires_at: fields.timestamp(EXPIRES_AT)?,
            plan,
        })
    }

    /// The tenant, the requester, the owner of the session, and the room, if one is named.
    pub fn subject(&self) -> (&TenantId, &ActorId, &ActorId, Option<&RoomId>) {
        (&self.tenant_id, &self.actor_id, &self.owner_actor_id, self.room_id.as_ref())
    }

    /// The start and the end of the session.
    fn span(&self, now: Timestamp) -> Result<(Timestamp, Timestamp), DomainError> {
        let started_at = self.started_at.unwrap_or(now);
        let latest = started_at.plus_ms(self.plan.duration_ms());
        let expires_at = self.expires_at.unwrap_or(latest);
        let earliest = started_at.max(now);
        if expires_at > earliest && expires_at <= latest {
            return Ok((started_at, expires_at));
        }
        let message =
            "a session ends after it starts and after now, at most the plan's duration after its start";
        Err(DomainError::out_of_bounds(EXPIRES_AT.name, message, expires_at.to_string())
            .with("min", earliest.to_string())
            .with("max", latest.to_string()))
    }

    /// The room that the session is for: the one that is named, or one with a fresh name.
    fn room_id(&self, ctx: &mut CommandContext<'_>) -> Result<RoomId, CommandError> {
        if let Some(room) = &self.room_id {
            return Ok(room.clone());
        }
        // The end of the id is random, its beginning is the time. An external call must not change it: it comes from the request.
        let id = payment::purchase(ctx)?.unwrap_or_else(|| ctx.fresh_id()).simple().to_string();
        let name = format!("private-{}", &id[id.len() - ROOM_NAME_CHARS..]);
        RoomId::parse(&name).map_err(|why| DomainError::invalid("roomId", why.to_string()).into())
    }

    /// The room, if it may have a session: it is new, or has no other owner, is not paused, and private.
    fn room_for(&self, ctx: &CommandContext<'_>, actor: &ActorInRoom) -> Result<Option<Room>, CommandError> {
        let room = ctx.get::<Room>(actor.room_key())?;
        let owner = room.as_ref().and_then(|room| room.owner_actor_id.as_ref());
        if owner.is_none() {
            claim::check(ctx, self.authority, actor, ACTION)?;
        }
        if owner.is_some_and(|owner| *owner != actor.actor_id) {
            let error = DomainError::new(Code::Forbidden).saying("the room belongs to somebody else");
            return Err(actor.describe(error).with("action", ACTION).into());
        }
        permissions::not_overridden(ctx, actor, ACTION)?;
        match room {
            Some(room) if room.room_type != RoomType::PrivateTable => Err(DomainError::new(Code::Validation)
                .saying("the room is no private table; POST /v1/rooms makes it one")
                .with("tenantId", actor.tenant_id.as_str())
                .with("roomId", actor.room_id.as_str())
                .with("roomType", room.room_type.as_str())
                .into()),
            room => Ok(room),
        }
    }

    /// Ends the room's session if it has expired and no sweep has ended it yet.
    fn end_expired_session(ctx: &mut CommandContext<'_>, actor: &ActorInRoom) -> Result<(), CommandError> {
        let find = access::active_session(&actor.tenant_id, &actor.room_id);
        let Some(session) = ctx.find::<TableSession>(find)?.pop() else { return Ok(()) };
        if session.expires_at <= ctx.now {
            return end::expire(ctx, session);
        }
        Err(DomainError::new(Code::Validation)
            .saying("the room has an active session; it must end first")
            .with("field", "roomId")
            .with("roomId", actor.room_id.as_str())
            .with("sessionId", session.session_id.to_string())
            .into())
    }

    fn open(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let (started_at, expires_at) = self.span(ctx.now)?;
        let actor = ActorInRoom::new(&self.tenant_id, &self.room_id(ctx)?, &self.actor_id);
        let existing = self.room_for(ctx, &actor)?;
        if existing.is_some() {
            Self::end_expired_session(ctx, &actor)?;
        }
        let payer = actor.with_actor(&self.owner_actor_id);
        let paid = payment::settle(ctx, &payer, &self.offer, self.amount)?;
        let before = ctx.effects.events.len();
        let (room, announced) = self.create_or_update_room(ctx, &actor, existing)?;
        let session = TableSession {
            session_id: ctx.fresh_id(),
            tenant_id: actor.tenant_id.clone(),
            room_id: actor.room_id.clone(),
            owner_actor_id: self.owner_actor_id.clone(),
            plan_id: self.plan.plan_id.clone(),
            max_agents: self.plan.max_agents,
            features: self.plan.features.clone(),
            invited_actor_ids: self.invited_actor_ids.clone(),
            status: SessionStatus::Active,
            started_at,
            expires_at,
            ended_at: None,
            payment_ref: paid.reference,
            payment_amount_usd: paid.amount_usd,
            payment_provider: paid.provider,
            metadata: self.metadata.clone(),
            created_at: ctx.now,
            updated_at: ctx.now,
        };
        ctx.put(&session);
        ctx.append(&actor, &created(&session), announced.map(|event| event.cause()).as_deref())?;
        let emitted_events = ctx.emitted().split_off(before);
        Ok(CreateTableSessionResponse::reply(ctx, Success::Created, room, session, emitted_events))
    }

    /// Creates the room, or updates its record; answers the event of that.
    fn create_or_update_room(
        &self,
        ctx: &mut CommandContext<'_>,
        actor: &ActorInRoom,
        existing: Option<Room>,
    ) -> Result<(Room, Option<EmittedEvent>), CommandError> {
        let created = existing.is_none();
        let before = existing.unwrap_or_else(|| Room {
            room_type: RoomType::PrivateTable,
            created_at: Some(ctx.now),
            ..Room::without_record(actor.tenant_id.clone(), actor.room_id.clone())
        });
        let room = Room {
            owner_actor_id: Some(self.owner_actor_id.clone()),
            display_name: self.display_name.clone().or_else(|| before.display_name.clone()),
            ..before.clone()
        };
        if !created && room == before {
            return Ok((room, None));
        }
        let room = Room { updated_at: Some(ctx.now), ..room };
        ctx.put(&room);
        let announced = upsert::announce(ctx, actor, &room, created)?;
        Ok((room, Some(announced)))
    }
}

fn created(session: &TableSession) -> TableSessionCreated {
    TableSessionCreated {
        session_id: session.session_id,
        room_id: session.room_id.clone(),
        owner_actor_id: session.owner_actor_id.clone(),
        plan_id: session.plan_id.clone(),
        invited_actor_ids: session.invited_actor_ids.clone(),
        status: session.status.as_str().to_owned(),
        started_at: session.started_at,
        expires_at: Some(session.expires_at),
        metadata: session.metadata.clone(),
    }
}

impl Command for CreateTableSession {
    fn reads(&self) -> Vec<Query> {
        let Some(room_id) = &self.room_id else { return Vec::new() };
        let actor = ActorInRoom::new(&self.tenant_id, room_id, &self.actor_id);
        let session = Query::Many(access::active_session(&actor.tenant_id, &actor.room_id));
        permissions::reads(&actor).into_iter().chain([access::read(&actor), session]).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        payment::recording_charge(ctx, |ctx| self.open(ctx))
    }
}
