//! The inbox: notifications of an actor, written in the same transaction as the event that they come from.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::kernel::{
    ACTOR_ID, ActorId, ActorInRoom, Cell, Code, Command, CommandContext, CommandError, Comparison,
    DomainError, EventType, Field, Fields, Key, Notification, Query, ROOM_FILTER, Record, RecordQuery, Reply,
    RoomId, Sequence, StoredEvent, StoredRecord, Success, TenantId, Timestamp, WriteSet, record, response,
};

/// The most items that one bulk acknowledgement takes; `unreadCount` in its response is the rest.
pub const MAX_ACKED_AT_ONCE: usize = 10_000;
/// The most ids that one bulk acknowledgement may list.
pub const MAX_LISTED_IDS: usize = 1_000;

const ACKED_BY: Field =
    Field::new("ackedBy", "The actor that acknowledges. Default: actorId.", "Nova").of_caller();
const ACK_ROOM_ID: Field =
    Field::new("roomId", "The room of the item; only the request's trace shows it.", "main");
const IDS: Field =
    Field::new("ids", "The items to acknowledge.", r#"["0190b5a0-0000-7000-8000-000000000000"]"#)
        .up_to(MAX_LISTED_IDS);
const UP_TO_CURSOR: Field =
    Field::new("upToCursor", "Acknowledge every item up to and including this inboxSeq.", "1").in_example();

/// The most rooms that an unread count adds up.
pub const MAX_COUNTED_ROOMS: usize = 10_000;

/// A notification of an actor, unread until it is acknowledged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InboxItem {
    /// Its place among all inbox items; the cursor of inbox lists.
    pub inbox_seq: Sequence,
    /// Its id.
    pub inbox_id: Uuid,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room of the event.
    pub room_id: RoomId,
    /// The recipient.
    pub actor_id: ActorId,
    /// The event.
    pub source_event_id: Uuid,
    /// The event's place in the log.
    pub source_event_sequence: Sequence,
    /// The event's type.
    pub source_event_type: EventType,
    /// The actor that did it.
    pub source_actor_id: Option<ActorId>,
    /// When it happened.
    pub source_event_at: Option<Timestamp>,
    /// The thread it is about.
    pub thread_id: Option<String>,
    /// `mention`, `task` or `operator`.
    pub topic: String,
    /// The message that mentions the actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The beginning of its body, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// `topic` and the fields of the topic. `mention`: mentionedActorId, sourceMessageId, threadId. `task`: taskId, and of an assignment
    /// fromAssigneeActorId, toAssigneeActorId and assignedBy, of a handoff action, note, blockedReason and initiatedBy. `operator`:
    /// action, targetActorId, reason.
    pub payload: Map<String, Value>,
    /// When the event happened, too.
    pub created_at: Timestamp,
    /// When it was acknowledged.
    pub acked_at: Option<Timestamp>,
    /// By whom.
    pub acked_by: Option<ActorId>,
}

impl InboxItem {
    fn new(inbox_seq: Sequence, inbox_id: Uuid, event: &StoredEvent, notification: Notification) -> Self {
        let (message_id, text, preview) = match notification.message {
            Some(message) => (Some(message.message_id), Some(message.text), message.preview),
            None => (None, None, None),
        };
        Self {
            inbox_seq,
            inbox_id,
            tenant_id: event.tenant_id.clone(),
            room_id: event.room_id.clone(),
            actor_id: notification.recipient,
            source_event_id: event.event_id,
            source_event_sequence: event.sequence,
            source_event_type: event.kind,
            source_actor_id: Some(event.actor_id.clone()),
            source_event_at: Some(event.timestamp),
            thread_id: notification.thread_id,
            topic: notification.topic.to_owned(),
            message_id,
            text,
            preview,
            payload: notification.payload,
            created_at: event.timestamp,
            acked_at: None,
            acked_by: None,
        }
    }

