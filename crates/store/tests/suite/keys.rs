//! Idempotency keys: one key, one effect, and the first answer for every copy.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use agentcafe_domain::kernel::{
    actor::ActorInRoom,
    command::Reply,
    error::{Code, DomainError},
    idempotency::IdempotencyRules,
    ids::TenantId,
};
use agentcafe_store::{Answer, Envelope, Failure, Store};

use crate::{
    batches::all_texts,
    commands::{Decided, NOTE_TYPES, actor, append_note, does, keyed, reply, requested, says, together},
    place::StoreLocation,
};

fn nova() -> ActorInRoom {
    actor("main", "Nova")
}

/// Says a text under a key: the text is the request's body.
pub(crate) fn say_once(key: &str, text: &str) -> Envelope {
    keyed(says(&nova(), &[text]), &nova(), key, text)
}

async fn submit(store: &Store, key: &str, text: &str) -> Decided {
    store.submit(say_once(key, text)).await
}

/// The reply of a command that took effect now.
pub(crate) fn first(decided: &Decided) -> &Reply {
    match decided {
        Ok(Answer::Done(reply)) => reply,
        other => panic!("not done: {other:?}"),
    }
}

/// The reply and the first correlation id of a command that had taken effect before.
pub(crate) fn again(decided: &Decided) -> (&Reply, &str) {
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

/// One is done, and all others get its answer and its correlation id.
fn assert_one_effect(answers: &[Decided]) {
    let done: Vec<&Reply> =
        answers.iter().filter(|answer| matches!(answer, Ok(Answer::Done(_)))).map(first).collect();
    assert_eq!(done.len(), 1);
    let copies = answers.iter().filter(|answer| !matches!(answer, Ok(Answer::Done(_)))).map(again);
    copies.for_each(|(reply, correlation_id)| assert_eq!((reply, correlation_id), (done[0], "request-k-hi")));
}

/// Promise 2: copies that come at once, on many threads, take effect once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn copies_at_once_take_effect_once() {
    let place = StoreLocation::new();
    let opened = place.open();
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

/// Promise 2, RULINGS D1: copies in one turn take effect once, and another request under the key is a conflict there too.
#[tokio::test]
async fn copies_in_one_batch_take_effect_once() {
    let place = StoreLocation::new();
    let opened = place.open();
    let mut envelopes: Vec<Envelope> = (0..50).map(|_| say_once("k", "hi")).collect();
    envelopes.push(say_once("k", "something else"));
    let mut answers = together(&place, &opened.store, envelopes).await;
    assert_conflict(&answers.pop().unwrap(), "k");
    assert_one_effect(&answers);
    assert_eq!(all_texts(&opened.store).await, ["hi"]);
    opened.close();
}

/// CONTRACT 3.2: the same key with another request is a conflict and changes nothing; the first answer stays.
#[tokio::test]
async fn another_request_under_a_key_is_a_conflict() {
    let place = StoreLocation::new();
    let opened = place.open();
    let done = submit(&opened.store, "k", "hi").await;
    assert_conflict(&submit(&opened.store, "k", "ho").await, "k");
    assert_eq!(again(&submit(&opened.store, "k", "hi").await), (first(&done), "request-k-hi"));
    assert_eq!(all_texts(&opened.store).await, ["hi"]);
    opened.close();
}

/// CONTRACT 3.2: a key belongs to its tenant and scope; elsewhere it is another key.
#[tokio::test]
async fn a_key_counts_within_its_tenant_and_scope() {
    let place = StoreLocation::new();
    let opened = place.open();
    let elsewhere = ActorInRoom { tenant_id: TenantId::parse("other").unwrap(), ..nova() };
    for speaker in [nova(), elsewhere, actor("main", "Kai"), actor("lounge", "Nova")] {
        first(&opened.store.submit(keyed(says(&speaker, &["hi"]), &speaker, "k", "hi")).await);
    }
    assert_eq!(all_texts(&opened.store).await.len(), 4);
    opened.close();
}

/// CONTRACT 3.2: only successes are kept; a refused request leaves its key free, within a turn and after it.
#[tokio::test]
async fn an_error_leaves_its_key_free() {
    let place = StoreLocation::new();
    let opened = place.open();
    let attempts = Arc::new(AtomicUsize::new(0));
    let refused_twice = || {
        let attempts = Arc::clone(&attempts);
        let decide = move |ctx: &mut agentcafe_domain::kernel::command::CommandContext<'_>| {
            if attempts.fetch_add(1, Ordering::SeqCst) < 2 {
                return Err(DomainError::new(Code::Forbidden).into());
            }
            reply(&append_note(ctx, &nova(), NOTE_TYPES[0], "at last", None)?.sequence)
        };
        keyed(does(decide), &nova(), "k", "same")
    };
    let refused = opened.store.submit(refused_twice()).await;
    assert!(matches!(refused, Err(Failure::Refused(_))), "{refused:?}");
    let answers =
        together(&place, &opened.store, vec![refused_twice(), refused_twice(), refused_twice()]).await;
    assert!(matches!(answers[0], Err(Failure::Refused(_))), "{:?}", answers[0]);
    assert_eq!(again(&answers[2]).0, first(&answers[1]));
    assert_eq!(all_texts(&opened.store).await, ["at last"]);
    opened.close();
}

