//! Lists rules, the newest first.

use agentcafe_domain::kernel::{
    ActorId, DomainError, Field, OperationError, ROOM_FILTER, RecordQuery, RoomId, Rules, SortKey, TenantId,
};
use agentcafe_domain::reactions::{ANY_EVENT, MAX_SUBSCRIPTIONS, ReactionSubscription, StoredReaction};

use crate::operation::{Call, Input, Operation};
use crate::paging::{self, record_list};

const ENABLED: Field = Field::new("enabled", "Only rules that are in force, or are not.", "true");
const EVENT_TYPE: Field =
    Field::new("eventType", "Only rules that events of this type trigger.", "order_changed");
const SOURCE_ACTOR_ID: Field = Field::new("sourceActorId", "Only rules about this actor's events.", "Nova");
const TARGET_ACTOR_ID: Field = Field::new("targetActorId", "Only rules by which this actor reacts.", "Kai");

/// Lists rules.
pub struct ListReactions {
    tenant: TenantId,
    room: Option<RoomId>,
    source_actor: Option<ActorId>,
    target_actor: Option<ActorId>,
    event_type: Option<String>,
    enabled: Option<bool>,
    cursor: Option<SortKey>,
    limit: usize,
}

record_list! {
    /// Rules, the newest first.
    ReactionList { subscriptions: ReactionSubscription }
}

impl ListReactions {
    fn query(&self) -> RecordQuery {
        RecordQuery::all::<StoredReaction>("created_at", self.limit)
            .newest_first()
            .is("tenant_id", &self.tenant)
            .is_if_given("room_id", self.room.as_ref())
            .is_if_given("source_actor_id", self.source_actor.as_ref())
            .is_if_given("target_actor_id", self.target_actor.as_ref())
            .is_if_given("enabled", self.enabled)
            .behind(self.cursor.clone())
    }

    fn is_triggered_by_type(&self, rule: &StoredReaction) -> bool {
        let triggers = &rule.subscription.trigger_event_types;
        let matches = |kind: &String| triggers.iter().any(|name| name == kind || name == ANY_EVENT);
        self.event_type.as_ref().is_none_or(matches)
    }
}

impl Operation for ListReactions {
    type Output = ReactionList;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            tenant: fields.tenant_or_default()?,
            room: fields.room(ROOM_FILTER)?,
            source_actor: fields.actor(SOURCE_ACTOR_ID)?,
            target_actor: fields.actor(TARGET_ACTOR_ID)?,
            event_type: fields.trimmed_text(EVENT_TYPE)?,
            enabled: fields.flag(ENABLED)?,
            cursor: paging::cursor::<StoredReaction>(fields)?,
            limit: fields.limit(MAX_SUBSCRIPTIONS, MAX_SUBSCRIPTIONS)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<ReactionList, OperationError> {
        let query = self.query();
        // No column holds the types: all rules that a tenant can have are read, and cut to the page afterwards.
        let all = RecordQuery { limit: MAX_SUBSCRIPTIONS, ..query.clone() };
        let mut rules: Vec<StoredReaction> = call.service.find(all).await?;
        rules.retain(|rule| self.is_triggered_by_type(rule));
        let is_cut = rules.len() > self.limit;
        rules.truncate(self.limit);
        let last = rules.last().filter(|_| is_cut);
        let next_cursor = last.map(|last| paging::cursor_behind(&query, last));
        let subscriptions: Vec<_> = rules.into_iter().map(|rule| rule.subscription).collect();
        Ok((subscriptions, next_cursor).into())
    }
}
