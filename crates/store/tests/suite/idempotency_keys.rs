//! Idempotency keys: one key, one effect, and the first answer for every copy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agentcafe_domain::kernel::{ActorInRoom, Code, DomainError, IdempotencyRules, Reply, TenantId};
use agentcafe_store::{Answer, Envelope, Failure, Store};

use crate::commands::{
    Decided, NOTE_TYPES, actor, append_note, append_texts, command, reply, submit_batch, with_key,
    with_request,
};
use crate::commit_batches::all_texts;
use crate::test_store::TestStore;

fn nova() -> ActorInRoom {
    actor("main", "Nova")
}

/// Appends a text with an idempotency key: the text is the body of the request.
pub(crate) fn say_with_key(key: &str, text: &str) -> Envelope {
    with_key(append_texts(&nova(), &[text]), &nova(), key, text)
}

async fn submit(store: &Store, key: &str, text: &str) -> Decided {
    store.submit(say_with_key(key, text)).await
}

/// The reply of a command that took effect now.
pub(crate) fn accepted(decided: &Decided) -> &Reply {
    match decided {
        Ok(Answer::Done(reply)) => reply,
        other => panic!("not done: {other:?}"),
    }
}

/// The reply and the first correlation id of a replay.
pub(crate) fn replayed(decided: &Decided) -> (&Reply, &str) {
    match decided {
        Ok(Answer::Replayed { reply, correlation_id }) => (reply, correlation_id.as_str()),
        other => panic!("not replayed: {other:?}"),
    }
}

pub(crate) fn assert_conflict(decided: &Decided, key: &str) {
    let Err(Failure::Refused(error)) = decided else { panic!("no conflict: {decided:?}") };
    assert_eq!(error.code, Code::IdempotencyKeyConflict);
    assert_eq!(error.details["idempotencyKey"], key);
    assert_eq!(error.details["scope"], "main:Nova:/v1/test");
}

/// One takes effect, and all others get its answer and its correlation id.
fn assert_one_effect(answers: &[Decided]) {
    let done: Vec<&Reply> =
        answers.iter().filter(|answer| matches!(answer, Ok(Answer::Done(_)))).map(accepted).collect();
    assert_eq!(done.len(), 1);
    let copies = answers.iter().filter(|answer| !matches!(answer, Ok(Answer::Done(_)))).map(replayed);
    copies.for_each(|(reply, correlation_id)| assert_eq!((reply, correlation_id), (done[0], "request-k-hi")));
}

/// Copies on many threads take effect once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn idempotency_key_takes_effect_once_for_concurrent_copies() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let copies: Vec<_> = (0..200)
        .map(|_| {
            let store = Arc::clone(&opened.store);
            tokio::spawn(async move { submit(&store, "k", "hi").await })
        })
        .collect();
    let mut answers = Vec::new();
    for copy in copies {
        answers.push(copy.await.unwrap());
    }
    assert_one_effect(&answers);
    assert_eq!(all_texts(&opened.store).await, ["hi"]);
    opened.close();
}

/// Copies in one commit batch take effect once, and another request with the key is a conflict there, too.
#[tokio::test]
async fn idempotency_key_takes_effect_once_in_a_commit_batch() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let mut envelopes: Vec<Envelope> = (0..50).map(|_| say_with_key("k", "hi")).collect();
    envelopes.push(say_with_key("k", "something else"));
    let mut answers = submit_batch(&test_store, &opened.store, envelopes).await;
    assert_conflict(&answers.pop().unwrap(), "k");
    assert_one_effect(&answers);
    assert_eq!(all_texts(&opened.store).await, ["hi"]);
    opened.close();
}

/// A conflict changes nothing, and the first answer stays.
#[tokio::test]
async fn idempotency_key_with_another_request_is_a_conflict() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let done = submit(&opened.store, "k", "hi").await;
    assert_conflict(&submit(&opened.store, "k", "ho").await, "k");
    assert_eq!(replayed(&submit(&opened.store, "k", "hi").await), (accepted(&done), "request-k-hi"));
    assert_eq!(all_texts(&opened.store).await, ["hi"]);
    opened.close();
}

/// With another tenant, room or actor, the same text is another key.
#[tokio::test]
async fn idempotency_key_is_scoped_to_tenant_and_route() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let elsewhere = ActorInRoom { tenant_id: TenantId::parse("other").unwrap(), ..nova() };
    for speaker in [nova(), elsewhere, actor("main", "Kai"), actor("lounge", "Nova")] {
        accepted(&opened.store.submit(with_key(append_texts(&speaker, &["hi"]), &speaker, "k", "hi")).await);
    }
    assert_eq!(all_texts(&opened.store).await.len(), 4);
    opened.close();
}

