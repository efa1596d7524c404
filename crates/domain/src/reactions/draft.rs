//! The fields of a reaction subscription in a body: everything for a new one, some of it for a change.

use serde_json::{Map, Value};

use super::action::ActionKind;
use super::{ANY_EVENT, ReactionAction, ReactionRule};
use crate::kernel::{ActorId, Code, DomainError, Field, Fields, METADATA, RoomId, Rules, too_large};
use crate::work::set;

/// The most triggers of a subscription.
pub(super) const MAX_TRIGGERS: usize = 50;
/// The longest name of a trigger, in characters.
const MAX_TRIGGER_CHARS: usize = 64;
/// The largest metadata, in bytes of JSON: all rules of a tenant are looked at together.
const MAX_METADATA_BYTES: usize = 4 << 10;
/// The longest a subscription may rest, in milliseconds.
const MAX_COOLDOWN_MS: i64 = 86_400_000;
const DEFAULT_COOLDOWN_MS: i64 = 1_000;

pub(super) const ROOM_ID: Field = Field::new(
    "roomId",
    "Only events of this room trigger the rule. Default: those of every room of the tenant.",
    "main",
);
const SOURCE_ACTOR_ID: Field = Field::new(
    "sourceActorId",
    "Only events by this actor trigger the rule. Default: those of every actor.",
    "Nova",
);
pub(super) const TARGET_ACTOR_ID: Field = Field::new("targetActorId", "The actor that reacts.", "Kai");
const TRIGGER_EVENT_TYPES: Field = Field::new(
    "triggerEventTypes",
    "The types of events that trigger the rule; * stands for every type, and is the default.",
    r#"["order_changed"]"#,
)
.up_to(MAX_TRIGGERS);
const ACTION_TYPE: Field = Field::new("actionType", "What the target does.", "say");
const ACTION_PAYLOAD: Field = Field::new(
    "actionPayload",
    "How it does it. say: text, ttlMs, mentions; move: direction, steps; order: itemId, size.",
    r#"{"text":"one flat white, coming up","ttlMs":3000,"mentions":["Nova"]}"#,
)
.in_example()
.with_members(ReactionAction::MEMBERS);
const ENABLED: Field =
    Field::new("enabled", "Whether the rule is in force. Default: true.", "true").in_example();
const IGNORE_SELF: Field =
    Field::new("ignoreSelf", "Whether events by the target itself trigger nothing. Default: true.", "true");
const IGNORE_REACTION_EVENTS: Field = Field::new(
    "ignoreReactionEvents",
    "Whether events that reactions caused trigger nothing. Default: true.",
    "true",
);
const COOLDOWN_MS: Field = Field::new(
    "cooldownMs",
    "How long the rule rests after it was triggered, in milliseconds; 0: not at all. Default: 1000.",
    "5000",
);

/// What a body names; what it does not name is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ReactionInput {
    pub(super) room_id: Option<Option<RoomId>>,
    pub(super) source_actor_id: Option<Option<ActorId>>,
    pub(super) target_actor_id: Option<ActorId>,
    pub(super) trigger_event_types: Option<Vec<String>>,
    kind: Option<ActionKind>,
    payload: Option<Map<String, Value>>,
    enabled: Option<bool>,
    cooldown_ms: Option<i64>,
    ignore_self: Option<bool>,
    ignore_reaction_events: Option<bool>,
    metadata: Option<Map<String, Value>>,
}

/// Reads a body, field by field.
struct InputReader<'f> {
    fields: &'f Fields,
    /// Whether what the body does not name gets its default.
    is_whole: bool,
}

impl InputReader<'_> {
    fn named<T>(
        &self,
        field: Field,
        read: impl FnOnce(&Fields, Field) -> Result<T, DomainError>,
    ) -> Result<Option<T>, DomainError> {
        if self.is_whole || self.fields.has(field.name) {
            read(self.fields, field).map(Some)
        } else {
            Ok(None)
        }
    }

    fn flag(&self, field: Field) -> Result<Option<bool>, DomainError> {
        self.named(field, |fields, field| Ok(fields.flag(field)?.unwrap_or(true)))
    }

    fn target(&self) -> Result<Option<ActorId>, DomainError> {
        if self.is_whole {
            return self.fields.required_actor(TARGET_ACTOR_ID).map(Some);
        }
        // Optional in a change, but it cannot be taken away.
        let asked = self.fields.is_describing() || self.fields.has(TARGET_ACTOR_ID.name);
        let target = if asked { self.fields.actor(TARGET_ACTOR_ID)? } else { return Ok(None) };
        if target.is_none() && !self.fields.is_describing() {
            return Err(TARGET_ACTOR_ID.missing());
        }
        Ok(target)
    }

    fn kind(&self) -> Result<Option<ActionKind>, DomainError> {
        if !self.is_whole {
            return self.fields.changed_choice(ACTION_TYPE, &ActionKind::NAMES);
        }
        if self.fields.is_describing() {
            return self.fields.required_choice(ACTION_TYPE, &ActionKind::NAMES, Code::InvalidEnum).map(Some);
        }
        let kind = self.fields.choice(ACTION_TYPE, &ActionKind::NAMES)?;
        kind.map(Some).ok_or_else(|| ACTION_TYPE.not_one_of(Code::InvalidEnum, &ActionKind::NAMES))
    }
}

