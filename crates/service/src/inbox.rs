//! The inbox of an actor: listing and acknowledging what is addressed to it.

use agentcafe_domain::inbox::{
    AckInboxItem, AckInboxItemResponse, AckInboxItems, AckInboxItemsResponse, InboxItem, UnreadCount,
    unread_counts,
};
use agentcafe_domain::kernel::{
    ActorId, CURSOR, DomainError, Field, OperationError, ROOM_FILTER, RecordQuery, RoomId, Rules, Sequence,
    TenantId,
};
use agentcafe_domain::keys::Scope;
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{
    Call, FromInput, Input, KeyScope, Mutation, Operation, Prepared, mutation, parameters,
};
use crate::paging::after_sequence;
use crate::read_access;

const OWNER: Field =
    Field::new("actorId", "The actor whose inbox is listed. Default: all of the tenant or the room.", "Nova")
        .of_caller();
const UNREAD_ONLY: Field =
    Field::new("unreadOnly", "Whether to list only items that are not acknowledged. Default: false.", "true");

const LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;

parameters! {
    /// Lists the items of an inbox, or of all inboxes of a tenant or a room.
    ListInbox(fields) {
        tenant: TenantId = fields.tenant_or_default()?,
        room: Option<RoomId> = fields.room(ROOM_FILTER)?,
        actor: Option<ActorId> = fields.owner(OWNER)?,
        viewer: Option<ActorId> = read_access::viewer(fields)?.or_else(|| actor.clone()),
        unread_only: bool = fields.flag(UNREAD_ONLY)?.unwrap_or(false),
        cursor: Option<Sequence> = fields.sequence(CURSOR)?,
        limit: usize = fields.limit(LIMIT, MAX_LIMIT)?,
        descending: bool = fields.is_descending(),
    }
}

/// A page of inbox items.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inbox {
    tenant_id: TenantId,
    room_id: Option<RoomId>,
    actor_id: Option<ActorId>,
    /// Whether only items that are not acknowledged are listed.
    unread_only: bool,
    /// The order of the list: asc or desc.
    order: &'static str,
    /// The number of entries in this answer.
    count: usize,
    /// The cursor to continue from; unchanged if nothing was found.
    next_cursor: Sequence,
    /// The number of items that are not acknowledged.
    unread_count: u64,
    /// The copy of unreadCount in Redis, which may lag; null without Redis, or if room or actor is not given.
    projected_unread_count: Option<u64>,
    /// The items.
    items: Vec<InboxItem>,
}

impl ListInbox {
    fn query(&self) -> RecordQuery {
        let query = RecordQuery::all::<InboxItem>("inbox_seq", self.limit)
            .is("tenant_id", &self.tenant)
            .is_if_given("actor_id", self.actor.as_ref())
            .is_if_given("room_id", self.room.as_ref())
            .is_if_given("acked", self.unread_only.then_some(false));
        after_sequence(query, self.cursor, self.descending)
    }

    /// The copy of the count that Redis holds for an actor in a room; none without a connection.
    async fn projected_unread_count(&self, call: &Call<'_>) -> Option<u64> {
        let redis = call.service.engine.redis.as_ref()?;
        redis.unread_count(&self.tenant, self.room.as_ref()?, self.actor.as_ref()?).await
    }
}

impl Operation for ListInbox {
    type Output = Inbox;

    const SCOPES: &'static [Scope] = &[Scope::Inbox];

    async fn run(self, call: &Call<'_>) -> Result<Inbox, OperationError> {
        let (service, viewer) = (call.service, self.viewer.as_ref());
        if self.actor.is_none() || self.room.is_some() {
            service.may_list(&self.tenant, self.room.as_ref(), viewer).await?;
        }
        let counts = unread_counts(&self.tenant, self.room.as_ref(), self.actor.as_ref());
        let mut counts: Vec<UnreadCount> = service.find(counts).await?;
        let mut items: Vec<InboxItem> = service.find(self.query()).await?;
        let given = self.cursor.unwrap_or(Sequence::START);
        let next_cursor = items.last().map_or(given, |item| item.inbox_seq);
        service.retain_readable(&mut counts, viewer).await?;
        service.retain_readable(&mut items, viewer).await?;
        Ok(Inbox {
            projected_unread_count: self.projected_unread_count(call).await,
            tenant_id: self.tenant,
            room_id: self.room,
            actor_id: self.actor,
            unread_only: self.unread_only,
            order: if self.descending { "desc" } else { "asc" },
            count: items.len(),
            next_cursor,
            unread_count: counts.iter().map(|count| count.unread).sum(),
            items,
        })
    }
}

/// The unread items of an actor, newest first.
pub(crate) fn newest_unread(tenant: &TenantId, actor: &ActorId, limit: usize) -> RecordQuery {
    let newest = RecordQuery::all::<InboxItem>("inbox_seq", limit).newest_first();
    newest.is("tenant_id", tenant).is("actor_id", actor).is("acked", false)
}

/// Acknowledges one item, which the answer shows.
pub struct AckItem(AckInboxItem);

impl FromInput for AckItem {
    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        AckInboxItem::read(&input.id, &input.parameters, &input.body).map(Self)
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = AckInboxItem::describe(&input.body);
    }
}

impl Mutation for AckItem {
    type Command = AckInboxItem;
    type Answer = AckInboxItemResponse;

    const SCOPES: &'static [Scope] = &[Scope::Inbox];

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<AckInboxItem>, OperationError> {
        let Self(ack) = self;
        let (tenant, room, actor) = ack.owner();
        let inbox_id = ack.inbox_id();
        // Only then may what the answer shows be hidden from the caller.
        let principal = &call.caller.principal;
        if call.service.gates_reads() || principal.is_bound_to_rooms() {
            let exists = |item: &InboxItem| {
                let is_own = item.tenant_id == *tenant && item.actor_id == *actor;
                is_own && principal.reaches(tenant, Some(&item.room_id))
            };
            let item: Option<InboxItem> = call.service.get(InboxItem::key_of(inbox_id)).await?;
            let item = item.filter(exists).ok_or_else(|| ack.not_found())?;
            call.service.may_read(tenant, &item.room_id, Some(actor)).await?;
        }
        let parts = [tenant.as_str(), actor.as_str(), "inbox", &inbox_id.to_string(), "ack"];
        Ok(Prepared { scope: KeyScope::post((tenant, room, Some(actor)), parts), command: ack })
    }
}

mutation!(AckInboxItems, AckInboxItemsResponse, Scope::Inbox, |input, _| Self::read(&input.body), |ack| {
    let (tenant, room, actor) = ack.owner();
    let parts = [tenant.as_str(), actor.as_str(), "inbox", "ack", room.map_or("all", RoomId::as_str)];
    KeyScope::post((tenant, room, Some(actor)), parts)
});
