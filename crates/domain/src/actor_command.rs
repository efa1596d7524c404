//! What the commands of actors have in common: the actor, the checks, and the effect on presence.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::actors;
use crate::kernel::{
    ACTOR_ID, ActionSource, ActorId, ActorInRoom, Command, CommandContext, CommandError, CorrelationId,
    DomainError, EmittedEvent, EventType, Fields, GuardedAction, Query, Reply, RoomId, Rules, Sequence,
    StepCode, Success, TenantId,
};
use crate::permissions::{self, Capability};
use crate::presence::{self, ChangeReason, Presence, PresenceRules, Status};
use crate::tables::access::{self, AccessRequirement};
use crate::tables::plan::Feature;

/// What one command of an actor does, beside what all of them do.
pub trait Action: Sized + Send + Sync {
    /// Its name in responses, access checks, overrides and moderation.
    const LABEL: &'static str;
    /// The last part of the scopes of its idempotency keys. Stored keys are hashes of it: it never changes, whatever the action
    /// or its route is called.
    const KEY_SCOPE: &'static str;
    /// What the actor must be permitted to do.
    const CAPABILITY: Capability;
    /// What it does to the actor's presence.
    const PRESENCE_EFFECT: PresenceEffect;
    /// Whether it is possible without access to the table and in spite of moderation: leaving always is.
    const IS_ALWAYS_ALLOWED: bool = false;
    /// What a private table's plan must include for it.
    const FEATURE: Option<Feature> = None;

    /// Reads the fields of the body beside those of the actor.
    ///
    /// # Errors
    /// The first field that is not valid.
    fn read(fields: &Fields, rules: &Rules) -> Result<Self, DomainError>;

    /// What is said, if it is speech: the same for what counts as repeated.
    fn said(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// What it reads beside what every command of an agent reads.
    fn reads(&self, _actor: &ActorInRoom) -> Vec<Query> {
        Vec::new()
    }

    /// Whom it mentions, if it is speech.
    ///
    /// # Errors
    /// As [`Action::perform`].
    fn mentions(
        &self,
        _actor: &ActorInRoom,
        _ctx: &CommandContext<'_>,
    ) -> Result<Option<MentionReport>, CommandError> {
        Ok(None)
    }

    /// Does it. Answers its primary event, after which others may have been appended.
    ///
    /// # Errors
    /// [`CommandError::Load`] what [`Action::reads`] does not name.
    fn perform(
        &self,
        actor: &ActorInRoom,
        ctx: &mut CommandContext<'_>,
    ) -> Result<EmittedEvent, CommandError>;
}

/// A command of an actor.
#[derive(Clone, Debug)]
pub struct ActorCommand<A> {
    actor: ActorInRoom,
    /// The action, or why the body is invalid; checked after the rights of the actor.
    action: Result<A, DomainError>,
}

/// The effect of an action on the actor's presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresenceEffect {
    /// It entered.
    Entered,
    /// It is busy.
    Busy,
    /// It left.
    Left,
}

/// Whether an actor that a message mentions is there to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AddresseeState {
    /// It is in the room, and at work.
    Present,
    /// It is in the room with the status idle: it waits until something wakes it.
    Waiting,
    /// It is not in the room.
    Away,
}

/// An actor that a message mentions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Addressee {
    /// The actor.
    pub actor_id: ActorId,
    /// Whether it is there to read the message.
    pub state: AddresseeState,
}

/// Whom a message mentions.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MentionReport {
    /// The actors that the message mentions, and whether they are there to read it.
    pub addressees: Vec<Addressee>,
    /// The names in the message that no actor has who was ever in the tenant: they get no inbox item.
    pub unresolved_mentions: Vec<ActorId>,
}

