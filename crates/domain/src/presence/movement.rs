//! Moving: single steps, and intents, which find a path to their target.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::actor_command::{Action, ActorCommand, PresenceEffect};
use crate::kernel::{
    ActionSource, ActorInRoom, CAUSATION_ID, Code, Command, CommandContext, CommandError, CorrelationId,
    DomainError, EmittedEvent, Field, Fields, GuardedAction, Query, Reply, Rules, Sequence, StepCode,
    Success, payloads,
};
use crate::permissions::{self, Capability};
use crate::presence::arrival::{position_of, set_position};
use crate::presence::position::{Direction, MAX_STEPS, MAX_X, MAX_Y, PathSegment, Point, Position, TABLES};
use crate::presence::{self, ChangeReason, Presence, PresenceRules, Status};
use crate::tables::access::{self, AccessRequirement};

const MAX_INTENT_CHARS: usize = 64;
pub(crate) const DIRECTION: Field = Field::new("direction", "The direction of the move.", "E");
pub(crate) const STEPS: Field = Field::new("steps", "How many steps to take. Default: 1.", "2").in_example();
const MOVE_INTENT: Field =
    Field::new("intent", "What the move is for; stored as it is.", "stroll").up_to(MAX_INTENT_CHARS);
const INTENT: Field =
    Field::new("intent", "What the actor wants: navigate_to a point or sit_at_table.", "navigate_to")
        .up_to(MAX_INTENT_CHARS);
