//! Reactions that are blocked: the reason is recorded in the rule, and no event is appended.

use std::collections::BTreeMap;

use agentcafe_domain::kernel::{ActorId, Clock, Timestamp, Usd};
use agentcafe_domain::permissions::{Mute, Permission, RoomOverride};
use agentcafe_domain::presence::{Presence, Status};
use agentcafe_domain::rooms::{Room, RoomType};
use agentcafe_domain::tables::{SessionStatus, TableSession};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::cafe::{Cafe, actor};

fn permission(name: &str) -> Permission {
    Permission::default_of(&actor(name))
}

fn overridden(is_paused: bool, muted: &[&str]) -> RoomOverride {
    let (who, at) = (actor("Op"), Timestamp::from_millis(0));
    let mute = |name: &&str| {
        let actor_id = actor(name).actor_id;
        let muted_by = actor("Op").actor_id;
        (actor_id.clone(), Mute { actor_id, muted_by, muted_at: at, reason: None })
    };
    RoomOverride {
        tenant_id: who.tenant_id,
        room_id: who.room_id,
        room_paused: is_paused,
        paused_by: None,
        pause_reason: None,
        paused_at: None,
        resumed_at: None,
        muted_actors: BTreeMap::from_iter(muted.iter().map(mute)),
        metadata: Map::new(),
        created_at: at,
        updated_at: at,
    }
}

fn private_room() -> Room {
    let who = actor("Nova");
    Room { room_type: RoomType::PrivateTable, ..Room::without_record(who.tenant_id, who.room_id) }
}

/// A session of Nova's with these invited actors.
fn session(now: Timestamp, invited: &[&str], features: &[&str]) -> TableSession {
    let who = actor("Nova");
    TableSession {
        session_id: Uuid::from_u128(1),
        tenant_id: who.tenant_id,
        room_id: who.room_id,
        owner_actor_id: who.actor_id,
        plan_id: "cappuccino".to_owned(),
        max_agents: 2,
        features: features.iter().map(|name| (*name).to_owned()).collect(),
        invited_actor_ids: invited.iter().map(|name| actor(name).actor_id).collect(),
        status: SessionStatus::Active,
        started_at: now,
        expires_at: now.plus_ms(60_000),
        ended_at: None,
        payment_ref: None,
        payment_amount_usd: Usd::from_cents(350),
        payment_provider: "stub".to_owned(),
        metadata: Map::new(),
        created_at: now,
        updated_at: now,
    }
}

fn present(now: Timestamp, name: &str) -> Presence {
    let who = actor(name);
    Presence {
        tenant_id: who.tenant_id,
        room_id: who.room_id,
        actor_id: who.actor_id,
        status: Status::Busy,
        last_heartbeat_at: now,
        ttl_ms: 600_000,
        expires_at: now.plus_ms(600_000),
        is_active: true,
        created_at: now,
        updated_at: now,
    }
}

/// Appends an order, and checks the rule afterwards: without an error in `want`, its reaction must have run.
async fn check(cafe: &Cafe, rule: Uuid, want: Option<&str>, what: &str) {
    let (before, events) = (cafe.counts(rule).await, cafe.log().await.len());
    cafe.order("Nova").await;
    cafe.process_all().await;
    let after = cafe.counts(rule).await;
    let log = cafe.log().await;
    assert_eq!(after.last_error.as_deref(), want, "{what}");
    assert_eq!(after.last_source_event_id, Some(log[events].event_id), "{what}");
    let counted = (after.trigger_count - before.trigger_count, after.error_count - before.error_count);
    assert_eq!(counted, if want.is_some() { (0, 1) } else { (1, 0) }, "{what}");
    assert_eq!(log.len() - events > 1, want.is_none(), "{what}");
}

/// A paused room blocks reactions, and a mute those of the muted actor that speak.
#[tokio::test]
async fn reactions_are_blocked_by_overrides() {
    let cafe = Cafe::open().await;
    let says = cafe.rule(json!({})).await;
    for (is_paused, muted, want) in [
        (false, vec![], None),
        (true, vec![], Some("operator_override:ROOM_PAUSED")),
        (false, vec!["Kai"], Some("operator_override:ACTOR_MUTED")),
        (false, vec!["Nova"], None),
    ] {
        cafe.put(&overridden(is_paused, &muted)).await;
        check(&cafe, says, want, &format!("{is_paused} {muted:?}")).await;
    }
    let page = cafe.engine.metrics_page();
    assert!(page.contains("agentcafe_override_blocks_total{reason=\"ACTOR_MUTED\"} 1"), "{page}");
    let moves =
        cafe.rule(json!({"actionType": "move", "actionPayload": {"direction": "N"}, "roomId": "main"})).await;
    cafe.put(&overridden(false, &["Kai"])).await;
    check(&cafe, moves, None, "muted actors may move").await;
}

