//! Running a reaction: a rule and an event that it answers are decided like any command of the actor that reacts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::action::ReactiveAction;
use super::{ANNOTATION, ReactionProgress, ReactionRef, SourceEvent, StoredReaction};
use crate::actors;
use crate::kernel::{
    ActionSource, ActorInRoom, Annotation, Code, Command, CommandContext, CommandError, DomainError,
    GuardedAction, Query, Reply, Success,
};
use crate::permissions;
use crate::presence::{self, ChangeReason, Presence, PresenceRules, Status};
use crate::tables::access::{self, AccessRequirement};
use crate::tables::plan::Feature;

/// The longest error text that is stored, in bytes.
const MAX_ERROR_BYTES: usize = 500;

/// The detail of a refusal that holds the `lastError` of the rule.
const LAST_ERROR: &str = "lastError";

/// The outcome of a reaction that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReactionOutcome {
    /// The target reacted.
    Triggered,
    /// There was nothing to do: the rule is deleted, cooling down, or has processed the event before.
    Skipped,
}

/// A rule answers an event. If the target may not act, the command is refused, and writes nothing but its trace:
/// [`RecordRefusals`] records why, for many events at once.
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
    fn perform(&self, ctx: &mut CommandContext<'_>) -> Result<(), Prevented> {
        let (actor, answering, reaction) = (self.actor(), self.answering(), self.reaction());
        self.permit(ctx, &actor)?;
        if ctx.get::<Presence>(actor.key())?.is_none() {
            let named = actors::register(ctx, &actor.tenant_id, &actor.actor_id, "targetActorId");
            unless_refused(named, |_| "forbidden:actorId".to_owned())?;
        }
        let action = &self.rule.subscription.action;
        if let Some(fault) = action.fault(ctx.rules) {
            return Err(Prevented::Failed(fault));
        }
        let said = answering.said();
        let moderated = GuardedAction {
            label: action.kind().policy().0,
            text: said.as_deref(),
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
}

impl From<Prevented> for CommandError {
    fn from(prevented: Prevented) -> Self {
        let (last_error, error) = match prevented {
            Prevented::CommandError(error) => return error,
            Prevented::Failed(fault) => (fault.to_owned(), DomainError::new(Code::Validation).saying(fault)),
            Prevented::Blocked(why, error) => (why, error),
        };
        error.with(LAST_ERROR, last_error).into()
    }
}

/// The `lastError` of a rule whose reaction was refused; none if something else was.
pub fn last_error(refused: &DomainError) -> Option<&str> {
    refused.details.get(LAST_ERROR)?.as_str()
}

/// The events that a rule did not react to since its refusals were last recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleRefusals {
    /// The rule.
    pub subscription_id: Uuid,
    /// How many they are.
    pub count: u64,
    /// Why the target did not react to the last of them.
    pub last_error: String,
    /// The last of them.
    pub last_event_id: Uuid,
}

/// The progress of the rule, unless the rule is deleted, is cooling down, or has processed the event.
fn due(
    ctx: &CommandContext<'_>,
    rule: &StoredReaction,
    source: &SourceEvent,
) -> Result<Option<ReactionProgress>, CommandError> {
    let stored: Option<StoredReaction> = ctx.get(StoredReaction::key_of(rule.subscription.id))?;
    let Some(stored) = stored else { return Ok(None) };
    if stored.revision != rule.revision {
        let changed = DomainError::new(Code::Conflict).saying("the subscription was changed meanwhile");
        return Err(changed.with("subscriptionId", rule.subscription.id.to_string()).into());
    }
    let progress = ReactionProgress::load(ctx, &stored.subscription)?;
    let is_new = source.sequence > stored.since.max(progress.reacted_to);
    Ok((is_new && !progress.is_cooling_down(&stored.subscription, ctx.now)).then_some(progress))
}

impl Command for RunReaction {
    fn reads(&self) -> Vec<Query> {
        let actor = self.actor();
        let own = self.answering().reads(&actor);
        let id = self.rule.subscription.id;
        let rule = Query::one::<StoredReaction>(StoredReaction::key_of(id));
        let common = [rule, ReactionProgress::read(id), presence::read(&actor), access::read(&actor)];
        permissions::reads(&actor).into_iter().chain(common).chain(own).collect()
    }

    fn guarded_actor(&self) -> Option<ActorInRoom> {
        Some(self.actor())
    }

    /// `ERR_CONFLICT` means that the rule was changed since it was read, and must be read again.
    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let Some(mut progress) = due(ctx, &self.rule, &self.source)? else {
            return Ok(Reply::new(Success::Ok, &ReactionOutcome::Skipped));
        };
        self.perform(ctx)?;
        progress.trigger(&self.source, ctx.now);
        ctx.put(&progress);
        Ok(Reply::new(Success::Ok, &ReactionOutcome::Triggered))
    }
}

/// Records the refusals of many rules, each counted, so that a rule which is refused often costs one write in a while.
pub struct RecordRefusals(pub Vec<RuleRefusals>);

impl RecordRefusals {
    /// The most rules of one command, so that it delays the others in its commit batch little.
    pub const BATCH: usize = 32;
}

impl Command for RecordRefusals {
    fn reads(&self) -> Vec<Query> {
        let ids = self.0.iter().map(|refused| refused.subscription_id);
        let reads =
            |id| [Query::one::<StoredReaction>(StoredReaction::key_of(id)), ReactionProgress::read(id)];
        ids.flat_map(reads).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        for refused in &self.0 {
            let stored: Option<StoredReaction> = ctx.get(StoredReaction::key_of(refused.subscription_id))?;
            let Some(stored) = stored else { continue };
            let mut progress = ReactionProgress::load(ctx, &stored.subscription)?;
            let end = refused.last_error.floor_char_boundary(MAX_ERROR_BYTES);
            progress.counts.error_count += refused.count;
            progress.counts.last_error = Some(refused.last_error[..end].to_owned());
            progress.counts.last_source_event_id = Some(refused.last_event_id);
            progress.updated_at = ctx.now;
            ctx.put(&progress);
        }
        Ok(Reply::new(Success::Ok, &self.0.len()))
    }
}
