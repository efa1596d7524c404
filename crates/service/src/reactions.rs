//! Reactions: the rules by which actors react to events.

use agentcafe_domain::kernel::{
    DomainError, Field, OperationError, ROOM_FILTER, Record, RecordQuery, Rules, TENANT_FILTER, TenantId,
};
use agentcafe_domain::keys::{Principal, Scope};
use agentcafe_domain::reactions::manage::unknown;
use agentcafe_domain::reactions::{
    ANY_EVENT, CreateReaction as CreateReactionCommand, DeleteReaction, DeleteReactionResponse,
    MAX_SUBSCRIPTIONS, ReactionProgress, ReactionSubscription, StoredReaction,
    UpdateReaction as UpdateReactionCommand, WriteReactionResponse,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, FromInput, Input, KeyScope, Mutation, Operation, Prepared, parameters};
use crate::paging::{Page, PageSelector, cursor_behind, newest_by, record_list};

const ENABLED: Field = Field::new("enabled", "Only rules that are in force, or are not.", "true");
const EVENT_TYPE: Field =
    Field::new("eventType", "Only rules that events of this type trigger.", "order_changed");
const SOURCE_ACTOR_ID: Field = Field::new("sourceActorId", "Only rules about this actor's events.", "Nova");
const TARGET_ACTOR_ID: Field = Field::new("targetActorId", "Only rules by which this actor reacts.", "Kai");

parameters! {
    /// Lists rules, the newest first.
    ListReactions(fields) {
        query: RecordQuery = newest_by::<StoredReaction>("created_at")
            .is("tenant_id", &fields.tenant_or_default()?)
            .is_if_given("room_id", fields.room(ROOM_FILTER)?.as_ref())
            .is_if_given("source_actor_id", fields.actor(SOURCE_ACTOR_ID)?.as_ref())
            .is_if_given("target_actor_id", fields.actor(TARGET_ACTOR_ID)?.as_ref()),
        event_type: Option<String> = fields.trimmed_text(EVENT_TYPE)?,
        enabled: Option<bool> = fields.flag(ENABLED)?,
        page: PageSelector =
            PageSelector::read::<StoredReaction>(fields, (MAX_SUBSCRIPTIONS, MAX_SUBSCRIPTIONS))?,
    }
}

record_list! {
    /// Rules, the newest first.
    ReactionList { subscriptions: ReactionSubscription }
}

impl Operation for ListReactions {
    type Output = ReactionList;

    const SCOPES: &'static [Scope] = &[Scope::React];

    async fn run(self, call: &Call<'_>) -> Result<ReactionList, OperationError> {
        let limit = self.page.limit;
        let owner = call.caller.principal.restricted_to();
        let query = self.query.is_if_given("enabled", self.enabled).is_if_given("owner", owner.as_ref());
        let query = self.page.of(query);
        // No column holds the types: all rules that a tenant can have are read, and cut to the page afterwards.
        let all = RecordQuery { limit: MAX_SUBSCRIPTIONS, ..query.clone() };
        let mut records: Vec<StoredReaction> = call.service.find(all).await?;
        records.retain(|rule| {
            let triggers = &rule.subscription.trigger_event_types;
            let matches = |kind: &String| triggers.iter().any(|name| name == kind || name == ANY_EVENT);
            self.event_type.as_ref().is_none_or(matches)
        });
        let is_cut = records.len() > limit;
        records.truncate(limit);
        let next_cursor = records.last().filter(|_| is_cut).map(|last| cursor_behind(&query, last));
        let keys = records.iter().map(Record::key).collect();
        let progress: Vec<Option<ReactionProgress>> = call.service.store().get_all(keys).await?;
        let page = Page { records: records.into_iter().zip(progress).collect(), next_cursor };
        Ok(page.map(|(rule, progress)| ReactionSubscription::new(rule.subscription, progress)).into())
    }
}

parameters! {
    /// Reads one rule.
    GetReaction(fields, input) {
        id: String = input.id.clone(),
        /// The tenant whose rule it must be; any if none is given.
        tenant: Option<TenantId> = fields.tenant(TENANT_FILTER)?,
    }
}

/// One rule.
#[derive(Serialize, JsonSchema)]
pub struct OneReaction {
    /// The subscription.
    subscription: ReactionSubscription,
}

impl Operation for GetReaction {
    type Output = OneReaction;

