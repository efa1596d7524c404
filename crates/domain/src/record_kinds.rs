//! Every kind of record there is, in one list: what a store holds, what may leave it, and how it comes into another one.

use std::borrow::Cow;

use crate::{
    inbox::{InboxItem, UnreadCount},
    kernel::{
        follower::FollowerCursor,
        ids::Sequence,
        lease::Lease,
        record::{CorruptRecord, Portable, Record, StoredRecord, Table},
    },
    objects::SharedObject,
    operators::audit::AuditEntry,
    permissions::{Permission, RoomOverride},
    presence::{Presence, position::Position},
    profiles::Profile,
    reactions::StoredReaction,
    rooms::{
        Room,
        pin::{PinHead, PinnedContext},
    },
    snapshots::{LastVersion, Snapshot},
    tables::{TableSession, payment::Payment},
    tasks::{Task, handoff::HandoffPlace},
    webhooks::{
        Progress, Subscription, WebhookSecret,
        counter::Counter,
        delivery::{Delivery, DlqEntry},
    },
};

/// Every kind of record, in the order in which an export lists them. A kind that durable followers keep their place in, or
/// whose records must not act in another store as they did, is [`Kind::portable`].
pub const ALL: &[Kind] = &[
    Kind::of::<Presence>(),
    Kind::of::<Position>(),
    Kind::of::<Permission>(),
    Kind::of::<RoomOverride>(),
    Kind::of::<Room>(),
    Kind::of::<PinnedContext>(),
    Kind::of::<PinHead>(),
    Kind::of::<Profile>(),
    Kind::of::<Task>(),
    Kind::of::<HandoffPlace>(),
    Kind::of::<SharedObject>(),
    Kind::of::<Snapshot>(),
    Kind::of::<LastVersion>(),
    Kind::of::<InboxItem>(),
    Kind::of::<UnreadCount>(),
    Kind::of::<AuditEntry>(),
    Kind::of::<TableSession>(),
    Kind::of::<Payment>(),
    Kind::of::<StoredReaction>(),
    Kind::portable::<FollowerCursor>(),
    Kind::of::<Lease>(),
    Kind::portable::<Subscription>(),
    Kind::of::<WebhookSecret>(),
    Kind::portable::<Progress>(),
    Kind::of::<Counter>(),
    Kind::of::<Delivery>(),
    Kind::of::<DlqEntry>(),
];

/// The tables that never leave a store: they hold secrets and money, or say which of its nodes does what.
pub const NOT_EXPORTED: &[&str] = &["payments", "webhook_secrets", "leases"];

/// The tables of which nodes keep a picture in memory: they learn of what other nodes write to them before they see a later
/// event.
pub const CACHED_IN_MEMORY: [&Table; 3] = [Subscription::TABLE, StoredReaction::TABLE, Counter::TABLE];

/// One kind of record.
pub struct Kind {
    /// Where records of this kind are kept.
    pub table: &'static Table,
    adapt: fn(Vec<u8>, Sequence) -> Result<StoredRecord, CorruptRecord>,
    adapts: bool,
}

impl Kind {
    /// A kind whose records are the same wherever they are.
    pub const fn of<R: Record>() -> Self {
        Self { table: R::TABLE, adapt: keep::<R>, adapts: false }
    }

    /// A kind whose records settle in.
    pub const fn portable<R: Portable>() -> Self {
        Self { table: R::TABLE, adapt: adapt::<R>, adapts: true }
    }

    /// The kind kept in this table.
    pub fn named(table: &str) -> Option<&'static Self> {
        ALL.iter().find(|kind| kind.table.name == table)
    }

    /// Whether records of this kind never leave a store.
    pub fn stays(&self) -> bool {
        NOT_EXPORTED.contains(&self.table.name)
    }

    /// Whether an export has records of this kind: of a part of a café, only those that say to which part they belong.
    pub fn is_exported(&self, by_tenant: bool, by_room: bool) -> bool {
        !self.stays()
            && (!by_tenant || self.table.has("tenant_id"))
            && (!by_room || self.table.has("room_id"))
    }

    /// The JSON with which a record leaves a store whose log ends at `head`: already as it will be where it comes to.
    ///
    /// # Errors
    /// The JSON is no record of this kind.
    pub fn leave<'j>(&self, json: &'j [u8], head: Sequence) -> Result<Cow<'j, [u8]>, CorruptRecord> {
        if !self.adapts {
            return Ok(Cow::Borrowed(json));
        }
        Ok(Cow::Owned((self.adapt)(json.to_vec(), head)?.json))
    }

    /// The record with this JSON, as a store keeps it whose log ends at `head`.
    ///
    /// # Errors
    /// The JSON is no record of this kind.
    pub fn arrive(&self, json: Vec<u8>, head: Sequence) -> Result<StoredRecord, CorruptRecord> {
        (self.adapt)(json, head)
    }
}

fn read<R: Record>(json: &[u8]) -> Result<R, CorruptRecord> {
    serde_json::from_slice(json)
        .map_err(|error| CorruptRecord { table: R::TABLE.name, why: error.to_string() })
}

/// Keeps the JSON as it is; key and columns are what the record says.
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
    use std::{collections::HashSet, fs, path::PathBuf};

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::kernel::record::{Cell, Key};

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

    /// After a move every durable follower stands at the head: nothing is told twice.
    #[test]
    fn followers_adapt_at_the_head() {
        let json = br#"{"name":"reactions","cursor":3}"#.to_vec();
        let kept = Kind::of::<Follower>().arrive(json.clone(), Sequence(9)).unwrap();
        assert_eq!((kept.json.as_slice(), &kept.columns[0]), (json.as_slice(), &Cell::Integer(3)));
        let settled = Kind::portable::<Follower>().arrive(json, Sequence(9)).unwrap();
        assert_eq!(settled.json, br#"{"name":"reactions","cursor":9}"#);
        assert_eq!(settled.columns, [Cell::Integer(9)]);
        assert!(Kind::of::<Follower>().arrive(b"{}".to_vec(), Sequence(9)).is_err());
    }

    /// What says nothing of tenant or room is only in the export of a whole café; what is secret is in none.
    #[test]
    fn parts_of_a_cafe_hold_only_what_is_theirs() {
        let parts = [(false, false), (true, false), (true, true)];
        let exported = |kind: &Kind| parts.map(|(tenant, room)| kind.is_exported(tenant, room));
        assert_eq!(exported(&Kind::of::<Follower>()), [true, false, false]);
        assert_eq!(exported(&Kind::of::<Task>()), [true, true, true]);
        assert_eq!(exported(&Kind::of::<Payment>()), [false, false, false]);
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
                    let kinds = ["of", "portable"].map(|kind| format!("    Kind::{kind}::<{name}>(),"));
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
        assert!(Kind::named("tasks").is_some() && Kind::named("events").is_none());
    }
}
