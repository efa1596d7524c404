//! The list of all kinds of records: what an export contains, and how an import adapts it.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use agentcafe_domain::kernel::{Cell, Key, Portable, Record, Sequence, Table};
use agentcafe_domain::record_kinds::{ALL, RecordKind};
use agentcafe_domain::tables::payment::Payment;
use agentcafe_domain::tasks::Task;
use serde::{Deserialize, Serialize};

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
    let adapted = RecordKind::portable::<Follower>().import(json, Sequence(9)).unwrap();
    assert_eq!(adapted.json, br#"{"name":"reactions","cursor":9}"#);
    assert_eq!(adapted.columns, [Cell::Integer(9)]);
    assert!(RecordKind::of::<Follower>().import(b"{}".to_vec(), Sequence(9)).is_err());
}

/// A record without a tenant or a room is only in a full export; a secret is in none.
#[test]
fn record_kind_without_tenant_or_room_is_in_full_exports_only() {
    let parts = [(false, false), (true, false), (true, true)];
    let exported = |kind: &RecordKind| parts.map(|(tenant, room)| kind.is_exported(tenant, room));
    assert_eq!(exported(&RecordKind::of::<Follower>()), [true, false, false]);
    assert_eq!(exported(&RecordKind::of::<Task>()), [true, true, true]);
    assert_eq!(exported(&RecordKind::of::<Payment>()), [false, false, false]);
}

/// A kind that is missing from the list would be missing from every export, without an error.
#[test]
fn record_kinds_lists_every_record_of_the_sources() {
    let sources = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let listed = fs::read_to_string(sources.join("record_kinds.rs")).unwrap();
    let mut folders = vec![sources];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let source = fs::read_to_string(entry).unwrap();
            // Declared by the macro, or by hand.
            let declared = |line| {
                ["record!(", "impl Record for "].into_iter().find_map(|begin| str::strip_prefix(line, begin))
            };
            let records = source.lines().filter_map(declared);
            for name in records.filter_map(|rest| rest.split_whitespace().next()) {
                count += 1;
                let kinds = ["of", "portable"].map(|kind| format!("    RecordKind::{kind}::<{name}>(),"));
                assert!(kinds.iter().any(|kind| listed.contains(kind)), "{name} is not in record_kinds::ALL");
            }
        }
    }
    assert_eq!(count, ALL.len());
}

#[test]
fn record_kinds_are_listed_once() {
    let names: HashSet<_> = ALL.iter().map(|kind| kind.table.name).collect();
    assert_eq!(names.len(), ALL.len());
    assert!(RecordKind::of_table("tasks").is_some() && RecordKind::of_table("events").is_none());
}
