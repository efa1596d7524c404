//! Creating, changing and deleting reaction subscriptions, and the checks of access.

use std::sync::Arc;

use uuid::Uuid;

use super::counter::{self, ReactionCounter};
use super::draft::{ROOM_ID, ReactionInput, TARGET_ACTOR_ID};
use super::{
    MAX_OWNED_SUBSCRIPTIONS, ReactionAction, ReactionProgress, ReactionRule, ReactionSubscription,
    StoredReaction,
};
use crate::kernel::{
    ActorId, ActorInRoom, Code, Command, CommandContext, CommandError, DomainError, Field, Fields, Query,
    RecordQuery, Reply, RoomId, Rules, Success, TENANT_FILTER, TenantId, response,
};
use crate::keys::{Principal, Scope};
use crate::permissions::{self, Capability, PermissionsMode};
use crate::tables::access::{self, AccessRequirement};
use crate::tables::plan::Feature;

const CREATED_BY: Field = Field::new(
    "createdBy",
    "The actor that makes the rule. With PERMISSIONS_MODE=strict: the target itself, or an operator of the room.",
    "Nova",
).of_caller();
const REQUESTER: Field = Field::new(
    "actorId",
    "The actor that makes the request. With PERMISSIONS_MODE=strict: the target itself, or an operator of the room.",
    "Nova",
)
.of_caller();

const CREATE: &str = "reaction_subscription_create";
const UPDATE: &str = "reaction_subscription_update";
const DELETE: &str = "reaction_subscription_delete";

response! {
    /// The answer to a [`CreateReaction`] and a [`UpdateReaction`].
    WriteReactionResponse {
        /// The subscription.
        subscription: ReactionSubscription,
    }
}

response! {
    /// The answer to a [`DeleteReaction`].
    DeleteReactionResponse {
        /// Always true: the record existed and was deleted.
        deleted: bool,
        /// The subscription.
        subscription_id: Uuid,
    }
}

/// The scope of a subscription: the room it works in, if it is one room, and the actor that reacts there.
#[derive(Clone, Copy)]
struct ReactionScope<'s> {
    tenant_id: &'s TenantId,
    room_id: Option<&'s RoomId>,
    target_actor_id: &'s ActorId,
}

impl<'s> ReactionScope<'s> {
    fn of(rule: &'s ReactionRule) -> Self {
        Self {
            tenant_id: &rule.tenant_id,
            room_id: rule.room_id.as_ref(),
            target_actor_id: &rule.target_actor_id,
        }
    }

    fn actor(self, actor: &ActorId) -> Option<ActorInRoom> {
        Some(ActorInRoom::new(self.tenant_id, self.room_id?, actor))
    }

    fn reads(self, requester: Option<&ActorId>) -> Vec<Query> {
        let Some(target) = self.actor(self.target_actor_id) else { return Vec::new() };
        let requester = requester.and_then(|requester| self.actor(requester));
        let permissions = requester.into_iter().flat_map(|requester| permissions::reads(&requester));
        permissions.chain(permissions::reads(&target)).chain([access::read(&target)]).collect()
    }

    /// Whether a subscription here may be made, changed or deleted by `requester`. Without a room only the
    /// requester is checked: what the rule does in a room is checked when it runs.
    fn permit(
        self,
        ctx: &CommandContext<'_>,
        caller: RuleCaller<'_>,
        label: &str,
    ) -> Result<(), CommandError> {
        let target = self.actor(self.target_actor_id);
        if let Some(target) = &target {
            let required = AccessRequirement::new(label).with_feature(Feature::EventSubscriptions);
            access::check(ctx, target, required)?;
        }
        self.check_caller(ctx, caller, label)?;
        target.map_or(Ok(()), |target| permissions::not_overridden(ctx, &target, label))
    }

