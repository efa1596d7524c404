//! The follower of reactions: cooldowns, old cursors, damaged records, and stalls.

use std::collections::BTreeMap;

use agentcafe_domain::kernel::{Clock, EventType, FollowerCursor, Record, Sequence, Timestamp};
use agentcafe_domain::reactions::counter::ReactionCounter;
use agentcafe_engine::followers::Progress;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cafe::{Cafe, put};

async fn saved_cursor(cafe: &Cafe) -> FollowerCursor {
    cafe.engine.store.get(FollowerCursor::key_of("reactions")).await.unwrap().unwrap()
}

/// The number of messages in the log.
async fn messages(cafe: &Cafe) -> usize {
    cafe.log().await.iter().filter(|event| event.kind == EventType::ConversationMessagePosted).count()
}

/// A rule skips events until its cooldown has passed, to the millisecond. Skipped events are not errors.
#[tokio::test]
async fn reaction_cooldown_is_exact_to_the_millisecond() {
    let cafe = Cafe::open().await;
    let rule = cafe.rule(json!({"cooldownMs": 5_000})).await;
    for (ms, want) in [(0, 1), (4_999, 1), (1, 2), (4_000, 2), (1_000, 3)] {
        cafe.clock.advance(ms);
        cafe.order("Nova").await;
        cafe.process_all().await;
        assert_eq!(messages(&cafe).await, want, "after {ms} ms more");
    }
    let counts = cafe.counts(rule).await;
    assert_eq!((counts.trigger_count, counts.error_count, counts.last_error), (3, 0, None));
    let outcomes = &cafe.engine.metrics.reactions.outcomes;
    assert_eq!((outcomes.get("triggered").get(), outcomes.get("skipped").get() >= 2), (3, true));
}

/// A rule that was triggered before a restart still pauses after it.
#[tokio::test]
async fn reaction_cooldown_continues_after_a_restart() {
    let cafe = Cafe::open().await;
    cafe.rule(json!({"cooldownMs": 5_000})).await;
    cafe.order("Nova").await;
    cafe.process_all().await;
    let cafe = cafe.restart(async |_, clock| clock.advance(4_999)).await;
    for (ms, want) in [(0, 1), (1, 2)] {
        cafe.clock.advance(ms);
        cafe.order("Nova").await;
        cafe.process_all().await;
        assert_eq!(messages(&cafe).await, want, "after {ms} ms more");
    }
}

/// Kind: one tenant's work holds up another's. A reaction changes no rule, so the rules that are cached stay valid.
#[tokio::test]
async fn reactions_invalidate_no_cached_rule() {
    let cafe = Cafe::open().await;
    let rule = cafe.rule(json!({})).await;
    let (stored, changed) = (cafe.stored(rule).await, cafe.engine.store.changed(ReactionCounter::TABLE));
    for _ in 0..3 {
        cafe.order("Nova").await;
    }
    cafe.process_all().await;
    assert_eq!(cafe.counts(rule).await.trigger_count, 3);
    assert_eq!(cafe.stored(rule).await, stored);
    assert!(!changed.has_changed().unwrap());
    cafe.rule(json!({})).await;
    assert!(changed.has_changed().unwrap());
}

/// Events that are read again, long after their idempotency keys have expired, cause no second reaction.
#[tokio::test]
async fn reactions_run_once_after_the_cursor_moved_back() {
    let cafe = Cafe::open().await;
    let rule = cafe.rule(json!({})).await;
    for _ in 0..20 {
        cafe.order("Nova").await;
    }
    cafe.process_all().await;
    assert_eq!(messages(&cafe).await, 20);
    let cafe = cafe
        .restart(async |engine, clock| {
            clock.advance(600_000);
            let (name, updated_at) = ("reactions".to_owned(), clock.now());
            put(
                engine,
                &FollowerCursor { name, cursor: Sequence::START, lanes: BTreeMap::new(), updated_at },
            )
            .await;
            while engine.store.purge().await {}
        })
        .await;
    cafe.order("Nova").await;
    cafe.process_all().await;
    assert_eq!(messages(&cafe).await, 21);
    assert_eq!(cafe.counts(rule).await.trigger_count, 21);
    assert_eq!(cafe.engine.metrics.reactions.outcomes.get("triggered").get(), 1);
}

/// Without a stored cursor, reactions start at the head of the log and save it. They save their cursor again when they stop.
#[tokio::test]
async fn reactions_start_at_the_head_of_the_log() {
    let cafe = Cafe::open().await;
    cafe.order("Nova").await;
    cafe.process_all().await;
    let saved = saved_cursor(&cafe).await;
    assert_eq!((saved.cursor, saved.updated_at), (Sequence::START, Timestamp::from_millis(1_000_000)));
    let cafe = cafe.restart(async |_, _| ()).await;
    assert_eq!(saved_cursor(&cafe).await.cursor, Sequence(1));
}

/// A follower that fails for 30 s is reported as stuck, with the cause. It resumes when the cause is gone.
#[tokio::test]
async fn reactions_that_cannot_proceed_are_reported_as_stuck() {
    let cafe = Cafe::open().await;
    let rule = cafe.rule(json!({})).await;
    let intact = cafe.stored(rule).await;
    cafe.damage(rule).await;
    cafe.order("Nova").await;
    let stuck = || cafe.engine.followers.stuck(cafe.clock.stopwatch());
    assert!(stuck().is_empty());
    cafe.until("the follower is stuck", || {
        cafe.clock.advance(1_000);
        stuck().iter().any(|sentence| sentence.contains("cannot be read"))
    })
    .await;
    assert_eq!(cafe.engine.followers.lag("reactions", Sequence(1)), 1);
    cafe.put(&intact).await;
    cafe.process_all().await;
    assert!(stuck().is_empty());
    assert_eq!(messages(&cafe).await, 1);
}

/// A follower is stuck when it has worked for 30 s without progress, or has ended although it was not stopped; not while it
/// waits for events.
#[tokio::test]
async fn follower_that_waits_is_not_stuck() {
    let cafe = Cafe::open().await;
    let followers = &cafe.engine.followers;
    let stuck = || followers.stuck(cafe.clock.stopwatch()).join(" ");
    let ending = CancellationToken::new();
    let (progress, _) = Progress::resume(&cafe.engine, "test", &ending).await.unwrap();
    cafe.clock.advance(1_000_000);
    assert_eq!(stuck(), "");
    progress.begin();
    progress.fail("why");
    cafe.clock.advance(29_999);
    assert_eq!(stuck(), "");
    cafe.clock.advance(1);
    assert!(stuck().contains("test") && stuck().ends_with(": why"), "{}", stuck());
    progress.reach(Sequence(7));
    assert_eq!(stuck(), "");
    assert_eq!((followers.lag("test", Sequence(9)), followers.lag("none", Sequence(9))), (2, 0));
    progress.fail("gone");
    drop(progress);
    assert!(stuck().contains("test has ended") && stuck().ends_with(": gone"), "{}", stuck());
    ending.cancel();
    drop(Progress::resume(&cafe.engine, "test", &ending).await.unwrap());
    assert_eq!(stuck(), "");
}
