//! PostgreSQL restarts or fails under load: 503 meanwhile, nothing acknowledged is lost or doubled, keys replay, and
//! the server recovers by itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use agentcafe_testkit::{Client, End, Postgres, Server, eventually, json};
use tokio::task::JoinSet;

use crate::background_load::{TrackedSay, assert_logged, head_of_log, repeat_says};
use crate::launch;
use crate::read_only_database::say_once;
use crate::store_full::{assert_not_ready, assert_unavailable};

const SPEAKERS: usize = 16;
const DEADLINE: Duration = Duration::from_secs(180);

/// Writers, and the says that were accepted.
struct Writers {
    speakers: JoinSet<Vec<TrackedSay>>,
    acknowledged: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Writers {
    fn start(address: SocketAddr) -> Self {
        let mut load = Self { speakers: JoinSet::new(), acknowledged: Arc::default(), ended: Arc::default() };
        for speaker in 0..SPEAKERS {
            let counts = (Arc::clone(&load.acknowledged), Arc::clone(&load.ended));
            load.speakers.spawn(say_until_stopped(address, speaker, counts));
        }
        load
    }

    /// Waits until this many more says are accepted.
    async fn wait_for_accepted(&self, more: usize) {
        let enough = self.acknowledged.load(Ordering::SeqCst) + more;
        let reached = async || (self.acknowledged.load(Ordering::SeqCst) >= enough).then_some(());
        eventually("the load is accepted", DEADLINE, reached).await;
    }

    async fn end(self) -> Vec<TrackedSay> {
        self.ended.store(true, Ordering::SeqCst);
        self.speakers.join_all().await.into_iter().flatten().collect()
    }
}

/// Sends one say after the other. A say that got 503 is repeated only at the end, so that its key shows whether it
/// took effect.
async fn say_until_stopped(
    address: SocketAddr,
    speaker: usize,
    (acknowledged, ended): (Arc<AtomicUsize>, Arc<AtomicBool>),
) -> Vec<TrackedSay> {
    let client = Client::new(address);
    let mut all = Vec::new();
    while !ended.load(Ordering::SeqCst) {
        let mut said = TrackedSay::new(speaker, &format!("{speaker}-{}", all.len()));
        let answer = said.say(&client).await.expect("the server responds without its database, too");
        all.push(said);
        if answer.status == 202 {
            acknowledged.fetch_add(1, Ordering::SeqCst);
        } else {
            assert_unavailable(&answer);
        }
    }
    all
}

async fn on(postgres: &Postgres) -> Server {
    launch().env("DATABASE_URL", postgres.database()).start().await
}

/// `pg_ctl restart`, fast and immediate, and `kill -9` of PostgreSQL, several times under load. Every response is a
/// success or a 503 with `Retry-After`. The log has each success once, at its sequence. A stream that stays open
/// delivers every event once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_restarts_under_load_lose_and_double_nothing() {
    let postgres = Postgres::start(true);
    let server = on(&postgres).await;
    let client = server.client();
    let mut stream = client.stream("/v1/events/stream?cursor=0").await;
    let load = Writers::start(server.address());
    for how in [End::Fast, End::Immediate, End::Kill, End::Fast, End::Kill, End::Immediate] {
        load.wait_for_accepted(150).await;
        postgres.end(how);
        postgres.begin();
    }
    load.wait_for_accepted(150).await;
    let all = load.end().await;
    let ready = async || (client.get("/readyz").await.status == 200).then_some(());
    eventually("ready again", DEADLINE, ready).await;
    assert_logged(&client, &all).await;
    for expected in 1..=head_of_log(&client).await {
        assert_eq!(stream.next_event().await.id, Some(expected), "the stream lost or repeated an event");
    }
    let mut again = Vec::new();
    for mut said in all {
        if said.answer.is_none() {
            assert_eq!(said.say(&client).await.expect("the server runs").status, 202);
        }
        again.push(said);
    }
    let again = repeat_says(&client, again).await;
    assert_logged(&client, &again).await;
}

/// Reads and writes are 503; `/readyz` names the reason and `/livez` is 200. When the database is back, the server
/// recovers, and a refused request takes effect once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_unreachable_or_hanging_is_503_and_not_ready() {
    let postgres = Postgres::start(true);
    let server = on(&postgres).await;
    let client = server.client();
    let stop: [(&str, fn(&Postgres), fn(&Postgres)); 3] = [
        ("gone", |postgres| postgres.end(End::Fast), Postgres::begin),
        ("frozen", Postgres::freeze, Postgres::thaw),
        ("killed", |postgres| postgres.end(End::Kill), Postgres::begin),
    ];
    let mut message_texts = Vec::new();
    for (name, stop, go_on) in stop {
        let before = say_once(&client, &format!("before {name}")).await;
        assert_eq!(before.status, 202, "{}", before.text);
        stop(&postgres);
        let texts: Vec<_> = (0..20).map(|_| format!("while {name}")).collect();
        let mut asking = JoinSet::new();
        for text in texts {
            let client = client.clone();
            asking.spawn(async move { assert_unavailable(&say_once(&client, &text).await) });
        }
        asking.join_all().await;
        assert_not_ready(&client).await;
        let read = client.get("/v1/inbox?actorId=Nova").await;
        assert_unavailable(&read);
        go_on(&postgres);
        let ready = async || (client.get("/readyz").await.status == 200).then_some(());
        eventually("ready again", DEADLINE, ready).await;
        let after = say_once(&client, &format!("while {name}")).await;
        assert_eq!(after.status, 202, "{}", after.text);
        assert_eq!(say_once(&client, &format!("while {name}")).await.text, after.text);
        message_texts.extend([json!(format!("before {name}")), json!(format!("while {name}"))]);
    }
    let log = client.get("/v1/events?types=conversation_message_posted&limit=100").await;
    let said = log.data()["events"].as_array().expect("a list").clone();
    let said: Vec<_> = said.iter().map(|event| event["payload"]["conversation"]["text"].clone()).collect();
    assert_eq!(said, message_texts);
}
