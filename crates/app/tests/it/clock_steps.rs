//! Wall clocks that step: durations go on as if they had not, live and over a restart.

use std::time::Duration;

use agentcafe_testkit::{
    Answer, Client, FakeClock, Launch, Postgres, Reaction, Receiver, Server, eventually, json,
};

use crate::table_fixtures::{act, from_now, open, text};
use crate::webhook_delivery::{message_subscription, message_texts};
use crate::webhook_subscriptions::subscribe;
use crate::{launch, say};

const SOON: Duration = Duration::from_secs(30);
/// An attempt is due after a second or two; the rest is for a busy test machine.
const RETRIED: Duration = Duration::from_secs(10);
/// More than the minute for which a jump ahead must stand.
const AFTER_A_MINUTE: Duration = Duration::from_secs(120);

/// When a clock steps.
#[derive(Clone, Copy, Debug)]
enum Step {
    Live,
    OverRestart,
}

const STEPS: [Step; 2] = [Step::Live, Step::OverRestart];

impl Step {
    async fn take(self, clock: &FakeClock, offset: &str, server: &mut Server) {
        clock.set(offset);
        if matches!(self, Self::OverRestart) {
            server.restart().await;
        }
    }
}

fn with_sweeps() -> Launch {
    launch().env("PRESENCE_SWEEP_MS", 500).env("MOD_MIN_ACTION_INTERVAL_MS", 150)
}

/// The actor may act again after the minimum interval between two actions.
async fn acts_soon(client: &Client, actor: &str) {
    let says = async || (say(client, actor, "hey").await.status == 202).then_some(());
    eventually("the actor may act", SOON, says).await;
}

/// A presence of one second ends, once.
async fn presence_ends(client: &Client, actor: &str) {
    let heartbeat = json!({ "actorId": actor, "ttlMs": 1_000 });
    let _ = client.act("/v1/presence/heartbeat", heartbeat).await.data();
    let path = format!("/v1/presence?roomId=main&actorId={actor}");
    let is_over = async || (client.get(&path).await.data()["presence"]["isActive"] == false).then_some(());
    eventually("the presence ends", SOON, is_over).await;
    let changes = client.get(&format!("/v1/events?types=status_changed&actorId={actor}")).await;
    assert_eq!(changes.data()["count"], 1, "{}", changes.text);
}

/// Kind: durations taken from the wall clock. An hour back: cooldowns, presences go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_step_back_freezes_nothing() {
    for step in STEPS {
        let clock = FakeClock::at("+1h");
        let mut server = clock.of(with_sweeps()).start().await;
        assert_eq!(say(&server.client(), "Nova", "before").await.status, 202);
        step.take(&clock, "+0", &mut server).await;
        let client = server.client();
        acts_soon(&client, "Nova").await;
        acts_soon(&client, "Nova").await;
        presence_ends(&client, "Kai").await;
    }
}

/// A client with a table session that it opened with the key `open`, and a say with the key `said`.
async fn paid_session(client: &Client) -> String {
    let said = client.post("/v1/commands/say", "said", json!({ "actorId": "Nova", "text": "once" })).await;
    assert_eq!(said.status, 202, "{}", said.text);
    text(&open(client, "espresso", json!({})).await["sessionId"]).to_owned()
}

async fn assert_nothing_ended(client: &Client, session: &str) {
    let found = client.get(&format!("/v1/table-sessions/{session}")).await;
    assert_eq!(found.data()["session"]["status"], "active", "{}", found.text);
    let again = client.post("/v1/commands/say", "said", json!({ "actorId": "Nova", "text": "once" })).await;
    assert_eq!(again.header("x-idempotent-replay"), Some("true"), "{}", again.text);
}

/// Kind: a wrong clock ends for good what was paid for. Two days ahead for seconds, and back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_jump_ahead_that_does_not_stand_ends_nothing() {
    for step in STEPS {
        let clock = FakeClock::at("+0");
        let mut server = clock.of(with_sweeps().env("TABLE_SESSION_SWEEP_MS", 1_000)).start().await;
        let session = paid_session(&server.client()).await;
        step.take(&clock, "+2d", &mut server).await;
        // The sweeps run meanwhile.
        presence_ends(&server.client(), "Kai").await;
        assert_nothing_ended(&server.client(), &session).await;
        step.take(&clock, "+0", &mut server).await;
        assert_nothing_ended(&server.client(), &session).await;
        acts_soon(&server.client(), "Nova").await;
        presence_ends(&server.client(), "Mira").await;
    }
}