/// Each action requires its permission.
#[tokio::test]
async fn reactions_require_the_permission_of_their_action() {
    type Take = fn(&mut Permission);
    let say = json!({"text": "hello"});
    let cases: [(&str, Value, Take, &str); 3] = [
        ("say", say, |may| may.can_speak = false, "forbidden:canSpeak"),
        ("move", json!({"direction": "N"}), |may| may.can_move = false, "forbidden:canMove"),
        ("order", json!({"itemId": "tea"}), |may| may.can_order = false, "forbidden:canOrder"),
    ];
    for (kind, payload, take, want) in cases {
        let cafe = Cafe::open().await;
        let rule = cafe.rule(json!({"actionType": kind, "actionPayload": payload})).await;
        let mut may = permission("Kai");
        cafe.put(&may).await;
        check(&cafe, rule, None, kind).await;
        take(&mut may);
        cafe.put(&may).await;
        check(&cafe, rule, Some(want), kind).await;
    }
}

/// At a private table, a reaction requires an invitation and the features of the plan, also of a rule for all rooms.
#[tokio::test]
async fn reactions_require_access_to_a_private_table() {
    let forbidden = Some("forbidden:session");
    let both = ["basic_thread_chat", "event_subscriptions"];
    for room in [json!(null), json!("main")] {
        let cafe = Cafe::open().await;
        let says = cafe.rule(json!({"roomId": room})).await;
        check(&cafe, says, None, "a lobby").await;
        cafe.put(&private_room()).await;
        check(&cafe, says, forbidden, "no session").await;
        let now = cafe.clock.now();
        cafe.put(&session(now, &["Bo"], &both)).await;
        check(&cafe, says, forbidden, "not invited").await;
        cafe.put(&session(now, &["Kai"], &both[..1])).await;
        check(&cafe, says, forbidden, "a plan without reactions").await;
        cafe.put(&session(now, &["Kai"], &both[1..])).await;
        check(&cafe, says, forbidden, "a plan without speech").await;
        cafe.put(&session(now, &["Kai"], &both)).await;
        check(&cafe, says, None, "invited").await;
        cafe.clock.advance(60_000);
        check(&cafe, says, forbidden, "after the session").await;
    }
}

/// A reaction makes its target present, which requires a free seat.
#[tokio::test]
async fn reaction_requires_a_free_seat() {
    let cafe = Cafe::open().await;
    let says = cafe.rule(json!({})).await;
    let now = cafe.clock.now();
    cafe.put(&private_room()).await;
    cafe.put(&session(now, &["Kai", "Bo"], &["basic_thread_chat", "event_subscriptions"])).await;
    for name in ["Nova", "Bo"] {
        cafe.put(&present(now, name)).await;
    }
    check(&cafe, says, Some("forbidden:session"), "a full table").await;
    cafe.put(&Presence { is_active: false, ..present(now, "Bo") }).await;
    check(&cafe, says, None, "a free seat").await;
    cafe.put(&present(now, "Bo")).await;
    check(&cafe, says, None, "a seated actor").await;
}

/// A rule that is blocked does not stop the others.
#[tokio::test]
async fn reactions_of_other_rules_run_when_one_is_blocked() {
    let cafe = Cafe::open().await;
    let muted = cafe.rule(json!({"targetActorId": "Muted"})).await;
    let first = cafe.rule(json!({"actionPayload": {"text": "first"}})).await;
    let second = cafe.rule(json!({"targetActorId": "Bo", "actionPayload": {"text": "second"}})).await;
    cafe.put(&overridden(false, &["Muted"])).await;
    cafe.order("Nova").await;
    cafe.process_all().await;
    let mut texts: Vec<Value> = cafe
        .log()
        .await
        .iter()
        .filter_map(|event| event.payload.get("bubble"))
        .map(|bubble| bubble["text"].clone())
        .collect();
    texts.sort_unstable_by_key(Value::to_string);
    assert_eq!(texts, [json!("first"), json!("second")]);
    assert_eq!(cafe.counts(muted).await.error_count, 1);
    for rule in [first, second] {
        assert_eq!(cafe.counts(rule).await.trigger_count, 1);
    }
    assert_eq!(cafe.stored(first).await.subscription.target_actor_id, ActorId::parse("Kai").unwrap());
}
