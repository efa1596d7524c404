//! All kinds of records in one list: what a store holds, what an export contains, and how an import adapts it.

use std::borrow::Cow;

use crate::actors::ActorName;
use crate::conversation::MessageBody;
use crate::inbox::{InboxItem, UnreadCount};
use crate::kernel::{
    ClockAnchor, CorruptRecord, FollowerCursor, Lease, Portable, Record, Sequence, StoredRecord, Table,
};
use crate::keys::tickets::Ticket;
use crate::keys::{ApiKey, KeyUse};
use crate::objects::SharedObject;
use crate::operators::audit::AuditEntry;
use crate::permissions::{Permission, RoomOverride};
use crate::presence::Presence;
use crate::presence::position::Position;
use crate::profiles::Profile;
use crate::reactions::counter::ReactionCounter;
use crate::reactions::{ReactionProgress, StoredReaction};
use crate::rooms::Room;
use crate::rooms::pin::{PinHead, PinnedContext};
use crate::snapshots::{LastVersion, Snapshot};
use crate::tables::TableSession;
use crate::tables::payment::Payment;
use crate::tasks::Task;
use crate::tasks::handoff::HandoffPosition;
use crate::webhooks::counter::WebhookCounter;
use crate::webhooks::delivery::{Delivery, DlqEntry};
use crate::webhooks::{DeliveryProgress, Subscription, WebhookSecret};

/// Every kind of record, in the order in which an export lists them. A kind that durable followers keep their place in, or
/// whose records must not act in another store as they did, is [`RecordKind::portable`].
pub const ALL: &[RecordKind] = &[
    RecordKind::of::<Presence>(),
    RecordKind::of::<Position>(),
    RecordKind::of::<Permission>(),
    RecordKind::of::<RoomOverride>(),
    RecordKind::of::<Room>(),
    RecordKind::of::<PinnedContext>(),
    RecordKind::of::<PinHead>(),
    RecordKind::of::<Profile>(),
    RecordKind::of::<Task>(),
    RecordKind::of::<HandoffPosition>(),
    RecordKind::of::<SharedObject>(),
    RecordKind::of::<MessageBody>(),
    RecordKind::of::<Snapshot>(),
    RecordKind::of::<LastVersion>(),
    RecordKind::of::<InboxItem>(),
    RecordKind::of::<UnreadCount>(),
    RecordKind::of::<AuditEntry>(),
    RecordKind::of::<TableSession>(),
    RecordKind::of::<Payment>(),
    RecordKind::of::<StoredReaction>(),
    RecordKind::of::<ReactionProgress>(),
    RecordKind::of::<ReactionCounter>(),
    RecordKind::portable::<FollowerCursor>(),
    RecordKind::of::<Lease>(),
    RecordKind::portable::<Subscription>(),
    RecordKind::of::<WebhookSecret>(),
    RecordKind::portable::<DeliveryProgress>(),
    RecordKind::of::<WebhookCounter>(),
    RecordKind::of::<Delivery>(),
    RecordKind::of::<DlqEntry>(),
    RecordKind::of::<ApiKey>(),
    RecordKind::of::<KeyUse>(),
    RecordKind::of::<ActorName>(),
    RecordKind::of::<Ticket>(),
    RecordKind::of::<ClockAnchor>(),
];

/// The tables that are never exported: they hold secrets and payments, belong to the nodes of one store, or follow from others.
pub const NOT_EXPORTED: &[&str] = &[
    "payments",
    "webhook_secrets",
    "leases",
    "api_keys",
    "api_key_uses",
    "stream_tickets",
    "clock_anchors",
    ActorName::TABLE.name,
    ReactionCounter::TABLE.name,
];

/// The tables that nodes cache in memory: a node invalidates them after writes of other nodes before it sees a later
/// event.
pub const CACHED_IN_MEMORY: [&Table; 4] =
    [Subscription::TABLE, ReactionCounter::TABLE, WebhookCounter::TABLE, ApiKey::TABLE];

/// One kind of record.
pub struct RecordKind {
    /// Where records of this kind are kept.
    pub table: &'static Table,
    adapt: fn(Vec<u8>, Sequence) -> Result<StoredRecord, CorruptRecord>,
    adapts: bool,
}

impl RecordKind {
    /// A kind whose records are the same in every store.
    pub const fn of<R: Record>() -> Self {
        Self { table: R::TABLE, adapt: keep::<R>, adapts: false }
    }

    /// A kind whose records an import adapts.
    pub const fn portable<R: Portable>() -> Self {
        Self { table: R::TABLE, adapt: adapt::<R>, adapts: true }
    }

    /// The kind kept in this table.
    pub fn of_table(table: &str) -> Option<&'static Self> {
        ALL.iter().find(|kind| kind.table.name == table)
    }

    /// Whether records of this kind are never exported.
    pub fn is_internal(&self) -> bool {
        NOT_EXPORTED.contains(&self.table.name)
    }

    /// Whether an export has records of this kind: of a part of a store, only those with the columns of that part.
    pub fn is_exported(&self, by_tenant: bool, by_room: bool) -> bool {
        !self.is_internal()
            && (!by_tenant || self.table.has("tenant_id"))
            && (!by_room || self.table.has("room_id"))
    }

    /// The exported JSON of a record of a store whose log ends at `head`, adapted already.
    ///
    /// # Errors
    /// The JSON is no record of this kind.
    pub fn export<'j>(&self, json: &'j [u8], head: Sequence) -> Result<Cow<'j, [u8]>, CorruptRecord> {
        if !self.adapts {
            return Ok(Cow::Borrowed(json));
        }
        Ok(Cow::Owned((self.adapt)(json.to_vec(), head)?.json))
    }

    /// The record with this JSON, adapted to a store whose log ends at `head`.
    ///
    /// # Errors
    /// The JSON is no record of this kind.
    pub fn import(&self, json: Vec<u8>, head: Sequence) -> Result<StoredRecord, CorruptRecord> {
        (self.adapt)(json, head)
    }
}

fn read<R: Record>(json: &[u8]) -> Result<R, CorruptRecord> {
    serde_json::from_slice(json)
        .map_err(|error| CorruptRecord { table: R::TABLE.name, why: error.to_string() })
}

/// Reads the record for its key and columns, and takes the JSON as it is.
fn keep<R: Record>(json: Vec<u8>, _: Sequence) -> Result<StoredRecord, CorruptRecord> {
    let record: R = read(&json)?;
    Ok(StoredRecord { key: record.key(), columns: record.columns(), json })
}

fn adapt<R: Portable>(json: Vec<u8>, head: Sequence) -> Result<StoredRecord, CorruptRecord> {
    let mut record: R = read(&json)?;
    record.adapt(head);
    Ok(StoredRecord::of(&record))
}