    /// How long the items that were acknowledged among these writes had been unread, in milliseconds.
    pub fn acked_after_ms(written: &WriteSet) -> Vec<i64> {
        let is_acked = |record: &&StoredRecord| Self::TABLE.cell(record, "acked") == Some(&true.into());
        let acked = written.records::<Self>().filter_map(|(_, record)| record.as_ref()).filter(is_acked);
        let waited = |item: Self| Some(item.acked_at?.as_millis() - item.created_at.as_millis());
        acked.filter_map(|record| record.read().ok().and_then(waited)).collect()
    }

    /// The key of an item.
    pub fn key_of(inbox_id: Uuid) -> Key {
        vec![inbox_id.into()]
    }

    fn owner(&self) -> ActorInRoom {
        ActorInRoom::new(&self.tenant_id, &self.room_id, &self.actor_id)
    }
}

record!(InboxItem in "inbox_items" as item: [inbox_id]
    inbox_seq, tenant_id, actor_id, room_id, acked = item.acked_at.is_some());

/// How many unread items an actor has in a room, kept so that counting costs nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadCount {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The actor.
    pub actor_id: ActorId,
    /// The unread items.
    pub unread: u64,
}

record!(UnreadCount in "unread_counts": [tenant_id, room_id, actor_id]);

impl UnreadCount {
    /// The counts that were written, as they are now; deleted ones are 0.
    pub fn changed(written: &WriteSet) -> Vec<Self> {
        let read = |(key, record): (&Key, &Option<StoredRecord>)| match record {
            Some(record) => record.read().ok(),
            None => Self::none(key),
        };
        written.records::<Self>().filter_map(read).collect()
    }

    fn none(key: &Key) -> Option<Self> {
        let [Cell::Text(tenant), Cell::Text(room), Cell::Text(actor)] = &key[..] else { return None };
        Some(Self {
            tenant_id: TenantId::parse(tenant).ok()?,
            room_id: RoomId::parse(room).ok()?,
            actor_id: ActorId::parse(actor).ok()?,
            unread: 0,
        })
    }
}

fn unread(ctx: &CommandContext<'_>, owner: &ActorInRoom) -> Result<u64, CommandError> {
    Ok(ctx.get::<UnreadCount>(owner.key())?.map_or(0, |count| count.unread))
}

/// The counter that an item for this actor changes.
pub(crate) fn counter(owner: &ActorInRoom) -> Query {
    Query::one::<UnreadCount>(owner.key())
}

/// Puts a notification of `event` into its recipient's inbox.
///
/// # Errors
/// [`CommandError::Load`] the recipient's [`counter`].
pub fn deliver(
    ctx: &mut CommandContext<'_>,
    event: &StoredEvent,
    notification: Notification,
) -> Result<(), CommandError> {
    let inbox_seq = ctx.effects.heads.inbox.next();
    let item = InboxItem::new(inbox_seq, ctx.fresh_id(), event, notification);
    count(ctx, &item, 1)?;
    ctx.put(&item);
    ctx.effects.heads.inbox = inbox_seq;
    Ok(())
}

/// Changes the unread counter of the item's owner in the item's room.
fn count(ctx: &mut CommandContext<'_>, item: &InboxItem, change: i64) -> Result<(), CommandError> {
    let owner = item.owner();
    let unread = unread(ctx, &owner)?.saturating_add_signed(change);
    let ActorInRoom { tenant_id, room_id, actor_id } = owner;
    keep(ctx, &UnreadCount { tenant_id, room_id, actor_id, unread });
    Ok(())
}

/// Writes a counter, and deletes one at 0, so that there are only as many as there are inboxes with unread items.
fn keep(ctx: &mut CommandContext<'_>, count: &UnreadCount) {
    if count.unread == 0 {
        ctx.delete::<UnreadCount>(count.key());
    } else {
        ctx.put(count);
    }
}

fn acknowledge(ctx: &mut CommandContext<'_>, mut item: InboxItem, by: &ActorId) -> InboxItem {
    item.acked_at = Some(ctx.now);
    item.acked_by = Some(by.clone());
    ctx.put(&item);
    item
}

