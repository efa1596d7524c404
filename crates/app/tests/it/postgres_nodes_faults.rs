//! One of several nodes is killed, cut off, or has a wrong clock: the others continue, and nothing is lost or done
//! twice.

use std::collections::HashSet;
use std::time::Duration;

use agentcafe_domain::kernel::Timestamp;
use agentcafe_testkit::{Client, FakeClock, Postgres, Receiver, Server, eventually, json};
use tokio::task::JoinSet;

use crate::background_load::{TrackedSay, all_events, assert_logged, head_of_log, repeat_says};
use crate::postgres_nodes::{assert_streams_all, say_everywhere, two_nodes};
use crate::reaction_engine::rule;
use crate::store_full::assert_unavailable;
use crate::tcp_proxy::TcpProxy;
use crate::webhook_delivery::{message_subscription, message_texts};
use crate::webhook_subscriptions::subscribe;
use crate::{launch, say};

const SPEAKERS: usize = 16;
const DEADLINE: Duration = Duration::from_secs(180);

/// `kill -9` of the node that has all leases, under load. Clients repeat requests on the other node with their keys.
/// What was acknowledged is in the log once; every message is delivered by webhook, in order, and answered by the
/// reaction exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_is_killed_is_replaced() {
    let [mut here, there] = two_nodes().await;
    let (addresses, client) = ([here.address(), there.address()], there.client());
    let receiver = Receiver::start().await;
    subscribe(&client, message_subscription(receiver.url("/all"))).await;
    let id = rule(&client, json!({"actionType": "order", "actionPayload": {"itemId": "tea"}})).await;
    let mut stream = client.stream("/v1/events/stream?cursor=0").await;
    let mut speakers = JoinSet::new();
    for speaker in 0..SPEAKERS {
        speakers.spawn(say_everywhere(addresses, speaker, 40));
    }
    receiver.wait("/all", 40).await;
    here.kill();
    let all: Vec<TrackedSay> = speakers.join_all().await.into_iter().flatten().collect();
    let answered = async || {
        let orders = client.get("/v1/events?types=order_changed&limit=5000").await;
        let sources = orders.data()["events"].as_array().expect("a list").clone();
        (sources.len() >= all.len()).then_some(sources)
    };
    let orders = eventually("the rule reacts to every message", DEADLINE, answered).await;
    let sources: HashSet<String> =
        orders.iter().map(|order| order["payload"]["reaction"]["sourceEventId"].to_string()).collect();
    assert_eq!((orders.len(), sources.len()), (all.len(), all.len()), "one reaction of {id} each");
    let in_order = || {
        let mut seen = HashSet::new();
        let mut message_texts = message_texts(&receiver.received("/all"));
        message_texts.retain(|text| seen.insert(text.clone()));
        message_texts
    };
    eventually("every message arrives", DEADLINE, async || (in_order().len() == all.len()).then_some(()))
        .await;
    let log = all_events(&client).await;
    let said: Vec<&str> =
        log.iter().filter_map(|event| event["payload"]["conversation"]["text"].as_str()).collect();
    assert_eq!(in_order(), said);
    assert_streams_all(&mut stream, 1, log.len() as u64).await;
    assert_logged(&client, &all).await;
    repeat_says(&client, all).await;
    assert_eq!(head_of_log(&client).await, log.len() as u64);
}

