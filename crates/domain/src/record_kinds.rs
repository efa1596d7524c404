//! All kinds of records in one list: what a store holds, what an export contains, and how an import adapts it.

use std::borrow::Cow;

use crate::inbox::{InboxItem, UnreadCount};
use crate::kernel::{CorruptRecord, FollowerCursor, Lease, Portable, Record, Sequence, StoredRecord, Table};
use crate::keys::{ApiKey, KeyUse};
use crate::objects::SharedObject;
use crate::operators::audit::AuditEntry;
use crate::permissions::{Permission, RoomOverride};
use crate::presence::Presence;
use crate::presence::position::Position;
use crate::profiles::Profile;
use crate::reactions::StoredReaction;
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
    RecordKind::of::<Snapshot>(),
    RecordKind::of::<LastVersion>(),
    RecordKind::of::<InboxItem>(),
    RecordKind::of::<UnreadCount>(),
    RecordKind::of::<AuditEntry>(),
    RecordKind::of::<TableSession>(),
    RecordKind::of::<Payment>(),
    RecordKind::of::<StoredReaction>(),
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
];

/// The tables that are never exported: they hold secrets and payments, or belong to the nodes of one store.
pub const NOT_EXPORTED: &[&str] = &["payments", "webhook_secrets", "leases", "api_keys", "api_key_uses"];

/// The tables that nodes cache in memory: a node learns of writes to them by other nodes before it sees a later
/// event.
pub const CACHED_IN_MEMORY: [&Table; 4] =
    [Subscription::TABLE, StoredReaction::TABLE, WebhookCounter::TABLE, ApiKey::TABLE];

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

    /// Whether an export has records of this kind: of a part of a café, only those that say to which part they belong.
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;
    use std::path::PathBuf;

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::kernel::{Cell, Key};

    /// A follower of another store, as one that webhooks or reactions keep.
    #[derive(Serialize, Deserialize)]
    struct Follower {
        name: String,
        cursor: u64,
    }

    impl Record for Follower {
        const TABLE: &'static Table = &Table { name: "followers", key: &["name"], columns: &["cursor"] };

        fn key(&self) -> Key {
            vec![self.name.as_str().into()]
        }

        fn columns(&self) -> Vec<Cell> {
            vec![(self.cursor as i64).into()]
        }
    }

    impl Portable for Follower {
        fn adapt(&mut self, head: Sequence) {
            self.cursor = head.0;
        }
    }

    /// After an import every durable follower resumes at the head, so that no event is processed twice.
    #[test]
    fn record_kind_import_moves_followers_to_the_head() {
        let json = br#"{"name":"reactions","cursor":3}"#.to_vec();
        let kept = RecordKind::of::<Follower>().import(json.clone(), Sequence(9)).unwrap();
        assert_eq!((kept.json.as_slice(), &kept.columns[0]), (json.as_slice(), &Cell::Integer(3)));
        let settled = RecordKind::portable::<Follower>().import(json, Sequence(9)).unwrap();
        assert_eq!(settled.json, br#"{"name":"reactions","cursor":9}"#);
        assert_eq!(settled.columns, [Cell::Integer(9)]);
        assert!(RecordKind::of::<Follower>().import(b"{}".to_vec(), Sequence(9)).is_err());
    }

    /// A record without a tenant or a room is only in a full export; a secret is in none.
    #[test]
    fn parts_of_a_cafe_hold_only_what_is_theirs() {
        let parts = [(false, false), (true, false), (true, true)];
        let exported = |kind: &RecordKind| parts.map(|(tenant, room)| kind.is_exported(tenant, room));
        assert_eq!(exported(&RecordKind::of::<Follower>()), [true, false, false]);
        assert_eq!(exported(&RecordKind::of::<Task>()), [true, true, true]);
        assert_eq!(exported(&RecordKind::of::<Payment>()), [false, false, false]);
    }

    /// A kind that is missing from the list would be missing from every export, without an error.
    #[test]
    fn every_record_of_the_sources_is_listed() {
        let listed = include_str!("record_kinds.rs");
        let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        let mut count = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                    continue;
                }
                let source = fs::read_to_string(entry).unwrap();
                let implementing = source.lines().filter_map(|line| line.strip_prefix("impl Record for "));
                for name in implementing.filter_map(|rest| rest.split_whitespace().next()) {
                    count += 1;
                    let kinds = ["of", "portable"].map(|kind| format!("    RecordKind::{kind}::<{name}>(),"));
                    assert!(
                        kinds.iter().any(|kind| listed.contains(kind)),
                        "{name} is not in record_kinds::ALL"
                    );
                }
            }
        }
        assert_eq!(count, ALL.len());
    }

    #[test]
    fn no_kind_is_listed_twice() {
        let names: HashSet<_> = ALL.iter().map(|kind| kind.table.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(RecordKind::of_table("tasks").is_some() && RecordKind::of_table("events").is_none());
    }
}
