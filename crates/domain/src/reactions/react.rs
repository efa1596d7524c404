//! Running a reaction: a rule and an event that it answers are decided like any command of the actor that reacts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::action::ReactiveAction;
use super::{ANNOTATION, MAX_HOPS, ReactionRef, ReactionSubscription, SourceEvent, StoredReaction};
use crate::actors;
use crate::kernel::{
    ActionSource, ActorInRoom, Annotation, Code, Command, CommandContext, CommandError, DomainError,
    GuardedAction, Query, Reply, Sequence, StepCode, Success,
};
use crate::permissions;
use crate::presence::{self, ChangeReason, Presence, PresenceRules, Status};
use crate::tables::access::{self, AccessRequirement};
use crate::tables::plan::Feature;

/// The longest error text that is stored, in bytes.
const MAX_ERROR_BYTES: usize = 500;

/// The outcome of a reaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "reason", rename_all = "snake_case")]
pub enum ReactionOutcome {
    /// The target reacted.
    Triggered,
    /// There was nothing to do: the rule is deleted, cooling down, or has processed the event before.
    Skipped,
    /// The target was not allowed to; this is in the subscription.
    Blocked(String),
    /// The target could not; this is in the subscription.
    Failed(String),
}

/// A rule answers an event. If the target may not act, the command succeeds all the same, and the subscription records why.
pub struct RunReaction {
    rule: Arc<StoredReaction>,
    source: Arc<SourceEvent>,
}

/// Why a reaction was prevented.
enum Prevented {
    CommandError(CommandError),
    Blocked(String, DomainError),
    Failed(&'static str),
}

impl From<CommandError> for Prevented {
    fn from(error: CommandError) -> Self {
        Self::CommandError(error)
    }
}

/// Turns a refusal into the reason that prevented the reaction.
fn unless_refused(
    allowed: Result<(), CommandError>,
    why: impl FnOnce(&DomainError) -> String,
) -> Result<(), Prevented> {
    allowed.map_err(|error| match error {
        CommandError::Refused(error) => Prevented::Blocked(why(&error), *error),
        other => Prevented::CommandError(other),
    })
}

/// The detail of a refusal that names the rule.
fn reason<'r>(error: &'r DomainError, detail: &str) -> &'r str {
    error.details.get(detail).and_then(Value::as_str).unwrap_or_default()
}

impl RunReaction {
    /// The rule as it was when the event was held against it, and the event.
    pub fn new(rule: Arc<StoredReaction>, source: Arc<SourceEvent>) -> Self {
        Self { rule, source }
    }

    fn actor(&self) -> ActorInRoom {
        let target = &self.rule.subscription.target_actor_id;
        ActorInRoom::new(&self.source.tenant_id, &self.source.room_id, target)
    }

    fn reaction(&self) -> ReactionRef {
        ReactionRef {
            source_subscription_id: self.rule.subscription.id,
            source_event_id: self.source.event_id,
            hops: self.source.hops.unwrap_or(0).saturating_add(1),
        }
    }

    fn answering(&self) -> ReactiveAction {
        self.rule.subscription.action.answering(&self.source, &self.reaction())
    }

    /// Whether the target may do it: as for a command of its own, with what only reactions need before that.
    fn permit(&self, ctx: &CommandContext<'_>, actor: &ActorInRoom) -> Result<(), Prevented> {
        let kind = self.rule.subscription.action.kind();
        let (label, capability, feature) = kind.policy();
        let required = AccessRequirement::new(label);
        let action = AccessRequirement { feature, ..required.taking_seat() };
        for required in [required.with_feature(Feature::EventSubscriptions), action] {
            unless_refused(access::check(ctx, actor, required), |_| "forbidden:session".to_owned())?;
        }
        let capable = permissions::require(ctx, actor, capability, label);
        unless_refused(capable, |_| format!("forbidden:{}", capability.as_str()))?;
        let free = permissions::not_overridden(ctx, actor, kind.as_str());
        unless_refused(free, |error| format!("operator_override:{}", reason(error, "reasonCode")))
    }

    /// Performs the action, if all checks allow it.
    fn actor_command(&self, ctx: &mut CommandContext<'_>) -> Result<(), Prevented> {
        let (actor, answering, reaction) = (self.actor(), self.answering(), self.reaction());
        if reaction.hops > MAX_HOPS {
            let error = DomainError::new(Code::Conflict).saying("a chain of reactions has become too long");
            return Err(Prevented::Blocked("hop_limit".to_owned(), error));
        }
        self.permit(ctx, &actor)?;
        if ctx.get::<Presence>(actor.key())?.is_none() {
            let named = actors::register(ctx, &actor.tenant_id, &actor.actor_id, "targetActorId");
            unless_refused(named, |_| "forbidden:actorId".to_owned())?;
        }
        let action = &self.rule.subscription.action;
        if let Some(fault) = action.fault(ctx.rules) {
            return Err(Prevented::Failed(fault));
        }
        let moderated = GuardedAction {
            label: action.kind().policy().0,
            text: answering.text(),
            source: ActionSource::Reaction,
        };
        let allowed = ctx.guard.check(&actor, &moderated).map_err(CommandError::from);
        unless_refused(allowed, |error| format!("moderated:{}", reason(error, "reasonCode")))?;
        ctx.effects.annotation = Some(Annotation::new(ANNOTATION, &reaction));
        let primary = answering.perform(&actor, ctx)?;
        ctx.step_appended(&primary);
        let why = ChangeReason::of_agent("reaction_activity");
        let ttl_ms = ctx.rules.get::<PresenceRules>().default_ttl_ms;
        presence::heartbeat(ctx, &actor, (Status::Busy, ttl_ms), why, Some(&primary.cause()))?;
        ctx.effects.annotation = None;
        Ok(())
    }