/// Kind: durations taken from the wall clock. A webhook's next attempt comes after its pause of about a second, and events in order,
/// whatever the clock does meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_steps_do_not_delay_retries() {
    for (step, before, after) in [
        (Step::Live, "+1h", "+0"),
        (Step::OverRestart, "+1h", "+0"),
        (Step::Live, "+0", "+2d"),
        (Step::OverRestart, "+0", "+2d"),
    ] {
        let (clock, receiver) = (FakeClock::at(before), Receiver::start().await);
        let mut server = clock.of(launch()).start().await;
        receiver.next("/hook", [Reaction::status(500)]);
        let mut subscription = message_subscription(receiver.url("/hook"));
        (subscription["maxRetries"], subscription["backoffMs"]) = (json!(10), json!(1_000));
        subscribe(&server.client(), subscription).await;
        assert_eq!(say(&server.client(), "Nova", "first").await.status, 202);
        receiver.wait("/hook", 1).await;
        step.take(&clock, after, &mut server).await;
        assert_eq!(say(&server.client(), "Kai", "second").await.status, 202);
        let arrived = async || {
            let texts = message_texts(&receiver.received("/hook"));
            texts.contains(&"second".to_owned()).then_some(texts)
        };
        let mut texts = eventually("the retry and the next event arrive", RETRIED, arrived).await;
        assert!(texts.len() >= 3, "the first is sent again: {texts:?}");
        // An attempt that a kill cuts off is made again.
        texts.dedup();
        assert_eq!(texts, ["first", "second"], "{step:?} {before} {after}");
    }
}

async fn clock_ahead(client: &Client) -> Answer {
    client.get("/readyz").await
}

/// A jump that stands counts after a minute; until then readiness says how far the clock is ahead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_clock_jump_that_stands_counts_after_a_minute() {
    let clock = FakeClock::at("+0");
    let server = clock.of(with_sweeps().env("TABLE_SESSION_SWEEP_MS", 1_000)).start().await;
    let client = server.client();
    let session = paid_session(&client).await;
    let tomorrow = from_now(&client, 86_400_000).await;
    assert!(clock_ahead(&client).await.data()["clockAheadMs"].is_null());
    clock.set("+2d");
    let noticed = async || clock_ahead(&client).await.data()["clockAheadMs"].as_i64();
    let ahead = eventually("the jump is noticed", SOON, noticed).await;
    // Each of the two clocks is rounded to a millisecond.
    assert!((172_790_000..=172_800_001).contains(&ahead), "{ahead}");
    assert!(from_now(&client, 0).await < tomorrow, "it does not count at once");
    let counts = async || (from_now(&client, 0).await > tomorrow).then_some(());
    eventually("the jump counts", AFTER_A_MINUTE, counts).await;
    let ended = async || {
        let found = client.get(&format!("/v1/table-sessions/{session}")).await;
        (found.data()["session"]["status"] == "ended").then_some(())
    };
    eventually("the session ends", SOON, ended).await;
    acts_soon(&client, "Nova").await;
    assert!(clock_ahead(&client).await.data()["clockAheadMs"].is_null());
    assert!(server.log().contains("the wall clock jumped ahead"), "{}", server.log());
}

/// The clock of PostgreSQL's host, which all nodes use, steps in both directions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_clock_steps_end_and_freeze_nothing() {
    let clock = FakeClock::at("+0");
    let postgres = Postgres::start_with_clock(&clock);
    let url = postgres.database();
    let launch = with_sweeps().env("TABLE_SESSION_SWEEP_MS", 1_000).env("DATABASE_URL", &url);
    let (mut one, two) = (launch.clone().start().await, launch.start().await);
    let session = paid_session(&one.client()).await;
    let tomorrow = from_now(&one.client(), 86_400_000).await;
    for (offset, actors) in [("+2d", ["a", "b"]), ("+0", ["c", "d"]), ("-1h", ["e", "f"])] {
        clock.set(offset);
        let has_jumped = Postgres::query(&url, &format!("SELECT clock_timestamp() > '{tomorrow}'"));
        assert_eq!(has_jumped.trim() == "t", offset == "+2d", "the clock of PostgreSQL is set");
        for (node, actor) in [&one, &two].into_iter().zip(actors) {
            presence_ends(&node.client(), actor).await;
            acts_soon(&node.client(), "Nova").await;
        }
        one.restart().await;
        assert_nothing_ended(&one.client(), &session).await;
        let here = act(&two.client(), "Nova", "/v1/commands/say", json!({ "text": offset })).await;
        assert_eq!(here.status, 202, "{}", here.text);
    }
}