const PAYLOAD: Field =
    Field::new("payload", "The intent's parameters. They may also stand beside it.", r#"{"x":3,"y":4}"#)
        .in_example()
        .with_members(&[X.name, Y.name, TABLE_ID.name]);
const X: Field = Field::new("x", "For navigate_to: how far east.", "3");
const Y: Field = Field::new("y", "For navigate_to: how far south.", "4");
const TABLE_ID: Field = Field::new("tableId", "For sit_at_table: the table.", "table_1");

payloads! {
    /// An actor moved, by a command, an intent or a reaction.
    ActorMoved {
        /// The steps, whose members are those of the payload.
        #[serde(flatten)]
        leg: PathSegment,
        /// What the move is for; missing if the actor did not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        intent: Option<String>,
        /// The target of the intent, for people; missing for a move by command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target_label: Option<String>,
    }
    /// The path to an intent's target was found.
    IntentPlanned {
        /// The intent: `navigate_to` or `sit_at_table`.
        intent: String,
        /// The target.
        target: Point,
        /// The target, for people: a table, or a point.
        label: String,
        /// Where the path begins.
        from: Point,
        /// The path; empty if the actor is at the target already.
        path: Vec<PathSegment>,
    }
    /// An intent's target was reached.
    IntentCompleted {
        /// The intent: `navigate_to` or `sit_at_table`.
        intent: String,
        /// The target.
        target: Point,
        /// The target, for people: a table, or a point.
        label: String,
        /// Where the actor is now.
        final_position: Point,
        /// `arrived` at a point, or `seated` at a table.
        outcome: String,
    }
}

/// `POST /v1/commands/move`: an actor takes steps. Walls stop it.
pub type Move = ActorCommand<MoveAction>;

/// The fields of the body of a move.
pub struct MoveAction {
    leg: PathSegment,
    intent: Option<String>,
    cause: Option<String>,
}

impl MoveAction {
    /// The steps of a reaction.
    pub(crate) fn of_reaction(leg: PathSegment, intent: &str, cause: String) -> Self {
        Self { leg, intent: Some(intent.to_owned()), cause: Some(cause) }
    }
}

impl Action for MoveAction {
    const LABEL: &'static str = "move";
    const KEY_SCOPE: &'static str = "/v1/commands/move";
    const CAPABILITY: Capability = Capability::Move;
    const PRESENCE_EFFECT: PresenceEffect = PresenceEffect::Busy;

    fn read(fields: &Fields, _: &Rules) -> Result<Self, DomainError> {
        let direction = fields.required_choice(DIRECTION, &Direction::NAMES, Code::InvalidDirection)?;
        let steps = fields.bounded(STEPS, 1..=MAX_STEPS)?;
        Ok(Self {
            leg: PathSegment { direction, steps: steps.unwrap_or(1) },
            intent: fields.text(MOVE_INTENT)?,
            cause: fields.trimmed_text(CAUSATION_ID)?,
        })
    }

    fn reads(&self, actor: &ActorInRoom) -> Vec<Query> {
        vec![Query::one::<Position>(actor.key())]
    }

    fn perform(
        &self,
        actor: &ActorInRoom,
        ctx: &mut CommandContext<'_>,
    ) -> Result<EmittedEvent, CommandError> {
        let payload = ActorMoved { leg: self.leg, intent: self.intent.clone(), target_label: None };
        let moved = ctx.append(actor, &payload, self.cause.as_deref())?;
        let point = position_of(ctx, actor)?.after(self.leg);
        set_position(ctx, actor, point)?;
        Ok(moved)
    }
}

/// The target of an intent.
#[derive(Clone, Debug, PartialEq)]
struct IntentTarget {
    point: Point,
    label: String,
    outcome: &'static str,
}

impl IntentTarget {
    fn read(intent: &str, fields: &Fields) -> Result<Self, DomainError> {
        match intent {
            "navigate_to" => Self::read_point(fields),
            "sit_at_table" => Self::read_table(fields),
            _ => Err(DomainError::new(Code::UnsupportedAction)
                .saying("intents are navigate_to and sit_at_table")
                .with("intent", intent)),
        }
    }

    fn read_point(fields: &Fields) -> Result<Self, DomainError> {
        let sent = (fields.coordinate(X, 0..=MAX_X), fields.coordinate(Y, 0..=MAX_Y));
        let refused = |x: Option<f64>, y: Option<f64>| {
            DomainError::new(Code::OutOfBounds)
                .saying(format!("x must be between 0 and {MAX_X}, y between 0 and {MAX_Y}"))
                .with("field", "x,y")
                .with("x", x)
                .with("y", y)
                .with("bounds", json!({ "minX": 0, "maxX": MAX_X, "minY": 0, "maxY": MAX_Y }))
        };
        let (Some(x), Some(y)) = sent else { return Err(refused(sent.0, sent.1)) };
        let point = Point { x: x as i64, y: y as i64 };
        if !point.is_on_grid() {
            return Err(refused(Some(x), Some(y)));
        }
        Ok(Self { point, label: format!("({}, {})", point.x, point.y), outcome: "arrived" })
    }

    fn read_table(fields: &Fields) -> Result<Self, DomainError> {
        let known = TABLES.map(|(name, point)| (name, (name, point)));
        let unknown =
            |table: String| TABLE_ID.not_one_of(Code::UnknownTable, &TABLES).with(TABLE_ID.name, table);
        let (name, point) = fields.exact_choice(TABLE_ID, &known, unknown)?;
        Ok(Self { point, label: name.to_owned(), outcome: "seated" })
    }
}

/// `POST /v1/intents/execute`: an actor walks to a target.
pub struct ExecuteIntent {
    actor: ActorInRoom,
    intent: String,
    label: String,
    target: Result<IntentTarget, DomainError>,
}

/// The answer to an [`ExecuteIntent`].
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecuteIntentResponse {
    /// Always true: the command took effect.
    accepted: bool,
    /// The intent.
    intent: String,
    /// The name of the target, for people.
    label: String,
    /// The point where the actor started.
    from: Point,
    /// The point where the actor is now.
    target: Point,
    /// The path of the actor, leg by leg.
    path: Vec<PathSegment>,
    correlation_id: CorrelationId,
    /// The ids of the events of this request, in order.
    event_ids: Vec<Uuid>,
    /// The id of the last of these events.
    final_event_id: Uuid,
    /// The sequence of the last of these events.
    final_sequence: Sequence,
    /// The presence of the actor.
    presence: Option<Presence>,
}

impl ExecuteIntent {
    /// Reads the body; parameters are in `payload`, or beside it if there is none.
    ///
    /// # Errors
    /// A field that identifies the actor or the intent is not valid; the command refuses other fields when it is decided.
    pub fn read(fields: &Fields) -> Result<Self, DomainError> {
        let actor = ActorInRoom::read(fields)?;
        let intent = fields.required_text(INTENT)?;
        let nested = fields.nested_or_self(PAYLOAD)?;
        let target = IntentTarget::read(&intent, nested.as_ref().unwrap_or(fields));
        Ok(Self { actor, label: format!("intent:{intent}"), intent, target })
    }

    /// Names the fields that the intents' parameters may have.
    pub fn describe(fields: &Fields) -> Result<(), DomainError> {
        Self::read(fields)?;
        IntentTarget::read_point(fields)?;
        IntentTarget::read_table(fields)?;
        Ok(())
    }

    /// The actor.
    pub fn actor(&self) -> &ActorInRoom {
        &self.actor
    }

    /// The name of the intent.
    pub fn intent(&self) -> &str {
        &self.intent
    }

    /// Walks the legs and completes the intent. Answers the completion.
    fn walk(
        &self,
        ctx: &mut CommandContext<'_>,
        target: &IntentTarget,
        from: Point,
    ) -> Result<EmittedEvent, CommandError> {
        let planned = IntentPlanned {
            intent: self.intent.clone(),
            target: target.point,
            label: target.label.clone(),
            from,
            path: from.path_to(target.point),
        };
        let plan = ctx.append(&self.actor, &planned, None)?;
        ctx.step(
            StepCode::IntentPlanned,
            json!({ "intent": self.intent, "from": from, "target": target.point, "path": planned.path }),
        );
        for leg in planned.path {
            let moved = ActorMoved {
                leg,
                intent: Some(self.intent.clone()),
                target_label: Some(target.label.clone()),
            };
            ctx.append(&self.actor, &moved, Some(&plan.cause()))?;
        }
        let completed = IntentCompleted {
            intent: self.intent.clone(),
            target: target.point,
            label: target.label.clone(),
            final_position: target.point,
            outcome: target.outcome.to_owned(),
        };
        ctx.append(&self.actor, &completed, Some(&plan.cause()))
    }
}

impl Command for ExecuteIntent {
    fn reads(&self) -> Vec<Query> {
        let own = [
            presence::read(&self.actor),
            access::read(&self.actor),
            Query::one::<Position>(self.actor.key()),
        ];
        permissions::reads(&self.actor).into_iter().chain(own).collect()
    }

    fn guarded_actor(&self) -> Option<ActorInRoom> {
        Some(self.actor.clone())
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        access::check(ctx, &self.actor, AccessRequirement::new(&self.label).taking_seat())?;
        permissions::require(ctx, &self.actor, Capability::Move, &self.intent)?;
        permissions::not_overridden(ctx, &self.actor, &self.intent)?;
        let target = self.target.as_ref().map_err(Clone::clone)?;
        let action = GuardedAction { label: &self.label, text: None, source: ActionSource::Api };
        ctx.guard.check(&self.actor, &action)?;
        let from = position_of(ctx, &self.actor)?;
        let completed = self.walk(ctx, target, from)?;
        set_position(ctx, &self.actor, target.point)?;
        let ttl_ms = ctx.rules.get::<PresenceRules>().default_ttl_ms;
        let why = ChangeReason::of_agent("intent_activity");
        let cause = completed.cause();
        let presence = presence::heartbeat(ctx, &self.actor, (Status::Busy, ttl_ms), why, Some(&cause))?;
        let emitted = ctx.emitted();
        ctx.step(StepCode::IntentExecuted, json!({ "intent": self.intent, "emittedEvents": emitted.len() }));
        ctx.step(StepCode::EventAppendOk, json!({ "replay": false }));
        let answer = ExecuteIntentResponse {
            accepted: true,
            intent: self.intent.clone(),
            label: target.label.clone(),
            from,
            target: target.point,
            path: from.path_to(target.point),
            correlation_id: ctx.correlation_id.clone(),
            event_ids: emitted.iter().map(|event| event.event_id).collect(),
            final_event_id: completed.event_id,
            final_sequence: completed.sequence,
            presence: Some(presence),
        };
        Ok(Reply::new(Success::Accepted, &answer))
    }
}