/// The answer to an agent's command.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandAccepted {
    /// Always true: the command took effect.
    accepted: bool,
    /// What was done.
    action: &'static str,
    /// The id of the main event.
    event_id: uuid::Uuid,
    /// The sequence of the main event.
    sequence: Sequence,
    correlation_id: CorrelationId,
    /// The type of the main event.
    event_type: EventType,
    /// Every event of this request, in order.
    emitted_events: Vec<EmittedEvent>,
    /// The presence of the actor.
    presence: Option<Presence>,
    /// Of a message, whom it mentions.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    mentions: Option<MentionReport>,
    actor_id: ActorId,
    room_id: RoomId,
    tenant_id: TenantId,
}

impl<A: Action> ActorCommand<A> {
    /// Reads the body.
    ///
    /// # Errors
    /// A field that identifies the actor is not valid; the command refuses other fields when it is decided.
    pub fn read(fields: &Fields, rules: &Rules) -> Result<Self, DomainError> {
        Ok(Self { actor: ActorInRoom::read(fields)?, action: A::read(fields, rules) })
    }

    /// The actor.
    pub fn actor(&self) -> &ActorInRoom {
        &self.actor
    }

    /// Updates the actor's presence, because of `primary`.
    fn update_presence(
        &self,
        ctx: &mut CommandContext<'_>,
        primary: &EmittedEvent,
    ) -> Result<Option<Presence>, CommandError> {
        let (cause, ttl_ms) = (primary.cause(), ctx.rules.get::<PresenceRules>().default_ttl_ms);
        let status = match A::PRESENCE_EFFECT {
            PresenceEffect::Entered => Status::Idle,
            PresenceEffect::Busy => Status::Busy,
            PresenceEffect::Left => {
                let why = ChangeReason::of_agent("agent_left");
                let left = presence::set_inactive(ctx, &self.actor, why, Some(&cause))?;
                if left.is_none() {
                    actors::register(ctx, &self.actor.tenant_id, &self.actor.actor_id, ACTOR_ID.name)?;
                }
                return Ok(left);
            }
        };
        let why = ChangeReason::of_agent("command_activity");
        presence::heartbeat(ctx, &self.actor, (status, ttl_ms), why, Some(&cause)).map(Some)
    }
}

impl<A: Action> Command for ActorCommand<A> {
    fn reads(&self) -> Vec<Query> {
        let own = self.action.iter().flat_map(|action| action.reads(&self.actor));
        let common = [presence::read(&self.actor), access::read(&self.actor)];
        permissions::reads(&self.actor).into_iter().chain(common).chain(own).collect()
    }

    fn guarded_actor(&self) -> Option<ActorInRoom> {
        (!A::IS_ALWAYS_ALLOWED).then(|| self.actor.clone())
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        if !A::IS_ALWAYS_ALLOWED {
            let required = AccessRequirement::new(A::LABEL).taking_seat();
            access::check(ctx, &self.actor, AccessRequirement { feature: A::FEATURE, ..required })?;
        }
        permissions::require(ctx, &self.actor, A::CAPABILITY, A::LABEL)?;
        permissions::not_overridden(ctx, &self.actor, A::LABEL)?;
        let action = self.action.as_ref().map_err(Clone::clone)?;
        if !A::IS_ALWAYS_ALLOWED {
            let said = action.said();
            let action = GuardedAction { label: A::LABEL, text: said.as_deref(), source: ActionSource::Api };
            ctx.guard.check(&self.actor, &action)?;
        }
        let mentions = action.mentions(&self.actor, ctx)?;
        let primary = action.perform(&self.actor, ctx)?;
        ctx.step_appended(&primary);
        let presence = self.update_presence(ctx, &primary)?;
        ctx.step(StepCode::EventAppendOk, json!({ "replay": false }));
        let ActorInRoom { tenant_id, room_id, actor_id } = self.actor.clone();
        let answer = CommandAccepted {
            accepted: true,
            action: A::LABEL,
            event_id: primary.event_id,
            sequence: primary.sequence,
            correlation_id: ctx.correlation_id.clone(),
            event_type: primary.event_type,
            emitted_events: ctx.emitted(),
            presence,
            mentions,
            actor_id,
            room_id,
            tenant_id,
        };
        Ok(Reply::new(Success::Accepted, &answer))
    }
}