    /// Only operators of the room may manage reactions of other actors: in strict mode, and with API keys, which must allow it.
    fn check_caller(
        self,
        ctx: &CommandContext<'_>,
        RuleCaller { principal, requester }: RuleCaller<'_>,
        label: &str,
    ) -> Result<(), CommandError> {
        let binding = principal.binding();
        let may_be_target = binding.is_none_or(|binding| binding.actors.allow(self.target_actor_id.as_str()));
        let is_open = *ctx.rules.get::<PermissionsMode>() == PermissionsMode::Open;
        if may_be_target && (is_open || requester == Some(self.target_actor_id)) {
            return Ok(());
        }
        principal.check(&[Scope::Operate])?;
        let Some(requester) = requester else {
            let field = if label == CREATE { "createdBy" } else { "actorId" };
            return Err(DomainError::missing(field).into());
        };
        match self.actor(requester) {
            Some(requester) => permissions::require(ctx, &requester, Capability::Moderate, label),
            None => Err(DomainError::new(Code::Forbidden)
                .saying("a reaction of another actor must name its room")
                .with("tenantId", self.tenant_id.as_str())
                .with("actorId", requester.as_str())
                .with("capability", Capability::Moderate.as_str())
                .with("action", label)
                .into()),
        }
    }
}

/// Who manages a rule: the caller, and the actor as whom it does.
#[derive(Clone, Copy)]
struct RuleCaller<'c> {
    principal: &'c Principal,
    requester: Option<&'c ActorId>,
}

/// `POST /v1/reactions/subscriptions`.
pub struct CreateReaction {
    principal: Principal,
    tenant_id: TenantId,
    room_id: Option<RoomId>,
    wanted: Result<NewReaction, DomainError>,
}

/// The fields of the body of a [`CreateReaction`].
struct NewReaction {
    draft: ReactionInput,
    target_actor_id: ActorId,
    action: ReactionAction,
    created_by: Option<ActorId>,
}

impl NewReaction {
    fn read(fields: &Fields, rules: &Rules) -> Result<Self, DomainError> {
        let draft = ReactionInput::read(fields, true, rules)?;
        let created_by = fields.actor(CREATED_BY)?;
        let target_actor_id = draft.target_actor_id.clone().ok_or_else(|| TARGET_ACTOR_ID.missing())?;
        Ok(Self { action: draft.action(None, rules)?, target_actor_id, created_by, draft })
    }
}

impl CreateReaction {
    /// Reads the body of the caller.
    ///
    /// # Errors
    /// The tenant, the room or the target is no text; the command refuses other fields when it is decided.
    pub fn read(fields: &Fields, rules: &Rules, principal: Principal) -> Result<Self, DomainError> {
        let tenant_id = fields.tenant_or_default()?;
        let room_id = fields.room(ROOM_ID)?;
        if !fields.is_describing() {
            fields.text(TARGET_ACTOR_ID)?;
        }
        Ok(Self { principal, tenant_id, room_id, wanted: NewReaction::read(fields, rules) })
    }

    /// The tenant, the room, and the actor that reacts, if the body names one.
    pub fn subject(&self) -> (&TenantId, Option<&RoomId>, Option<&ActorId>) {
        let target = self.wanted.as_ref().ok().map(|wanted| &wanted.target_actor_id);
        (&self.tenant_id, self.room_id.as_ref(), target)
    }

    fn scope<'s>(&'s self, wanted: &'s NewReaction) -> ReactionScope<'s> {
        ReactionScope {
            tenant_id: &self.tenant_id,
            room_id: self.room_id.as_ref(),
            target_actor_id: &wanted.target_actor_id,
        }
    }

    /// The rules that the caller has already; none if their number is not limited.
    fn owned(&self) -> Option<RecordQuery> {
        self.principal.owner().map(|owner| StoredReaction::of_owner(&owner).is("tenant_id", &self.tenant_id))
    }

    /// The new subscription, which ignores earlier events.
    fn make(
        &self,
        wanted: &NewReaction,
        ctx: &mut CommandContext<'_>,
    ) -> Result<StoredReaction, CommandError> {
        let mut subscription = ReactionRule {
            id: ctx.fresh_id(),
            tenant_id: self.tenant_id.clone(),
            room_id: None,
            source_actor_id: None,
            target_actor_id: wanted.target_actor_id.clone(),
            trigger_event_types: Vec::new(),
            action: wanted.action.clone(),
            enabled: true,
            cooldown_ms: 0,
            ignore_self: true,
            ignore_reaction_events: true,
            metadata: serde_json::Map::new(),
            created_by: wanted.created_by.clone(),
            owner: self.principal.owner(),
            created_at: ctx.now,
            updated_at: ctx.now,
        };
        wanted.draft.apply(&mut subscription, ctx.rules)?;
        let since = ctx.effects.heads.sequence;
        let (key_id, key_actors) = (self.principal.key_id(), self.principal.actors());
        Ok(StoredReaction { subscription, revision: 0, since, key_id, key_actors })
    }
}