fn object(fields: &Fields, field: Field) -> Result<Map<String, Value>, DomainError> {
    Ok(fields.object(field)?.unwrap_or_default())
}

fn triggers(fields: &Fields, field: Field) -> Result<Vec<String>, DomainError> {
    let names = fields.texts(field)?.unwrap_or_default();
    if let Some(long) = names.iter().map(|name| name.chars().count()).find(|chars| *chars > MAX_TRIGGER_CHARS)
    {
        return Err(too_large(field.name, MAX_TRIGGER_CHARS, long, "characters in a name"));
    }
    Ok(if names.is_empty() { vec![ANY_EVENT.to_owned()] } else { names })
}

impl ReactionInput {
    /// Reads a body: `is_whole` for a new subscription, whose missing fields get their defaults.
    ///
    /// # Errors
    /// The first field that is not valid, in the order in which they are read.
    pub(super) fn read(fields: &Fields, is_whole: bool, rules: &Rules) -> Result<Self, DomainError> {
        let body = InputReader { fields, is_whole };
        let mut draft = Self {
            room_id: body.named(ROOM_ID, Fields::room)?,
            source_actor_id: body.named(SOURCE_ACTOR_ID, Fields::actor)?,
            target_actor_id: body.target()?,
            trigger_event_types: body.named(TRIGGER_EVENT_TYPES, triggers)?,
            kind: body.kind()?,
            payload: body.named(ACTION_PAYLOAD, object)?,
            ..Self::default()
        };
        if is_whole && !fields.is_describing() {
            draft.action(None, rules)?;
        }
        draft.enabled = body.flag(ENABLED)?;
        draft.ignore_self = body.flag(IGNORE_SELF)?;
        draft.ignore_reaction_events = body.flag(IGNORE_REACTION_EVENTS)?;
        draft.cooldown_ms = body.named(COOLDOWN_MS, |fields, field| {
            Ok(fields.bounded(field, 0..=MAX_COOLDOWN_MS)?.unwrap_or(DEFAULT_COOLDOWN_MS))
        })?;
        draft.metadata = body.named(METADATA.up_to(MAX_METADATA_BYTES), object)?;
        Ok(draft)
    }

    /// Whether the body names nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The action: what the body names of it, and the rest as it is. Another kind needs a payload that fits it.
    ///
    /// # Errors
    /// The first field of the payload that does not hold.
    pub(super) fn action(
        &self,
        stored: Option<&ReactionAction>,
        rules: &Rules,
    ) -> Result<ReactionAction, DomainError> {
        let kind = self.kind.or(stored.map(ReactionAction::kind));
        let kind = kind.ok_or_else(|| ACTION_TYPE.missing())?;
        let payload = self.payload.clone().or(stored.map(ReactionAction::payload)).unwrap_or_default();
        ReactionAction::read(kind, payload, rules)
    }

    /// Writes into a subscription what the body names.
    ///
    /// # Errors
    /// As [`ReactionInput::action`].
    pub(super) fn apply(&self, to: &mut ReactionRule, rules: &Rules) -> Result<(), DomainError> {
        if self.kind.is_some() || self.payload.is_some() {
            to.action = self.action(Some(&to.action), rules)?;
        }
        set(&mut to.enabled, &self.enabled);
        set(&mut to.ignore_self, &self.ignore_self);
        set(&mut to.ignore_reaction_events, &self.ignore_reaction_events);
        set(&mut to.cooldown_ms, &self.cooldown_ms);
        set(&mut to.room_id, &self.room_id);
        set(&mut to.source_actor_id, &self.source_actor_id);
        set(&mut to.target_actor_id, &self.target_actor_id);
        set(&mut to.trigger_event_types, &self.trigger_event_types);
        set(&mut to.metadata, &self.metadata);
        Ok(())
    }
}
