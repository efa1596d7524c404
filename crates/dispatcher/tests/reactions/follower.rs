//! The follower behind reactions: cooldowns to the millisecond, old cursors, damage, and standing still.

use agentcafe_domain::kernel::{Clock, EventType, FollowerCursor, Sequence, Timestamp};
use serde_json::json;

use crate::cafe::{Cafe, put};

async fn said(cafe: &Cafe) -> usize {
    cafe.log().await.iter().filter(|event| event.kind == EventType::ConversationMessagePosted).count()
}

/// CONTRACT 12, check 1 and RULINGS K2: a rule rests for its cooldown, to the millisecond; 0 is no rest.
#[tokio::test]
async fn a_rule_rests_for_its_cooldown() {
    let cafe = Cafe::open().await;
    let rule = cafe.rule(json!({"cooldownMs": 5_000})).await;
    for (ms, want) in [(0, 1), (4_999, 1), (1, 2), (4_000, 2), (1_000, 3)] {
        cafe.clock.advance(ms);
        cafe.order("Nova").await;
        cafe.adapt().await;
        assert_eq!(said(&cafe).await, want, "after {ms} ms more");
    }
    let shown = cafe.shown(rule).await;
    assert_eq!(
        (shown.trigger_count, shown.error_count, shown.last_error),
        (3, 0, None),
        "rests are no errors"
    );
    let metrics = &cafe.engine.metrics.reactions;
    assert_eq!((metrics.of("triggered"), metrics.of("skipped") >= 2), (3, true));
}

/// RULINGS L7: a log that is gone over again, long after its idempotency keys have expired, makes nobody act twice.
#[tokio::test]
async fn an_old_cursor_makes_nobody_act_twice() {
    let cafe = Cafe::open().await;
    let rule = cafe.rule(json!({})).await;
    for _ in 0..20 {
        cafe.order("Nova").await;
    }
    cafe.adapt().await;
    assert_eq!(said(&cafe).await, 20);
    let cafe = cafe
        .restart(async |engine, clock| {
            clock.advance(600_000);
            let (name, updated_at) = ("reactions".to_owned(), clock.now());
            put(engine, &FollowerCursor { name, cursor: Sequence::START, updated_at }).await;
            while engine.store.purge().await {}
        })
        .await;
    cafe.order("Nova").await;
    cafe.adapt().await;
    assert_eq!(said(&cafe).await, 21);
    assert_eq!(cafe.shown(rule).await.trigger_count, 21);
    assert_eq!(cafe.engine.metrics.reactions.of("triggered"), 1);
}

/// The log's past is no business of reactions when they begin: without a cursor they start at the head, and keep that.
#[tokio::test]
async fn reactions_begin_at_the_head() {
    let cafe = Cafe::open().await;
    cafe.order("Nova").await;
    cafe.adapt().await;
    let kept: FollowerCursor =
        cafe.engine.store.get(FollowerCursor::key_of("reactions")).await.unwrap().unwrap();
    assert_eq!((kept.cursor, kept.updated_at), (Sequence::START, Timestamp::from_millis(1_000_000)));
    let cafe = cafe.restart(async |_, _| ()).await;
    let kept: FollowerCursor =
        cafe.engine.store.get(FollowerCursor::key_of("reactions")).await.unwrap().unwrap();
    assert_eq!(kept.cursor, Sequence(1), "kept at the stop");
}

/// CONTRACT 25.7: a follower that cannot go on for 30 s is named, and why; it goes on by itself once it can.
#[tokio::test]
async fn standing_still_is_told() {
    let cafe = Cafe::open().await;
    let rule = cafe.rule(json!({})).await;
    let whole = agentcafe_domain::reactions::StoredReaction {
        subscription: cafe.shown(rule).await,
        revision: 0,
        since: Sequence::START,
    };
    cafe.damage(rule).await;
    cafe.order("Nova").await;
    let stuck = || cafe.engine.followers.stuck(cafe.clock.stopwatch());
    assert!(stuck().is_empty());
    cafe.until("it stands still", || {
        cafe.clock.advance(1_000);
        stuck().iter().any(|sentence| sentence.contains("cannot be read"))
    })
    .await;
    assert_eq!(cafe.engine.followers.lag("reactions", Sequence(1)), 1);
    cafe.put(&whole).await;
    cafe.adapt().await;
    assert!(stuck().is_empty());
    assert_eq!(said(&cafe).await, 1);
}
