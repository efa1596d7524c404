//! The action of a reaction: read from `actionType` and `actionPayload`, and performed like the actor's own commands.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::matching::SourceEvent;
use super::{ANNOTATION, ReactionRef};
use crate::actor_command::Action;
use crate::conversation::{self, AutomaticReply, BUBBLE_TTL, ConversationRules, MENTIONS, SayAction, TEXT};
use crate::kernel::{
    ActorId, ActorInRoom, Code, CommandContext, CommandError, DomainError, EmittedEvent, Field, Fields,
    Query, Rules, wire_enum,
};
use crate::orders::{ITEM_ID, OrderAction, SIZE};
use crate::permissions::Capability;
use crate::presence::movement::{DIRECTION, MoveAction, STEPS};
use crate::presence::position::{Direction, MAX_STEPS, PathSegment};
use crate::tables::plan::Feature;

/// The name of the member that holds the payload.
const PAYLOAD: &str = "actionPayload";

wire_enum! {
    /// A kind of action.
    pub enum ActionKind {
        /// To say something.
        Say = "say",
        /// To take steps.
        Move = "move",
        /// To order something.
        Order = "order",
    }
}

impl ActionKind {
    /// Its label in access checks and moderation, the capability that it needs, and what a private table's plan must include for
    /// it, beside reactions.
    pub(crate) const fn policy(self) -> (&'static str, Capability, Option<Feature>) {
        match self {
            Self::Say => ("reaction:say", <SayAction>::CAPABILITY, <SayAction>::FEATURE),
            Self::Move => ("reaction:move", MoveAction::CAPABILITY, MoveAction::FEATURE),
            Self::Order => ("reaction:order", OrderAction::CAPABILITY, OrderAction::FEATURE),
        }
    }
}

/// What a reaction does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "actionType",
    content = "actionPayload",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum ReactionAction {
    /// Says something, as an answer to the source's message if it has one.
    Say {
        /// The text.
        text: String,
        /// How long it hangs over the speaker, in milliseconds.
        ttl_ms: i64,
        /// The mentioned actors; else those that the text names with `@`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mentions: Option<Vec<ActorId>>,
    },
    /// Takes steps.
    Move {
        /// Which way.
        direction: Direction,
        /// How far.
        steps: i64,
    },
    /// Orders something.
    Order {
        /// What.
        item_id: String,
        /// In which size.
        size: String,
    },
}

/// A text that must be there and not be blank.
fn text(payload: &Fields, field: Field) -> Result<String, DomainError> {
    payload.trimmed_text(field)?.ok_or_else(|| field.must_be("a text that is not blank"))
}

fn direction(payload: &Fields) -> Result<Direction, DomainError> {
    let sent = payload.trimmed_text(DIRECTION).ok().flatten().unwrap_or_default();
    let known = Direction::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&sent));
    let known = known.map(|(_, direction)| *direction);
    known.ok_or_else(|| DIRECTION.not_one_of(Code::InvalidDirection, &Direction::NAMES))
}

