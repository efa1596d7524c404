//! What keeps a target from reacting: written into the rule, and nothing happens.

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

/// A session of Nova's, to which these are invited.
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

/// Lets an order happen, and checks what it made of the rule: nothing said is a reaction, an error is none.
async fn check(cafe: &Cafe, rule: Uuid, want: Option<&str>, what: &str) {
    let (before, events) = (cafe.shown(rule).await, cafe.log().await.len());
    cafe.order("Nova").await;
    cafe.adapt().await;
    let after = cafe.shown(rule).await;
    let log = cafe.log().await;
    assert_eq!(after.last_error.as_deref(), want, "{what}");
    assert_eq!(after.last_source_event_id, Some(log[events].event_id), "{what}");
    let counted = (after.trigger_count - before.trigger_count, after.error_count - before.error_count);
    assert_eq!(counted, if want.is_some() { (0, 1) } else { (1, 0) }, "{what}");
    assert_eq!(log.len() - events > 1, want.is_none(), "{what}");
}

/// CONTRACT 12, check 2: operators' overrides, by the names of the actions.
#[tokio::test]
async fn overrides_block_reactions() {
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
    check(&cafe, moves, None, "a mute keeps nobody from moving").await;
}

/// CONTRACT 12, check 4: each action takes its capability.
#[tokio::test]
async fn capabilities_are_needed() {
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

/// RULINGS A21 and A22: at a private table one reacts by the rules of the table, also by a rule for all rooms.
#[tokio::test]
async fn the_gate_holds_for_reactions() {
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

/// RULINGS A13: a reaction makes its target present, so it takes a seat, if there is one.
#[tokio::test]
async fn a_reaction_takes_a_seat() {
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
    check(&cafe, says, None, "who sits may go on").await;
}

/// RULINGS L9: what happens to one rule is nothing to the others, which answer at once, in any order.
#[tokio::test]
async fn one_rule_does_not_stop_the_others() {
    let cafe = Cafe::open().await;
    let mute = cafe.rule(json!({"targetActorId": "Mute"})).await;
    let first = cafe.rule(json!({"actionPayload": {"text": "first"}})).await;
    let second = cafe.rule(json!({"targetActorId": "Bo", "actionPayload": {"text": "second"}})).await;
    cafe.put(&overridden(false, &["Mute"])).await;
    cafe.order("Nova").await;
    cafe.adapt().await;
    let mut texts: Vec<Value> = cafe
        .log()
        .await
        .iter()
        .filter_map(|event| event.payload.get("bubble"))
        .map(|bubble| bubble["text"].clone())
        .collect();
    texts.sort_unstable_by_key(Value::to_string);
    assert_eq!(texts, [json!("first"), json!("second")]);
    assert_eq!(cafe.shown(mute).await.error_count, 1);
    for rule in [first, second] {
        assert_eq!(cafe.shown(rule).await.trigger_count, 1);
    }
    assert_eq!(cafe.shown(first).await.target_actor_id, ActorId::parse("Kai").unwrap());
}
