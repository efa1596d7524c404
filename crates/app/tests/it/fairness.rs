//! What one tenant does slows another little: storms of reactions, cascades, and hanging webhook targets.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_testkit::{Client, Reaction, Receiver, Value, eventually, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::background_load::events_matching;
use crate::reaction_engine::{rule, wait_until_processed};
use crate::webhook_delivery::message_subscription;
use crate::webhook_subscriptions::subscribe;
use crate::{launch, merged};

/// How many rules react to every event in a storm: as many as a tenant may have.
const STORM_RULES: usize = 1_000;
/// How many rules are created at a time.
const CREATED_AT_ONCE: usize = 50;
/// The pause between the says that are measured: fifty a second, which a debug build carries beside a storm.
const PACE: Duration = Duration::from_millis(20);
/// In how many rooms they are, each with a rule: a rule reacts to one event after the other.
const ROOMS: u32 = 4;
/// How long says are measured, alone and beside a storm, how often. The best time counts, because other tests run meanwhile: a
/// tenant that is held up is so each time.
const MEASURED: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;
/// How long the commit batches of a debug build may take, which a say and then a reaction wait for beside a storm.
const BATCHES: Duration = Duration::from_millis(250);
const DEADLINE: Duration = Duration::from_secs(120);

async fn say_as(client: &Client, tenant: &str, actor: &str, over: Value) -> Value {
    let body = merged(json!({"tenantId": tenant, "actorId": actor, "text": "hi"}), &over);
    client.act("/v1/commands/say", body).await.data()["eventId"].clone()
}

/// Rules of the tenant `storm` that answer every event, those of reactions too.
async fn storm_rules(client: &Client, count: usize) -> Vec<String> {
    let (mut making, permits) = (JoinSet::new(), Arc::new(Semaphore::new(CREATED_AT_ONCE)));
    for number in 0..count {
        let (client, permits) = (client.clone(), Arc::clone(&permits));
        let over = json!({"tenantId": "storm", "targetActorId": format!("bot-{number}"), "triggerEventTypes": ["*"],
            "ignoreReactionEvents": false});
        making.spawn(async move {
            let _permit = permits.acquire().await;
            rule(&client, over).await
        });
    }
    making.join_all().await
}

async fn counted(client: &Client, outcome: &str) -> u64 {
    let name = format!("agentcafe_reactions_total{{outcome=\"{outcome}\"}} ");
    let metrics = client.metrics().await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name)).expect("the metric exists");
    line.parse().expect("a number")
}

/// The reactions of a tenant: its events of this type that a rule made.
async fn reactions_of(client: &Client, tenant: &str, kind: &str) -> Vec<Value> {
    let is_one = |event: &Value| event["type"] == kind && event["payload"]["reaction"].is_object();
    events_matching(client, &format!("tenantId={tenant}")).await.into_iter().filter(is_one).collect()
}

/// Of a hundred, the second longest.
fn percentile_99(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of[(of.len() * 99 / 100).saturating_sub(1)]
}

/// The 99th percentiles of the best round: of the answers to says, and of the reactions to them.
async fn best_of_rounds(client: &Client) -> [Duration; 2] {
    let mut best = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        let (says, reactions) = measure(client).await;
        best = [best[0].min(percentile_99(says)), best[1].min(percentile_99(reactions))];
    }
    best
}

/// Says of the tenant `calm`: how long their answers took, and how long after its say each reaction was in
/// the log, by the times of the events.
async fn measure(client: &Client) -> (Vec<Duration>, Vec<Duration>) {
    let known = reactions_of(client, "calm", "order_changed").await.len();
    let (mut ticks, began) = (interval(PACE), Instant::now());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut saying = JoinSet::new();
    for room in (0..ROOMS).cycle() {
        if began.elapsed() >= MEASURED {
            break;
        }
        ticks.tick().await;
        let client = client.clone();
        saying.spawn(async move {
            let began = Instant::now();
            say_as(&client, "calm", "Nova", json!({"roomId": format!("room-{room}")})).await;
            began.elapsed()
        });
    }
    let says = saying.join_all().await;
    let reactions = eventually("a reaction for each say", DEADLINE, async || {
        let mut reactions = reactions_of(client, "calm", "order_changed").await;
        (reactions.len() == known + says.len()).then(|| reactions.split_off(known))
    })
    .await;
    let at = |event: &Value| {
        event["timestamp"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time")
    };
    let said = events_matching(client, "tenantId=calm").await;
    let said_at =
        |id: &Value| said.iter().find(|event| event["eventId"] == *id).map(at).expect("the message");
    let delay = |event: &Value| {
        let took = at(event).duration_since(said_at(&event["payload"]["reaction"]["sourceEventId"]));
        took.unsigned_abs()
    };
    (says, reactions.iter().map(delay).collect())
}

/// Kind: one tenant's work holds up another's. A tenant with as many rules as it may have, which answer each other, says something
/// again and again, beside the says of another tenant and its reactions. Compared in one run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactions_of_a_tenant_are_not_delayed_by_the_storm_of_another() {
    let server = launch().env("REACTION_MAX_PER_CAUSE", STORM_RULES + 100).start().await;
    let client = server.client();
    for room in 0..ROOMS {
        let order = json!({"tenantId": "calm", "roomId": format!("room-{room}"), "actionType": "order",
            "actionPayload": {"itemId": "tea"}});
        rule(&client, order).await;
    }
    let alone = best_of_rounds(&client).await;
    storm_rules(&client, STORM_RULES).await;
    let stormy = client.clone();
    let storm = tokio::spawn(async move {
        let mut pace = interval(Duration::from_millis(500));
        loop {
            pace.tick().await;
            say_as(&stormy, "storm", "Nova", json!({})).await;
        }
    });
    let beside = best_of_rounds(&client).await;
    storm.abort();
    for (what, alone, beside) in [("says", alone[0], beside[0]), ("reactions", alone[1], beside[1])] {
        println!("{what}: {alone:?} alone, {beside:?} beside a storm");
        assert!(beside <= alone * 2 + BATCHES, "{what}: {alone:?} alone, {beside:?} beside a storm");
    }
    eventually("the rules count what they did not answer", DEADLINE, async || {
        let listed = client.get("/v1/reactions/subscriptions?tenantId=storm").await;
        let mut rules = listed.data()["subscriptions"].as_array().into_iter().flatten();
        rules.any(|rule| rule["lastError"] == "cascade_limit" && rule["errorCount"] != 0).then_some(())
    })
    .await;
}