impl ReactionAction {
    /// The names of the fields of all payloads.
    pub(super) const MEMBERS: &'static [&'static str] =
        &[TEXT.name, BUBBLE_TTL.name, MENTIONS.name, DIRECTION.name, STEPS.name, ITEM_ID.name, SIZE.name];

    /// Reads the payload of an action; what it has beside the action's fields is dropped.
    ///
    /// # Errors
    /// The first field that does not hold, named `actionPayload.…`.
    pub fn read(kind: ActionKind, payload: Map<String, Value>, rules: &Rules) -> Result<Self, DomainError> {
        Self::of_kind(kind, &Fields::of_body(payload), rules).map_err(|error| error.within(PAYLOAD))
    }

    fn of_kind(kind: ActionKind, payload: &Fields, rules: &Rules) -> Result<Self, DomainError> {
        Ok(match kind {
            ActionKind::Say => Self::Say {
                text: text(payload, TEXT.up_to(rules.get::<ConversationRules>().max_message_chars))?,
                ttl_ms: conversation::bubble_ttl_ms(payload)?,
                mentions: conversation::given_mentions(payload)?,
            },
            ActionKind::Move => Self::Move {
                direction: direction(payload)?,
                steps: payload.bounded(STEPS, 1..=MAX_STEPS)?.unwrap_or(1),
            },
            ActionKind::Order => Self::Order {
                item_id: text(payload, ITEM_ID)?,
                size: payload.trimmed_text(SIZE)?.unwrap_or_else(|| "regular".to_owned()),
            },
        })
    }

    /// Which kind it is.
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Say { .. } => ActionKind::Say,
            Self::Move { .. } => ActionKind::Move,
            Self::Order { .. } => ActionKind::Order,
        }
    }

    /// The payload, as it was reduced when it was read.
    pub fn payload(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(mut members)) => match members.remove(PAYLOAD) {
                Some(Value::Object(payload)) => payload,
                _ => Map::new(),
            },
            _ => Map::new(),
        }
    }

    /// Why it cannot be carried out, if the settings have become narrower since it was made.
    pub fn fault(&self, rules: &Rules) -> Option<&'static str> {
        match self {
            Self::Say { text, .. } if text.trim().is_empty() => Some("missing reaction text"),
            Self::Say { text, .. }
                if text.chars().count() > rules.get::<ConversationRules>().max_message_chars =>
            {
                Some("reaction text is too long")
            }
            Self::Order { item_id, .. } if item_id.trim().is_empty() => Some("missing itemId"),
            _ => None,
        }
    }

    /// The action of the actor, in answer to `source`.
    pub(crate) fn answering(&self, source: &SourceEvent, reaction: &ReactionRef) -> ReactiveAction {
        let cause = source.event_id.to_string();
        match self {
            Self::Say { text, ttl_ms, mentions } => {
                ReactiveAction::Say(Box::new(SayAction::of_reaction(AutomaticReply {
                    text: text.clone(),
                    mentions: mentions.clone(),
                    bubble_ttl_ms: *ttl_ms,
                    thread_id: source.thread_id.clone(),
                    message_id: source.message_id.clone(),
                    metadata: reaction_metadata(reaction),
                    cause,
                })))
            }
            Self::Move { direction, steps } => {
                let leg = PathSegment { direction: *direction, steps: *steps };
                ReactiveAction::Move(MoveAction::of_reaction(leg, "reaction", cause))
            }
            Self::Order { item_id, size } => {
                ReactiveAction::Order(OrderAction::of_reaction(item_id.clone(), size.clone(), cause))
            }
        }
    }
}

fn reaction_metadata(reaction: &ReactionRef) -> Map<String, Value> {
    let reaction = serde_json::to_value(reaction).unwrap_or_default();
    Map::from_iter([(ANNOTATION.to_owned(), reaction)])
}

/// An action in answer to an event: what the actor would do by a command of its own.
pub(crate) enum ReactiveAction {
    /// [`ActionKind::Say`].
    Say(Box<SayAction>),
    /// [`ActionKind::Move`].
    Move(MoveAction),
    /// [`ActionKind::Order`].
    Order(OrderAction),
}

impl ReactiveAction {
    /// As [`Action::reads`].
    pub(crate) fn reads(&self, actor: &ActorInRoom) -> Vec<Query> {
        match self {
            Self::Say(say) => say.reads(actor),
            Self::Move(walk) => walk.reads(actor),
            Self::Order(order) => order.reads(actor),
        }
    }

    /// As [`Action::said`].
    pub(crate) fn said(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Say(say) => say.said(),
            Self::Move(walk) => walk.said(),
            Self::Order(order) => order.said(),
        }
    }

    /// As [`Action::perform`].
    pub(crate) fn perform(
        &self,
        actor: &ActorInRoom,
        ctx: &mut CommandContext<'_>,
    ) -> Result<EmittedEvent, CommandError> {
        match self {
            Self::Say(say) => say.perform(actor, ctx),
            Self::Move(walk) => walk.perform(actor, ctx),
            Self::Order(order) => order.perform(actor, ctx),
        }
    }
}