/// CONTRACT 3.2, RULINGS D4: an expired key behaves as absent, for the same request and for another; then its newest
/// use counts.
#[tokio::test]
async fn an_expired_key_can_be_used_again() {
    let place = StoreLocation::new();
    let opened = place.open();
    let ttl_ms = place.rules.get::<IdempotencyRules>().ttl_ms;
    let done = submit(&opened.store, "k", "one").await;
    place.clock.advance(ttl_ms - 1);
    assert_eq!(again(&submit(&opened.store, "k", "one").await).0, first(&done));
    place.clock.advance(1);
    let second = submit(&opened.store, "k", "two").await;
    assert_ne!(first(&second), first(&done));
    assert_eq!(again(&submit(&opened.store, "k", "two").await), (first(&second), "request-k-two"));
    assert_conflict(&submit(&opened.store, "k", "one").await, "k");
    place.clock.advance(ttl_ms - 1);
    assert_eq!(again(&submit(&opened.store, "k", "two").await).0, first(&second));
    place.clock.advance(1);
    let batch = together(&place, &opened.store, vec![say_once("k", "three"), say_once("k", "three")]).await;
    assert_eq!(again(&batch[1]).0, first(&batch[0]));
    assert_eq!(all_texts(&opened.store).await, ["one", "two", "three"]);
    opened.close();
}

/// Purges until there is nothing left to purge.
pub(crate) async fn purge_all(store: &Store) {
    for _ in 0..1_000 {
        if !store.purge().await {
            return;
        }
    }
    panic!("the purge finds more and more");
}

/// RULINGS D5: purging deletes only what has expired; what has not is replayed as before.
#[tokio::test]
async fn purging_spares_what_has_not_expired() {
    let place = StoreLocation::new();
    let opened = place.open();
    first(&submit(&opened.store, "old", "old").await);
    place.clock.advance(place.rules.get::<IdempotencyRules>().ttl_ms / 2);
    let young = submit(&opened.store, "young", "young").await;
    purge_all(&opened.store).await;
    assert_eq!(again(&submit(&opened.store, "old", "old").await).1, "request-old-old");
    place.clock.advance(place.rules.get::<IdempotencyRules>().ttl_ms / 2);
    purge_all(&opened.store).await;
    assert_eq!(again(&submit(&opened.store, "young", "young").await).0, first(&young));
    let new = submit(&opened.store, "old", "new").await;
    purge_all(&opened.store).await;
    assert_eq!(again(&submit(&opened.store, "old", "new").await).0, first(&new));
    opened.close();
}

/// Promise 2: the first answer is kept byte for byte, whatever it holds, with its kind of success.
#[tokio::test]
async fn a_replay_is_the_first_answer_byte_for_byte() {
    use agentcafe_domain::kernel::command::Success;
    let place = StoreLocation::new();
    let opened = place.open();
    let odd = "\u{0}\u{1f600} \"quotes\" \\ \u{2028} 1.0 1e300 ".repeat(5_000);
    for (key, success) in
        [("ok", Success::Ok), ("created", Success::Created), ("accepted", Success::Accepted)]
    {
        let text = odd.clone();
        let decide = move |_: &mut agentcafe_domain::kernel::command::CommandContext<'_>| {
            Ok(Reply::new(success, &text))
        };
        let done = opened.store.submit(requested(does(decide), &nova(), key, "odd", "c-1")).await;
        let text = odd.clone();
        let decide = move |_: &mut agentcafe_domain::kernel::command::CommandContext<'_>| {
            Ok(Reply::new(success, &text.len()))
        };
        let copy = opened.store.submit(requested(does(decide), &nova(), key, "odd", "c-2")).await;
        assert_eq!(again(&copy), (first(&done), "c-1"));
        assert_eq!(first(&done).success, success);
    }
    opened.close();
}