impl Command for CreateReaction {
    fn reads(&self) -> Vec<Query> {
        let Ok(wanted) = &self.wanted else { return Vec::new() };
        let mut reads = self.scope(wanted).reads(wanted.created_by.as_ref());
        reads.push(ReactionCounter::read(&self.tenant_id));
        reads.extend(self.owned().map(Query::Many));
        reads
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let wanted = self.wanted.as_ref().map_err(Clone::clone)?;
        let caller = RuleCaller { principal: &self.principal, requester: wanted.created_by.as_ref() };
        self.scope(wanted).permit(ctx, caller, CREATE)?;
        if let Some(owned) = self.owned() {
            let others = ctx.find::<StoredReaction>(owned)?.len();
            counter::check_limit("an owner", others, MAX_OWNED_SUBSCRIPTIONS)?;
        }
        let made = self.make(wanted, ctx)?;
        counter::put_new(ctx, &made)?;
        let shown = ReactionSubscription::new(made.subscription, None);
        Ok(WriteReactionResponse::reply(ctx, Success::Created, shown))
    }
}

/// The subscription that a request names, and the requester.
struct ReactionSelector {
    /// None if the text is no id.
    id: Option<Uuid>,
    shown_id: String,
    /// The tenant of the request, if given.
    tenant_id: Option<TenantId>,
    principal: Principal,
    requester: Option<ActorId>,
    /// The subscription as it was shortly before, from which the reads are known.
    expected: Option<Arc<StoredReaction>>,
}

impl ReactionSelector {
    fn read(id: &str, query: &Fields, fields: &Fields, principal: Principal) -> Result<Self, DomainError> {
        let tenant_id = match fields.tenant(TENANT_FILTER)? {
            Some(tenant) => Some(tenant),
            None => query.tenant(TENANT_FILTER)?,
        };
        let requester = match fields.actor(REQUESTER)? {
            Some(actor) => Some(actor),
            None => query.actor(REQUESTER)?,
        };
        let known = Uuid::parse_str(id).ok();
        Ok(Self { id: known, shown_id: id.to_owned(), tenant_id, principal, requester, expected: None })
    }

    fn caller(&self) -> RuleCaller<'_> {
        RuleCaller { principal: &self.principal, requester: self.requester.as_ref() }
    }

    fn reads(&self) -> Vec<Query> {
        let own = self.id.map(|id| Query::one::<StoredReaction>(StoredReaction::key_of(id)));
        let expected = self.expected.as_ref().map(|expected| self.reads_of(&expected.subscription));
        own.into_iter().chain(expected.into_iter().flatten()).collect()
    }

    /// What a change of this rule reads.
    fn reads_of(&self, rule: &ReactionRule) -> Vec<Query> {
        let scope = ReactionScope::of(rule).reads(self.requester.as_ref());
        scope.into_iter().chain([ReactionCounter::read(&rule.tenant_id)]).collect()
    }

    fn find(&self, ctx: &CommandContext<'_>) -> Result<StoredReaction, CommandError> {
        let stored: Option<StoredReaction> = match self.id {
            Some(id) => ctx.get(StoredReaction::key_of(id))?,
            None => None,
        };
        let exists = |stored: &StoredReaction| {
            self.tenant_id.as_ref().is_none_or(|tenant| *tenant == stored.subscription.tenant_id)
                && stored.is_visible_to(&self.principal)
        };
        let stored = stored.filter(exists).ok_or_else(|| unknown(&self.shown_id))?;
        ctx.load(self.reads_of(&stored.subscription))?;
        Ok(stored)
    }
}

/// The error for an id that no subscription has.
pub fn unknown(id: &str) -> DomainError {
    DomainError::new(Code::NotFound).saying("there is no such subscription").with("subscriptionId", id)
}

/// What callers need of changes and deletions alike.
macro_rules! named {
    ($command:ident) => {
        impl $command {
            /// The tenant of the request, or `default`, and the requester.
            pub fn subject(&self) -> (TenantId, Option<&ActorId>) {
                let tenant = self.named.tenant_id.clone().unwrap_or_else(TenantId::default);
                (tenant, self.named.requester.as_ref())
            }

            /// The same command, knowing the subscription as it was shortly before, so that what it needs is read at once.
            #[must_use]
            pub fn expecting(mut self, stored: Option<StoredReaction>) -> Self {
                self.named.expected = stored.map(Arc::new);
                self
            }
        }
    };
}

