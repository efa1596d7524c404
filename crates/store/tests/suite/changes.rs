//! Who keeps copies of records learns that they may be old: of its table only, and before it can see what came of the change.

use agentcafe_domain::{ids::Sequence, record::Record, refusal::Refusal, task::Task};
use agentcafe_store::Store;

use crate::{
    commands::{NOTE_TYPES, actor, append_note, does, reply, says},
    place::Place,
    records::{put, task},
};

async fn refused(store: &Store) {
    let refuses = does(|moment| {
        moment.put(&task(2, "main", None, 0));
        Err(Refusal::missing("reason").into())
    });
    assert!(store.submit(refuses).await.is_err());
}

/// A table's watchers are told of each turn that wrote to it, and of no other.
#[tokio::test]
async fn watchers_are_told_of_their_table() {
    let place = Place::new();
    let opened = place.open();
    let store = &opened.store;
    let (mut tasks, others) = (store.changed(Task::TABLE.name), store.changed("unread_counts"));
    store.submit(says(&actor("main", "Nova"), &["hi"])).await.unwrap();
    refused(store).await;
    assert!(!tasks.has_changed().unwrap());
    for _ in 0..2 {
        put(store, vec![task(1, "main", None, 0)]).await;
        assert!(tasks.has_changed().unwrap());
        tasks.mark_unchanged();
    }
    let late = store.changed(Task::TABLE.name);
    assert!(!late.has_changed().unwrap() && !others.has_changed().unwrap());
    let deletes = does(|moment| {
        moment.delete::<Task>(task(1, "main", None, 0).key());
        reply(&())
    });
    store.submit(deletes).await.unwrap();
    assert!(tasks.has_changed().unwrap() && late.has_changed().unwrap());
    opened.close();
}

/// Whoever sees an event of a turn has been told what else that turn wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_are_told_before_events_are_seen() {
    let place = Place::new();
    let opened = place.open();
    let mut changed = opened.store.changed(Task::TABLE.name);
    for round in 1..=200 {
        changed.mark_unchanged();
        let both = does(|moment| {
            moment.put(&task(1, "main", None, 0));
            append_note(moment, &actor("main", "Nova"), NOTE_TYPES[0], "hi", None)?;
            reply(&())
        });
        let store = std::sync::Arc::clone(&opened.store);
        let writing = tokio::spawn(async move { store.submit(both).await.unwrap() });
        while opened.store.tail().head() < Sequence(round) {
            tokio::task::yield_now().await;
        }
        assert!(changed.has_changed().unwrap(), "in round {round}");
        writing.await.unwrap();
    }
    opened.close();
}