    const SCOPES: &'static [Scope] = &[Scope::React];

    async fn run(self, call: &Call<'_>) -> Result<OneReaction, OperationError> {
        let stored: Option<StoredReaction> = call.service.by_id(&self.id, StoredReaction::key_of).await?;
        let found = stored
            .filter(|rule| rule.is_visible_to(&call.caller.principal))
            .map(|rule| rule.subscription)
            .filter(|rule| self.tenant.as_ref().is_none_or(|tenant| *tenant == rule.tenant_id));
        let rule = found.ok_or_else(|| unknown(&self.id))?;
        let progress = call.service.get(StoredReaction::key_of(rule.id)).await?;
        Ok(OneReaction { subscription: ReactionSubscription::new(rule, progress) })
    }
}

/// Creates a rule.
pub struct CreateReaction;

impl FromInput for CreateReaction {
    fn read(_: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self)
    }

    fn describe(input: &Input, rules: &Rules) {
        let _ = CreateReactionCommand::read(&input.body, rules, Principal::Shared);
    }
}

impl Mutation for CreateReaction {
    type Command = CreateReactionCommand;
    type Answer = WriteReactionResponse;

    const SCOPES: &'static [Scope] = &[Scope::React, Scope::Act];

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<CreateReactionCommand>, OperationError> {
        let principal = call.caller.principal.clone();
        let command = CreateReactionCommand::read(&call.input.body, call.service.rules(), principal)?;
        let (tenant, ..) = command.subject();
        let scope = KeyScope::post(command.subject(), [tenant.as_str(), "reactions", "create"]);
        Ok(Prepared { scope, command })
    }
}

/// Declares a mutation of the rule that the path names: what its caller's key must allow, how its command is read and
/// described, and its key's verb. The trace names the room and the actor of the rule, unless the input names the requester.
macro_rules! rule_mutation {
    ($(#[$doc:meta])* $name:ident($command:ty), $answer:ty, $scopes:expr, $read:expr, $describe:expr, $verb:ident, $verb_part:literal) => {
        $(#[$doc])*
        pub struct $name;

        impl FromInput for $name {
            fn read(_: &Input, _: &Rules) -> Result<Self, DomainError> {
                Ok(Self)
            }

            fn describe(input: &Input, rules: &Rules) {
                let describe: fn(&Input, &Rules) = $describe;
                describe(input, rules);
            }
        }

        impl Mutation for $name {
            type Command = $command;
            type Answer = $answer;

            const SCOPES: &'static [Scope] = $scopes;

            async fn prepare(self, call: &Call<'_>) -> Result<Prepared<$command>, OperationError> {
                let read: fn(&Input, &Rules, Principal) -> Result<$command, DomainError> = $read;
                let principal = &call.caller.principal;
                let command = read(call.input, call.service.rules(), principal.clone())?;
                let known: Option<StoredReaction> =
                    call.service.by_id(&call.input.id, StoredReaction::key_of).await?;
                let known = known.filter(|known| known.is_visible_to(principal));
                let rule = known.as_ref().map(|known| &known.subscription);
                let (tenant, requester) = command.subject();
                let actor = requester.or(rule.map(|rule| &rule.target_actor_id));
                let subject = (&tenant, rule.and_then(|rule| rule.room_id.as_ref()), actor);
                let parts = [tenant.as_str(), "reactions", $verb_part, &call.input.id];
                let scope = KeyScope::$verb(subject, parts);
                Ok(Prepared { scope, command: command.expecting(known) })
            }
        }
    };
}

rule_mutation! {
    /// Changes a rule.
    UpdateReaction(UpdateReactionCommand), WriteReactionResponse, &[Scope::React, Scope::Act],
    |input, rules, principal| {
        UpdateReactionCommand::read(&input.id, &input.parameters, &input.body, rules, principal)
    },
    |input, _| drop(UpdateReactionCommand::describe(&input.parameters, &input.body)),
    patch, "PATCH"
}

rule_mutation! {
    /// Deletes a rule.
    RemoveReaction(DeleteReaction), DeleteReactionResponse, &[Scope::React],
    |input, _, principal| DeleteReaction::read(&input.id, &input.parameters, principal),
    |input, _| drop(DeleteReaction::read(&input.id, &input.parameters, Principal::Shared)),
    delete, "DELETE"
}