/// `PATCH /v1/reactions/subscriptions/{subscriptionId}`.
pub struct UpdateReaction {
    named: ReactionSelector,
    draft: Result<ReactionInput, DomainError>,
}

named!(UpdateReaction);

impl UpdateReaction {
    /// Reads the path's id and the body of the caller; the tenant and the requester may also be in the query.
    ///
    /// # Errors
    /// The tenant or the requester is not valid; the command refuses other fields when it is decided.
    pub fn read(
        id: &str,
        query: &Fields,
        fields: &Fields,
        rules: &Rules,
        principal: Principal,
    ) -> Result<Self, DomainError> {
        let named = ReactionSelector::read(id, query, fields, principal)?;
        Ok(Self { named, draft: ReactionInput::read(fields, false, rules) })
    }

    /// Names the fields of the body.
    ///
    /// # Errors
    /// None: it reads nothing that a client sent.
    pub fn describe(query: &Fields, fields: &Fields) -> Result<(), DomainError> {
        Self::read("", query, fields, &Rules::default(), Principal::Shared).map(|_| ())
    }

    /// The scope after the change, as far as it is known before.
    fn merged(&self) -> Option<ReactionRule> {
        let (draft, expected) = (self.draft.as_ref().ok()?, self.named.expected.as_ref()?);
        let mut merged = expected.subscription.clone();
        merged.room_id = draft.room_id.clone().unwrap_or(merged.room_id);
        merged.target_actor_id = draft.target_actor_id.clone().unwrap_or(merged.target_actor_id);
        Some(merged)
    }
}

impl Command for UpdateReaction {
    fn reads(&self) -> Vec<Query> {
        let mut reads = self.named.reads();
        reads.extend(self.named.id.map(ReactionProgress::read));
        if let Some(merged) = self.merged() {
            reads.extend(ReactionScope::of(&merged).reads(self.named.requester.as_ref()));
        }
        reads
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let mut stored = self.named.find(ctx)?;
        let caller = self.named.caller();
        ReactionScope::of(&stored.subscription).permit(ctx, caller, UPDATE)?;
        let draft = self.draft.as_ref().map_err(Clone::clone)?;
        if draft.is_empty() {
            return Err(DomainError::new(Code::Validation)
                .saying("the body names nothing to change; name at least one field")
                .into());
        }
        let was_enabled = stored.subscription.enabled;
        draft.apply(&mut stored.subscription, ctx.rules)?;
        ReactionScope::of(&stored.subscription).permit(ctx, caller, UPDATE)?;
        if stored.subscription.enabled && !was_enabled {
            // It ignores the events that were appended while it was disabled.
            stored.since = stored.since.max(ctx.effects.heads.sequence);
        }
        let principal = &self.named.principal;
        (stored.key_id, stored.key_actors) = (principal.key_id(), principal.actors());
        counter::put_changed(ctx, &mut stored)?;
        let progress = ReactionProgress::load(ctx, &stored.subscription)?;
        ctx.put(&progress);
        let shown = ReactionSubscription::new(stored.subscription, Some(progress));
        Ok(WriteReactionResponse::reply(ctx, Success::Ok, shown))
    }
}

/// `DELETE /v1/reactions/subscriptions/{subscriptionId}`.
pub struct DeleteReaction {
    named: ReactionSelector,
}

named!(DeleteReaction);

impl DeleteReaction {
    /// Reads the path's id and the query of the caller.
    ///
    /// # Errors
    /// The tenant or the requester is not valid.
    pub fn read(id: &str, query: &Fields, principal: Principal) -> Result<Self, DomainError> {
        Ok(Self { named: ReactionSelector::read(id, query, query, principal)? })
    }
}

impl Command for DeleteReaction {
    fn reads(&self) -> Vec<Query> {
        self.named.reads()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let stored = self.named.find(ctx)?;
        ReactionScope::of(&stored.subscription).permit(ctx, self.named.caller(), DELETE)?;
        counter::delete(ctx, &stored)?;
        Ok(DeleteReactionResponse::reply(ctx, Success::Ok, true, stored.subscription.id))
    }
}