    fn outcome(&self, ctx: &mut CommandContext<'_>) -> Result<ReactionOutcome, CommandError> {
        match self.actor_command(ctx) {
            Ok(()) => Ok(ReactionOutcome::Triggered),
            Err(Prevented::CommandError(error)) => Err(error),
            Err(Prevented::Failed(fault)) => {
                ctx.step(StepCode::ValidationError, json!({ "message": fault }));
                Ok(ReactionOutcome::Failed(fault.to_owned()))
            }
            Err(Prevented::Blocked(why, error)) => {
                let mut details = error.details;
                details.insert("message".to_owned(), error.message.into());
                details.insert("lastError".to_owned(), why.as_str().into());
                ctx.step(StepCode::of_error(error.code), details.into());
                Ok(ReactionOutcome::Blocked(why))
            }
        }
    }
}

impl ReactionSubscription {
    /// Records the outcome of an event.
    fn record(&mut self, source: &SourceEvent, outcome: &ReactionOutcome, ctx: &CommandContext<'_>) {
        match outcome {
            ReactionOutcome::Skipped => return,
            ReactionOutcome::Triggered => {
                self.trigger_count += 1;
                self.last_triggered_at = Some(ctx.now);
                self.last_error = None;
            }
            ReactionOutcome::Blocked(why) | ReactionOutcome::Failed(why) => {
                self.error_count += 1;
                self.last_error = Some(why[..why.floor_char_boundary(MAX_ERROR_BYTES)].to_owned());
            }
        }
        self.last_source_event_id = Some(source.event_id);
        self.updated_at = ctx.now;
    }
}

/// The rule as it is now, unless it is deleted or has processed the event.
fn current(
    ctx: &CommandContext<'_>,
    rule: &StoredReaction,
    source: &SourceEvent,
) -> Result<Option<StoredReaction>, CommandError> {
    let stored: Option<StoredReaction> = ctx.get(StoredReaction::key_of(rule.subscription.id))?;
    let Some(stored) = stored else { return Ok(None) };
    if stored.revision != rule.revision {
        let changed = DomainError::new(Code::Conflict).saying("the subscription was changed meanwhile");
        return Err(changed.with("subscriptionId", rule.subscription.id.to_string()).into());
    }
    Ok(Some(stored).filter(|stored| source.sequence > stored.since))
}

impl Command for RunReaction {
    fn reads(&self) -> Vec<Query> {
        let actor = self.actor();
        let own = self.answering().reads(&actor);
        let rule = Query::one::<StoredReaction>(StoredReaction::key_of(self.rule.subscription.id));
        let common = [rule, presence::read(&actor), access::read(&actor)];
        permissions::reads(&actor).into_iter().chain(common).chain(own).collect()
    }

    /// `ERR_CONFLICT` means that the rule was changed since it was read, and must be read again.
    fn guarded_actor(&self) -> Option<ActorInRoom> {
        Some(self.actor())
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let Some(mut stored) = current(ctx, &self.rule, &self.source)? else {
            return Ok(Reply::new(Success::Ok, &ReactionOutcome::Skipped));
        };
        let outcome =
            if stored.is_cooling_down(ctx.now) { ReactionOutcome::Skipped } else { self.outcome(ctx)? };
        stored.subscription.record(&self.source, &outcome, ctx);
        stored.since = self.source.sequence;
        ctx.put(&stored);
        Ok(Reply::new(Success::Ok, &outcome))
    }
}

/// Records an internal error of a reaction in its subscription, so that it is not retried for ever.
pub struct RecordReactionFailure {
    /// The rule.
    pub rule: Arc<StoredReaction>,
    /// The event.
    pub source: Arc<SourceEvent>,
    /// What went wrong.
    pub why: String,
}

impl Command for RecordReactionFailure {
    fn reads(&self) -> Vec<Query> {
        vec![Query::one::<StoredReaction>(StoredReaction::key_of(self.rule.subscription.id))]
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let stored: Option<StoredReaction> = ctx.get(StoredReaction::key_of(self.rule.subscription.id))?;
        if let Some(mut stored) = stored.filter(|stored| self.source.sequence > stored.since) {
            let failed = ReactionOutcome::Failed(self.why.clone());
            stored.subscription.record(&self.source, &failed, ctx);
            stored.since = self.source.sequence;
            ctx.put(&stored);
        }
        Ok(Reply::new(Success::Ok, &Sequence::START))
    }
}