/// It answers 503, is not ready, and the other node takes its leases. When it is back, its streams continue without a
/// gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_cut_off_from_postgres_loses_its_leases() {
    let postgres = Postgres::start(false);
    let proxy = TcpProxy::to(postgres.address()).await;
    let url = postgres.database();
    let through = url.replace(&postgres.address().to_string(), &proxy.address().to_string());
    let far = launch().env("DATABASE_URL", through).start().await;
    let near = launch().env("DATABASE_URL", url).start().await;
    let (far, near) = (far.client(), near.client());
    let receiver = Receiver::start().await;
    subscribe(&near, message_subscription(receiver.url("/all"))).await;
    let mut stream = far.stream("/v1/events/stream?cursor=0").await;
    say(&far, "main", "before").await;
    receiver.wait("/all", 1).await;
    proxy.cut();
    let refused = far.act("/v1/commands/say", json!({"actorId": "Nova", "text": "cut off"})).await;
    assert_unavailable(&refused);
    let unready = async || (far.get("/readyz").await.status == 503).then_some(());
    eventually("the node that is cut off is not ready", DEADLINE, unready).await;
    for n in 0..20 {
        say(&near, "main", &format!("meanwhile {n}")).await;
    }
    eventually("the other node delivers", DEADLINE, async || {
        message_texts(&receiver.received("/all")).contains(&"meanwhile 19".to_owned()).then_some(())
    })
    .await;
    proxy.mend();
    let ready = async || (far.get("/readyz").await.status == 200).then_some(());
    eventually("the node is back", DEADLINE, ready).await;
    say(&far, "main", "after").await;
    receiver.wait("/all", 22).await;
    let head = head_of_log(&near).await;
    assert_streams_all(&mut stream, 1, head).await;
    assert_eq!(all_events(&far).await, all_events(&near).await);
    let mut once = message_texts(&receiver.received("/all"));
    once.dedup();
    assert_eq!(once.len(), 22, "in order, on both nodes: {once:?}");
}

/// The clock of the node that has the leases is a minute ahead or behind: nothing expires too early or too late, and
/// the log has the database's times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_with_a_wrong_clock_uses_the_time_of_postgres() {
    for offset in ["+60s", "-60s"] {
        let launch = launch().on_postgres(1).env("PRESENCE_SWEEP_MS", 500);
        let wrong = FakeClock::at(offset).of(launch.clone()).start().await;
        let right = launch.start().await;
        assert_one_time(&wrong, &right).await;
        let (wrong, right) = (wrong.client(), right.client());
        for (client, name) in [(&wrong, "Nova"), (&right, "Kai")] {
            let beat = json!({"actorId": name, "ttlMs": 55_000});
            let _ = client.act("/v1/presence/heartbeat", beat).await.data();
            let short = json!({"actorId": format!("{name}-short"), "ttlMs": 5_000});
            let _ = client.act("/v1/presence/heartbeat", short).await.data();
        }
        let count = async |query: &str| {
            right.get(&format!("/v1/presence?{query}")).await.data()["count"].as_u64().expect("a number")
        };
        let run_out = async || (count("active=0").await >= 2).then_some(());
        eventually("the short ones expire", DEADLINE, run_out).await;
        assert_eq!((count("active=0").await, count("active=1").await), (2, 2), "{offset}");
        for client in [&wrong, &right] {
            say(client, "main", "what time is it?").await;
        }
        let log = all_events(&right).await;
        let times: Vec<&str> = log.iter().filter_map(|event| event["timestamp"].as_str()).collect();
        assert!(times.is_sorted(), "{offset}: {times:?}");
    }
}

/// When a node started to listen, by its own clock, which its log shows.
fn began(server: &Server) -> i64 {
    let log = server.log();
    let line = log.lines().find(|line| line.contains("listening on")).expect("it listens");
    let time = line.split_whitespace().next().and_then(Timestamp::parse);
    time.expect("a line begins with its time").as_millis()
}

/// Checks that both nodes use the same time although their clocks differ.
async fn assert_one_time(wrong: &Server, right: &Server) {
    let apart = began(wrong).abs_diff(began(right));
    assert!((45_000..75_000).contains(&apart), "the clocks are {apart} ms apart");
    let [wrong, right] = [wrong, right].map(Server::client);
    let time = async |client: &Client| {
        let health = client.get("/healthz").await.json;
        Timestamp::parse(health["time"].as_str().expect("a time")).expect("a time").as_millis()
    };
    let differ = time(&wrong).await.abs_diff(time(&right).await);
    assert!(differ < 5_000, "their times are {differ} ms apart");
}
