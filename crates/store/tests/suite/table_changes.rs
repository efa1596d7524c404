//! Notifications of table changes: of one table only, and before the events of the change are visible.

use agentcafe_domain::kernel::{CommandContext, CommandError, DomainError, Record, Reply, Sequence, Success};
use agentcafe_domain::reactions::counter::ReactionCounter;
use agentcafe_domain::tasks::Task;
use agentcafe_domain::webhooks::counter::{CounterKind, WebhookCounter};
use agentcafe_store::{Envelope, Store};
use serde_json::json;

use crate::commands::{NOTE_TYPES, actor, append_note, append_texts, command, reply, with_key};
use crate::idempotency_keys::{accepted, replayed};
use crate::records::{put, task};
use crate::test_store::TestStore;

/// A command that writes to a table with a version.
pub(crate) fn counts() -> Envelope {
    command(|ctx| {
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
    let refuses = command(|ctx| {
        count(ctx)?;
        Err(DomainError::missing("reason").into())
    });
    assert!(store.submit(refuses).await.is_err());
}

/// A table's watchers are notified of each commit batch that wrote to it, and of no other.
#[tokio::test]
async fn table_change_notifies_the_watchers_of_that_table_only() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let store = &opened.store;
    let (mut counters, others) =
        (store.changed(WebhookCounter::TABLE), store.changed(ReactionCounter::TABLE));
    store.submit(append_texts(&actor("main", "Nova"), &["hi"])).await.unwrap();
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
    let deletes = command(|ctx| {
        ctx.delete::<WebhookCounter>(WebhookCounter::key_of(CounterKind::DeadLetters));
        reply(&())
    });
    store.submit(deletes).await.unwrap();
    assert!(counters.has_changed().unwrap() && late.has_changed().unwrap());
    opened.close();
}

/// Whoever reads an event of a commit batch was notified of what else it wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn table_change_is_published_before_the_events_of_its_batch() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let mut changed = opened.store.changed(WebhookCounter::TABLE);
    for round in 1..=200 {
        changed.mark_unchanged();
        let both = command(|ctx| {
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

/// Records come in the order of the keys, with none for a missing record.
#[tokio::test]
async fn get_all_returns_records_in_the_order_of_their_keys() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    put(&opened.store, vec![task(1, "main", None, 0), task(3, "main", None, 0)]).await;
    let keys = [3, 2, 1].map(|number| task(number, "main", None, 0).key()).to_vec();
    let found: Vec<Option<Task>> = opened.store.get_all(keys).await.unwrap();
    let ids = found.iter().map(|task| task.as_ref().map(Record::key)).collect::<Vec<_>>();
    let key = |number| Some(task(number, "main", None, 0).key());
    assert_eq!(ids, [key(3), None, key(1)]);
    opened.close();
}

/// A reply with a secret is answered once; replays get it without the secret.
#[tokio::test]
async fn reply_shown_once_is_not_stored() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let nova = actor("main", "Nova");
    let shows = || {
        let shows = command(|_| {
            Ok(Reply::shown_once(Success::Created, &json!({"s": "secret"}), &json!({"s": null})))
        });
        with_key(shows, &nova, "k", "body")
    };
    let data = |reply: &Reply| String::from_utf8(reply.data.clone()).unwrap();
    assert_eq!(data(accepted(&opened.store.submit(shows()).await)), r#"{"s":"secret"}"#);
    assert_eq!(data(replayed(&opened.store.submit(shows()).await).0), r#"{"s":null}"#);
    opened.close();
    let opened = test_store.open();
    assert_eq!(data(replayed(&opened.store.submit(shows()).await).0), r#"{"s":null}"#);
    opened.close();
}