/// Kind: one cause has effects without end. A loop ends when its budget is spent, and is counted in its rules; another cause has a
/// budget of its own.
#[tokio::test]
async fn reaction_cascade_ends_when_its_budget_is_spent() {
    let server = launch().env("REACTION_MAX_PER_CAUSE", 12).start().await;
    let client = server.client();
    let rules = storm_rules(&client, 5).await;
    for (round, cause) in ["c1", "c2"].into_iter().enumerate() {
        say_as(&client, "storm", "Nova", json!({"correlationId": cause})).await;
        wait_until_processed(&client).await;
        assert_eq!(counted(&client, "triggered").await, 12 * (round as u64 + 1));
        let of_cause = reactions_of(&client, "storm", "conversation_message_posted").await;
        assert_eq!(of_cause.iter().filter(|event| event["correlationId"] == cause).count(), 12);
    }
    assert!(counted(&client, "limited").await >= 10);
    let mut errors = HashSet::new();
    for id in &rules {
        let shown = client.get(&format!("/v1/reactions/subscriptions/{id}")).await;
        errors.insert(shown.data()["subscription"]["lastError"].clone());
    }
    assert!(errors.contains(&json!("cascade_limit")), "{errors:?}");
}

/// Kind: a crash while one tenant is behind. Kills in a storm lose no reaction and repeat none, of either tenant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactions_happen_exactly_once_across_kills_in_a_storm() {
    let mut server = launch().start().await;
    let client = server.client();
    for number in 0..40 {
        rule(&client, json!({"tenantId": "storm", "targetActorId": format!("bot-{number}")})).await;
    }
    rule(&client, json!({"tenantId": "calm"})).await;
    for _ in 0..3 {
        let client = server.client();
        for _ in 0..10 {
            say_as(&client, "storm", "Nova", json!({})).await;
        }
        for _ in 0..3 {
            say_as(&client, "calm", "Nova", json!({})).await;
        }
        server.kill();
        server.restart().await;
    }
    let client = server.client();
    wait_until_processed(&client).await;
    for (tenant, want) in [("storm", 3 * 10 * 40), ("calm", 3 * 3)] {
        let reactions = reactions_of(&client, tenant, "conversation_message_posted").await;
        let distinct: HashSet<String> =
            reactions.iter().map(|event| event["payload"]["reaction"].to_string()).collect();
        assert_eq!((reactions.len(), distinct.len()), (want, want), "{tenant}");
    }
}

/// Kind: shared permits. Many targets of a tenant that do not answer delay no delivery of another.
#[tokio::test]
async fn webhooks_of_a_tenant_are_not_delayed_by_hanging_targets_of_another() {
    let server = launch().start().await;
    let client = server.client();
    let receiver = Receiver::start().await;
    receiver.always("/hang", Reaction::hang());
    let subscribed = |tenant: &str, path: &str| {
        merged(message_subscription(receiver.url(path)), &json!({"tenantId": tenant}))
    };
    for _ in 0..60 {
        subscribe(&client, subscribed("storm", "/hang")).await;
    }
    subscribe(&client, subscribed("calm", "/hook")).await;
    say_as(&client, "storm", "Nova", json!({})).await;
    say_as(&client, "calm", "Nova", json!({})).await;
    receiver.wait("/hook", 1).await;
    let hanging = receiver.received("/hang").len();
    assert!(hanging < 40, "the delivery came after {hanging} of 60 that hang");
    receiver.wait("/hang", 60).await;
}