/// `POST /v1/inbox/{inboxId}/ack`: an actor acknowledges one item.
pub struct AckInboxItem {
    tenant_id: TenantId,
    actor_id: ActorId,
    room_id: Option<RoomId>,
    inbox_id: Uuid,
    acked_by: Result<Option<ActorId>, DomainError>,
}

response! {
    /// The answer to an [`AckInboxItem`].
    AckInboxItemResponse {
        /// The item.
        item: InboxItem,
        /// Whether the item was not acknowledged before.
        changed: bool,
        /// The number of items that are not acknowledged.
        unread_count: u64,
    }
}

impl AckInboxItem {
    /// Reads the path's id and the body; the tenant may also be in the query.
    ///
    /// # Errors
    /// What identifies the item and its owner does not hold.
    pub fn read(inbox_id: &str, query: &Fields, fields: &Fields) -> Result<Self, DomainError> {
        let tenant_id = fields.tenant_or_in(query)?;
        let actor_id = fields.required_actor(ACTOR_ID)?;
        let inbox_id = Uuid::parse_str(inbox_id)
            .map_err(|_| DomainError::invalid("inboxId", "inboxId must be a UUID").with("value", inbox_id))?;
        let room_id = fields.room(ACK_ROOM_ID)?;
        Ok(Self { tenant_id, actor_id, room_id, inbox_id, acked_by: fields.actor(ACKED_BY) })
    }

    /// Names the fields of the body.
    pub fn describe(fields: &Fields) -> Result<(), DomainError> {
        Self::read(&Uuid::nil().to_string(), fields, fields).map(|_| ())
    }

    /// The owner of the item.
    pub fn owner(&self) -> (&TenantId, Option<&RoomId>, &ActorId) {
        (&self.tenant_id, self.room_id.as_ref(), &self.actor_id)
    }

    /// The item.
    pub fn inbox_id(&self) -> Uuid {
        self.inbox_id
    }

    /// The error for an item that does not exist, or not for its actor.
    pub fn not_found(&self) -> DomainError {
        DomainError::new(Code::NotFound)
            .with("tenantId", self.tenant_id.as_str())
            .with("actorId", self.actor_id.as_str())
            .with("inboxId", self.inbox_id.to_string())
    }
}

impl Command for AckInboxItem {
    fn reads(&self) -> Vec<Query> {
        vec![Query::one::<InboxItem>(InboxItem::key_of(self.inbox_id))]
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let acked_by = self.acked_by.as_ref().map_err(Clone::clone)?.as_ref().unwrap_or(&self.actor_id);
        let item: Option<InboxItem> = ctx.get(InboxItem::key_of(self.inbox_id))?;
        let own = |item: &InboxItem| item.tenant_id == self.tenant_id && item.actor_id == self.actor_id;
        let item = item.filter(own).ok_or_else(|| self.not_found())?;
        let changed = item.acked_at.is_none();
        let item = if changed { acknowledge(ctx, item, acked_by) } else { item };
        if changed {
            count(ctx, &item, -1)?;
        }
        let unread_count = unread(ctx, &item.owner())?;
        Ok(AckInboxItemResponse::reply(ctx, Success::Ok, item, changed, unread_count))
    }
}

/// `POST /v1/inbox/ack`: an actor acknowledges many items.
pub struct AckInboxItems {
    tenant_id: TenantId,
    actor_id: ActorId,
    room_id: Option<RoomId>,
    ids: Vec<Uuid>,
    up_to: Option<Sequence>,
    acked_by: Result<Option<ActorId>, DomainError>,
}

response! {
    /// The answer to an [`AckInboxItems`].
    AckInboxItemsResponse {
        /// The number of items that this request acknowledged.
        acked_count: usize,
        /// The items that this request acknowledged.
        acked_ids: Vec<Uuid>,
        /// The number of items that are not acknowledged.
        unread_count: u64,
    }
}

