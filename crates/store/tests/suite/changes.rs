//! Who keeps copies of records learns that they may be old: of its table only, and before it can see what came of the change;
//! and what is kept of an answer.

use agentcafe_domain::{
    kernel::{
        command::{CommandContext, CommandError, Reply, Success},
        error::DomainError,
        ids::Sequence,
        record::Record,
    },
    reactions::StoredReaction,
    tasks::Task,
    webhooks::counter::{CounterKind, WebhookCounter},
};
use agentcafe_store::{Envelope, Store};
use serde_json::json;

use crate::{
    commands::{NOTE_TYPES, actor, append_note, does, keyed, reply, says},
    keys::{again, first},
    place::StoreLocation,
    records::{put, task},
};

/// A command that writes to a table which is watched.
pub(crate) fn counts() -> Envelope {
    does(|ctx| {
        count(ctx)?;
        reply(&())
    })
}

pub(crate) fn count(ctx: &mut CommandContext<'_>) -> Result<(), CommandError> {
    let mut counter = WebhookCounter::load(ctx, CounterKind::DeadLetters)?;
    counter.advance();
    ctx.put(&counter);
    Ok(())
}

async fn refused(store: &Store) {
    let refuses = does(|ctx| {
        count(ctx)?;
        Err(DomainError::missing("reason").into())
    });
    assert!(store.submit(refuses).await.is_err());
}

/// A table's watchers are told of each turn that wrote to it, and of no other.
#[tokio::test]
async fn watchers_are_told_of_their_table() {
    let place = StoreLocation::new();
    let opened = place.open();
    let store = &opened.store;
    let (mut counters, others) = (store.changed(WebhookCounter::TABLE), store.changed(StoredReaction::TABLE));
    store.submit(says(&actor("main", "Nova"), &["hi"])).await.unwrap();
    put(store, vec![task(1, "main", None, 0)]).await;
    refused(store).await;
    assert!(!counters.has_changed().unwrap());
    for _ in 0..2 {
        store.submit(counts()).await.unwrap();
        assert!(counters.has_changed().unwrap());
        counters.mark_unchanged();
    }
    let late = store.changed(WebhookCounter::TABLE);
    assert!(!late.has_changed().unwrap() && !others.has_changed().unwrap());
    let deletes = does(|ctx| {
        ctx.delete::<WebhookCounter>(WebhookCounter::key_of(CounterKind::DeadLetters));
        reply(&())
    });
    store.submit(deletes).await.unwrap();
    assert!(counters.has_changed().unwrap() && late.has_changed().unwrap());
    opened.close();
}

/// Whoever sees an event of a turn has been told what else that turn wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_are_told_before_events_are_seen() {
    let place = StoreLocation::new();
    let opened = place.open();
    let mut changed = opened.store.changed(WebhookCounter::TABLE);
    for round in 1..=200 {
        changed.mark_unchanged();
        let both = does(|ctx| {
            count(ctx)?;
            append_note(ctx, &actor("main", "Nova"), NOTE_TYPES[0], "hi", None)?;
            reply(&())
        });
        let store = std::sync::Arc::clone(&opened.store);
        let writing = tokio::spawn(async move { store.submit(both).await.unwrap() });
        while opened.store.recent_events().head() < Sequence(round) {
            tokio::task::yield_now().await;
        }
        assert!(changed.has_changed().unwrap(), "in round {round}");
        writing.await.unwrap();
    }
    opened.close();
}

/// Many records by their keys come in the order of the keys, with gaps where there is none.
#[tokio::test]
async fn many_are_got_at_once() {
    let place = StoreLocation::new();
    let opened = place.open();
    put(&opened.store, vec![task(1, "main", None, 0), task(3, "main", None, 0)]).await;
    let keys = [3, 2, 1].map(|number| task(number, "main", None, 0).key()).to_vec();
    let found: Vec<Option<Task>> = opened.store.get_all(keys).await.unwrap();
    let ids = found.iter().map(|task| task.as_ref().map(Record::key)).collect::<Vec<_>>();
    let key = |number| Some(task(number, "main", None, 0).key());
    assert_eq!(ids, [key(3), None, key(1)]);
    opened.close();
}

/// RULINGS B4: what is shown once is answered, and not kept.
#[tokio::test]
async fn what_is_shown_once_is_not_kept() {
    let place = StoreLocation::new();
    let opened = place.open();
    let nova = actor("main", "Nova");
    let shows = || {
        let shows =
            does(|_| Ok(Reply::shown_once(Success::Created, &json!({"s": "secret"}), &json!({"s": null}))));
        keyed(shows, &nova, "k", "body")
    };
    let data = |reply: &Reply| String::from_utf8(reply.data.clone()).unwrap();
    assert_eq!(data(first(&opened.store.submit(shows()).await)), r#"{"s":"secret"}"#);
    assert_eq!(data(again(&opened.store.submit(shows()).await).0), r#"{"s":null}"#);
    opened.close();
    let opened = place.open();
    assert_eq!(data(again(&opened.store.submit(shows()).await).0), r#"{"s":null}"#);
    opened.close();
}
