//! A faulty command, a full queue or a caller that disconnects affects nothing else.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use agentcafe_domain::inbox::UnreadCount;
use agentcafe_domain::kernel::{Code, CommandError, OperationError, Query, Record, Sequence};
use agentcafe_store::store::MAX_WAITING_COMMANDS;
use agentcafe_store::{Answer, Envelope, Failure, Store};
use futures_util::future::join_all;

use crate::commands::{
    NOTE_TYPES, PausedWriter, actor, append_note, append_texts, command, done, reply, submit_batch, with_key,
};
use crate::commit_batches::all_texts;
use crate::idempotency_keys::say_with_key;
use crate::test_store::TestStore;

fn seat(number: usize) -> UnreadCount {
    let agentcafe_domain::kernel::ActorInRoom { tenant_id, room_id, actor_id } =
        actor("main", &number.to_string());
    UnreadCount { tenant_id, room_id, actor_id, unread: 1 }
}

fn panics_after_writing() -> Envelope {
    command(|ctx| {
        append_note(ctx, &actor("main", "Nova"), NOTE_TYPES[0], "never", None)?;
        ctx.put(&seat(1));
        panic!("a faulty rule, which this test is about")
    })
}

/// A command that panics while it is decided leaves nothing behind, and its key stays free. The other
/// commands of its batch, and later ones, are committed.
#[tokio::test]
async fn panic_of_a_command_fails_only_that_command() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let nova = actor("main", "Nova");
    let batch = vec![
        append_texts(&nova, &["before"]),
        with_key(panics_after_writing(), &nova, "k", "same"),
        append_texts(&nova, &["after"]),
        with_key(append_texts(&nova, &["under its key"]), &nova, "k", "same"),
    ];
    let answers = submit_batch(&test_store, &opened.store, batch).await;
    assert_eq!(done::<Vec<u64>>(&answers[0]), [1]);
    assert!(matches!(answers[1], Err(Failure::Internal(_))), "{:?}", answers[1]);
    assert_eq!(done::<Vec<u64>>(&answers[2]), [2]);
    assert_eq!(done::<Vec<u64>>(&answers[3]), [3]);
    assert!(matches!(opened.store.submit(panics_after_writing()).await, Err(Failure::Internal(_))));
    assert_eq!(done::<Vec<u64>>(&opened.store.submit(append_texts(&nova, &["later"])).await), [4]);
    assert_eq!(all_texts(&opened.store).await, ["before", "after", "under its key", "later"]);
    assert_eq!(opened.store.get::<UnreadCount>(seat(1).key()).await.unwrap(), None);
    opened.close();
}

/// What callers get of an internal failure is without its cause.
#[test]
fn err_internal_shows_no_cause() {
    let failure = Failure::Internal("no such table: secrets at /var/lib/agentcafe");
    assert_eq!(OperationError::from(failure), OperationError::internal());
    let OperationError { error, retry_after_seconds, .. } = OperationError::internal();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("ERR_INTERNAL", Code::Internal.message()));
    assert!(error.details.is_empty() && retry_after_seconds.is_none());
}

/// Reads `count` seats, each in a read stage of its own.
fn reads_one_after_the_other(count: usize) -> Envelope {
    command(move |ctx| {
        for number in 0..count {
            ctx.get::<UnreadCount>(seat(number).key())?;
        }
        reply(&count)
    })
}

/// A commit batch has a bounded number of read stages. A command that asks for more fails; the others do
/// not.
#[tokio::test]
async fn command_fails_after_too_many_read_stages() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let endless = command(|ctx| {
        let asked = Query::one::<UnreadCount>(seat(ctx.loaded.len()).key());
        Err::<agentcafe_domain::kernel::Reply, _>(CommandError::Load(vec![asked]))
    });
    let batch = vec![endless, reads_one_after_the_other(3), append_texts(&actor("main", "Nova"), &["hi"])];
    let answers = submit_batch(&test_store, &opened.store, batch).await;
    assert!(matches!(answers[0], Err(Failure::Internal(_))), "{:?}", answers[0]);
    assert_eq!(done::<usize>(&answers[1]), 3, "a command may need three read stages");
    assert_eq!(done::<Vec<u64>>(&answers[2]), [1]);
    opened.close();
}

/// Fills the queue while the writer is paused, submits more, and resumes the writer.
async fn overfill(store: &Arc<Store>) {
    let nova = actor("main", "Nova");
    let paused = PausedWriter::pause(store).await;
    let submit = |number: usize| store.submit(append_texts(&nova, &[&number.to_string()]));
    let mut waiting = std::pin::pin!(join_all((0..MAX_WAITING_COMMANDS).map(submit)));
    let early = poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_ready())).await;
    assert!(!early);
    for number in 0..10 {
        let refused = submit(number).await;
        assert!(matches!(refused, Err(Failure::Unavailable(_))), "{refused:?}");
    }
    assert!(!store.probe().await, "a probe beyond the limit says that the store accepts no writes");
    paused.resume().await;
    assert!(waiting.await.iter().all(Result::is_ok));
}

/// When the queue is full, a command is refused at once, and all queued commands are committed.
#[tokio::test]
async fn full_queue_refuses_commands_at_once() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    overfill(&opened.store).await;
    assert_eq!(opened.store.recent_events().head(), Sequence(MAX_WAITING_COMMANDS as u64));
    assert!(opened.store.probe().await);
    opened.close();
}

/// A caller that disconnects while its command is queued does not undo it. Its retry gets the answer.
#[tokio::test]
async fn abandoned_command_is_committed_and_replayed() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let paused = PausedWriter::pause(&opened.store).await;
    let leaving = {
        let store = Arc::clone(&opened.store);
        tokio::spawn(async move { store.submit(say_with_key("k", "hi")).await })
    };
    tokio::task::yield_now().await;
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    paused.resume().await;
    let copy = opened.store.submit(say_with_key("k", "hi")).await;
    assert!(matches!(copy, Ok(Answer::Replayed { .. })), "{copy:?}");
    assert_eq!(all_texts(&opened.store).await, ["hi"]);
    opened.close();
}