impl AckInboxItems {
    /// Reads the body.
    ///
    /// # Errors
    /// The first field that is not valid, in the order in which they are read.
    pub fn read(fields: &Fields) -> Result<Self, DomainError> {
        let tenant_id = fields.tenant_or_default()?;
        let actor_id = fields.required_actor(ACTOR_ID)?;
        let room_id = fields.room(ROOM_FILTER)?;
        let ids = fields.uuids(IDS)?;
        let up_to = fields.sequence(UP_TO_CURSOR)?;
        if ids.is_empty() && up_to.is_none() && !fields.is_describing() {
            return Err(DomainError::new(Code::Validation)
                .saying("the body names no items; send ids, or upToCursor, or both")
                .with("fields", json!([IDS.name, UP_TO_CURSOR.name])));
        }
        Ok(Self { tenant_id, actor_id, room_id, ids, up_to, acked_by: fields.actor(ACKED_BY) })
    }

    /// The owner of the items.
    pub fn owner(&self) -> (&TenantId, Option<&RoomId>, &ActorId) {
        (&self.tenant_id, self.room_id.as_ref(), &self.actor_id)
    }

    fn up_to(&self) -> Option<RecordQuery> {
        let find = RecordQuery::all::<InboxItem>("inbox_seq", MAX_ACKED_AT_ONCE)
            .is("tenant_id", &self.tenant_id)
            .is("actor_id", &self.actor_id)
            .is("acked", false)
            .is_if_given("room_id", self.room_id.as_ref())
            .only("inbox_seq", Comparison::AtMost, self.up_to?);
        Some(find)
    }

    fn counts(&self) -> RecordQuery {
        unread_counts(&self.tenant_id, self.room_id.as_ref(), Some(&self.actor_id))
    }
}

/// The counters that add up to a list's `unreadCount`.
pub fn unread_counts(tenant: &TenantId, room: Option<&RoomId>, actor: Option<&ActorId>) -> RecordQuery {
    RecordQuery::all::<UnreadCount>("room_id", MAX_COUNTED_ROOMS)
        .is("tenant_id", tenant)
        .is_if_given("room_id", room)
        .is_if_given("actor_id", actor)
}

impl Command for AckInboxItems {
    fn reads(&self) -> Vec<Query> {
        let listed = self.ids.iter().map(|id| Query::one::<InboxItem>(InboxItem::key_of(*id)));
        let up_to = self.up_to().map(Query::Many);
        listed.chain(up_to).chain([Query::Many(self.counts())]).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let acked_by = self.acked_by.as_ref().map_err(Clone::clone)?.as_ref().unwrap_or(&self.actor_id);
        let mut items: Vec<InboxItem> = match self.up_to() {
            Some(find) => ctx.find(find)?,
            None => Vec::new(),
        };
        for id in &self.ids {
            let listed: Option<InboxItem> = ctx.get(InboxItem::key_of(*id))?;
            items.extend(listed.filter(|item| {
                let in_room = self.room_id.as_ref().is_none_or(|room| *room == item.room_id);
                let own = item.tenant_id == self.tenant_id && item.actor_id == self.actor_id;
                own && in_room && item.acked_at.is_none()
            }));
        }
        items.sort_by_key(|item| item.inbox_seq);
        items.dedup_by_key(|item| item.inbox_seq);
        let counts: Vec<UnreadCount> = ctx.find(self.counts())?;
        let mut unread_count: u64 = counts.iter().map(|count| count.unread).sum();
        let mut acked_ids = Vec::with_capacity(items.len());
        let mut acked_in: HashMap<RoomId, u64> = HashMap::new();
        for item in items {
            let item = acknowledge(ctx, item, acked_by);
            acked_ids.push(item.inbox_id);
            *acked_in.entry(item.room_id).or_default() += 1;
        }
        for mut count in counts {
            let acked = acked_in.get(&count.room_id).copied().unwrap_or(0).min(count.unread);
            if acked > 0 {
                count.unread -= acked;
                unread_count -= acked;
                keep(ctx, &count);
            }
        }
        Ok(AckInboxItemsResponse::reply(ctx, Success::Ok, acked_ids.len(), acked_ids, unread_count))
    }
}