/// Only successes are stored. A refused request leaves its key free, within a commit batch and after it.
#[tokio::test]
async fn idempotency_key_of_a_refused_request_stays_free() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let attempts = Arc::new(AtomicUsize::new(0));
    let refused_twice = || {
        let attempts = Arc::clone(&attempts);
        let decide = move |ctx: &mut agentcafe_domain::kernel::CommandContext<'_>| {
            if attempts.fetch_add(1, Ordering::SeqCst) < 2 {
                return Err(DomainError::new(Code::Forbidden).into());
            }
            reply(&append_note(ctx, &nova(), NOTE_TYPES[0], "at last", None)?.sequence)
        };
        with_key(command(decide), &nova(), "k", "same")
    };
    let refused = opened.store.submit(refused_twice()).await;
    assert!(matches!(refused, Err(Failure::Refused(_))), "{refused:?}");
    let answers =
        submit_batch(&test_store, &opened.store, vec![refused_twice(), refused_twice(), refused_twice()])
            .await;
    assert!(matches!(answers[0], Err(Failure::Refused(_))), "{:?}", answers[0]);
    assert_eq!(replayed(&answers[2]).0, accepted(&answers[1]));
    assert_eq!(all_texts(&opened.store).await, ["at last"]);
    opened.close();
}

/// An expired key behaves as absent, for the same request and for another; then its newest use counts.
#[tokio::test]
async fn idempotency_key_can_be_reused_after_it_expires() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let ttl_ms = test_store.rules.get::<IdempotencyRules>().ttl_ms;
    let done = submit(&opened.store, "k", "one").await;
    test_store.clock.advance(ttl_ms - 1);
    assert_eq!(replayed(&submit(&opened.store, "k", "one").await).0, accepted(&done));
    test_store.clock.advance(1);
    let second = submit(&opened.store, "k", "two").await;
    assert_ne!(accepted(&second), accepted(&done));
    assert_eq!(replayed(&submit(&opened.store, "k", "two").await), (accepted(&second), "request-k-two"));
    assert_conflict(&submit(&opened.store, "k", "one").await, "k");
    test_store.clock.advance(ttl_ms - 1);
    assert_eq!(replayed(&submit(&opened.store, "k", "two").await).0, accepted(&second));
    test_store.clock.advance(1);
    let batch = submit_batch(
        &test_store,
        &opened.store,
        vec![say_with_key("k", "three"), say_with_key("k", "three")],
    )
    .await;
    assert_eq!(replayed(&batch[1]).0, accepted(&batch[0]));
    assert_eq!(all_texts(&opened.store).await, ["one", "two", "three"]);
    opened.close();
}

/// Purges until nothing is left to purge.
pub(crate) async fn purge_all(store: &Store) {
    for _ in 0..1_000 {
        if !store.purge().await {
            return;
        }
    }
    panic!("the purge does not end");
}

/// What has not expired is replayed as before.
#[tokio::test]
async fn idempotency_key_purge_spares_keys_that_have_not_expired() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    accepted(&submit(&opened.store, "old", "old").await);
    test_store.clock.advance(test_store.rules.get::<IdempotencyRules>().ttl_ms / 2);
    let young = submit(&opened.store, "young", "young").await;
    purge_all(&opened.store).await;
    assert_eq!(replayed(&submit(&opened.store, "old", "old").await).1, "request-old-old");
    test_store.clock.advance(test_store.rules.get::<IdempotencyRules>().ttl_ms / 2);
    purge_all(&opened.store).await;
    assert_eq!(replayed(&submit(&opened.store, "young", "young").await).0, accepted(&young));
    let new = submit(&opened.store, "old", "new").await;
    purge_all(&opened.store).await;
    assert_eq!(replayed(&submit(&opened.store, "old", "new").await).0, accepted(&new));
    opened.close();
}

/// Whatever it holds, with its kind of success.
#[tokio::test]
async fn idempotency_replay_is_the_first_answer_byte_for_byte() {
    use agentcafe_domain::kernel::Success;
    let test_store = TestStore::new();
    let opened = test_store.open();
    let odd = "\u{0}\u{1f600} \"quotes\" \\ \u{2028} 1.0 1e300 ".repeat(5_000);
    for (key, success) in
        [("ok", Success::Ok), ("created", Success::Created), ("accepted", Success::Accepted)]
    {
        let text = odd.clone();
        let decide =
            move |_: &mut agentcafe_domain::kernel::CommandContext<'_>| Ok(Reply::new(success, &text));
        let done = opened.store.submit(with_request(command(decide), &nova(), key, "odd", "c-1")).await;
        let text = odd.clone();
        let decide =
            move |_: &mut agentcafe_domain::kernel::CommandContext<'_>| Ok(Reply::new(success, &text.len()));
        let copy = opened.store.submit(with_request(command(decide), &nova(), key, "odd", "c-2")).await;
        assert_eq!(replayed(&copy), (accepted(&done), "c-1"));
        assert_eq!(accepted(&done).success, success);
    }
    opened.close();
}
