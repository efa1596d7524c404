//! What a faulty command, a full queue or a caller that goes away cost: nothing but itself.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
};

use agentcafe_domain::{
    inbox::UnreadCount,
    kernel::{
        command::CommandError,
        ids::Sequence,
        record::{Query, Record},
    },
};
use agentcafe_store::{Answer, Envelope, Failure, Store, store::MAX_WAITING_COMMANDS};
use futures_util::future::join_all;

use crate::{
    batches::all_texts,
    commands::{LeaseToken, NOTE_TYPES, actor, append_note, does, done, keyed, reply, says, together},
    keys::say_once,
    place::StoreLocation,
};

fn seat(number: usize) -> UnreadCount {
    let agentcafe_domain::kernel::actor::ActorInRoom { tenant_id, room_id, actor_id } =
        actor("main", &number.to_string());
    UnreadCount { tenant_id, room_id, actor_id, unread: 1 }
}

fn panics_after_writing() -> Envelope {
    does(|ctx| {
        append_note(ctx, &actor("main", "Nova"), NOTE_TYPES[0], "never", None)?;
        ctx.put(&seat(1));
        panic!("a rule with a fault, which this test is about")
    })
}

/// A command that panics while it is decided costs only itself: nothing of it is kept, its key stays free, and its
/// neighbours and all later turns are done.
#[tokio::test]
async fn a_panic_costs_only_its_own_command() {
    let place = StoreLocation::new();
    let opened = place.open();
    let nova = actor("main", "Nova");
    let batch = vec![
        says(&nova, &["before"]),
        keyed(panics_after_writing(), &nova, "k", "same"),
        says(&nova, &["after"]),
        keyed(says(&nova, &["under its key"]), &nova, "k", "same"),
    ];
    let answers = together(&place, &opened.store, batch).await;
    assert_eq!(done::<Vec<u64>>(&answers[0]), [1]);
    assert!(matches!(answers[1], Err(Failure::Internal(_))), "{:?}", answers[1]);
    assert_eq!(done::<Vec<u64>>(&answers[2]), [2]);
    assert_eq!(done::<Vec<u64>>(&answers[3]), [3]);
    assert!(matches!(opened.store.submit(panics_after_writing()).await, Err(Failure::Internal(_))));
    assert_eq!(done::<Vec<u64>>(&opened.store.submit(says(&nova, &["later"])).await), [4]);
    assert_eq!(all_texts(&opened.store).await, ["before", "after", "under its key", "later"]);
    assert_eq!(opened.store.get::<UnreadCount>(seat(1).key()).await.unwrap(), None);
    opened.close();
}

/// Asks for one seat after the other, `count` of them, each in a reading of its own.
fn reads_one_after_the_other(count: usize) -> Envelope {
    does(move |ctx| {
        for number in 0..count {
            ctx.get::<UnreadCount>(seat(number).key())?;
        }
        reply(&count)
    })
}

/// DESIGN 2: a turn has a bounded number of read stages; a command that asks for ever more is given up, its neighbours
/// are not.
#[tokio::test]
async fn a_command_that_asks_for_ever_more_is_given_up() {
    let place = StoreLocation::new();
    let opened = place.open();
    let endless = does(|ctx| {
        let asked = Query::one::<UnreadCount>(seat(ctx.loaded.len()).key());
        Err::<agentcafe_domain::kernel::command::Reply, _>(CommandError::Load(asked))
    });
    let batch = vec![endless, reads_one_after_the_other(3), says(&actor("main", "Nova"), &["hi"])];
    let answers = together(&place, &opened.store, batch).await;
    assert!(matches!(answers[0], Err(Failure::Internal(_))), "{:?}", answers[0]);
    assert_eq!(done::<usize>(&answers[1]), 3, "three readings are what a command may need");
    assert_eq!(done::<Vec<u64>>(&answers[2]), [1]);
    opened.close();
}

/// Fills the queue while the writer is held, goes on, and then lets everything be done.
async fn overfill(store: &Arc<Store>) {
    let nova = actor("main", "Nova");
    let hold = LeaseToken::the_writer(store).await;
    let submit = |number: usize| store.submit(says(&nova, &[&number.to_string()]));
    let mut waiting = std::pin::pin!(join_all((0..MAX_WAITING_COMMANDS).map(submit)));
    let early = poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_ready())).await;
    assert!(!early);
    for number in 0..10 {
        let refused = submit(number).await;
        assert!(matches!(refused, Err(Failure::Unavailable(_))), "{refused:?}");
    }
    assert!(!store.probe().await, "a probe past the limit says that the store takes no writes");
    hold.release().await;
    assert!(waiting.await.iter().all(Result::is_ok));
}

/// Promise 5: past the queue's limit a caller is told so at once, and all who got in are served.
#[tokio::test]
async fn a_full_queue_says_so_at_once() {
    let place = StoreLocation::new();
    let opened = place.open();
    overfill(&opened.store).await;
    assert_eq!(opened.store.recent_events().head(), Sequence(MAX_WAITING_COMMANDS as u64));
    assert!(opened.store.probe().await);
    opened.close();
}

/// Promise 2: a caller that goes away while its command waits does not undo it; when it comes back, it gets the answer.
#[tokio::test]
async fn a_caller_that_goes_away_finds_its_answer_later() {
    let place = StoreLocation::new();
    let opened = place.open();
    let hold = LeaseToken::the_writer(&opened.store).await;
    let leaving = {
        let store = Arc::clone(&opened.store);
        tokio::spawn(async move { store.submit(say_once("k", "hi")).await })
    };
    tokio::task::yield_now().await;
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    hold.release().await;
    let copy = opened.store.submit(say_once("k", "hi")).await;
    assert!(matches!(copy, Ok(Answer::Replayed { .. })), "{copy:?}");
    assert_eq!(all_texts(&opened.store).await, ["hi"]);
    opened.close();
}
