//! Several nodes on one database have one log, and each of them serves all of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use agentcafe_testkit::{Client, Server, SseStream, Value, eventually, json};
use tokio::task::JoinSet;

use crate::background_load::{TrackedSay, all_events, assert_logged, head_of_log, repeat_says};
use crate::launch;

const SPEAKERS: usize = 50;
const EACH: usize = 40;

/// Two nodes on one database. The first one has the leases, because it was started first.
pub(crate) async fn two_nodes() -> [Server; 2] {
    let launch = launch().on_postgres(1);
    let first = launch.clone().start().await;
    [first, launch.start().await]
}

/// Sends says one after the other, alternating between the nodes, each until it is accepted. If a node does not
/// respond, the next one is used.
pub(crate) async fn say_everywhere(nodes: [SocketAddr; 2], speaker: usize, count: usize) -> Vec<TrackedSay> {
    let clients = nodes.map(Client::new);
    let (mut all, mut turn) = (Vec::new(), speaker);
    for n in 0..count {
        let mut said = TrackedSay::new(speaker, &format!("{speaker}-{n}"));
        while said.answer.is_none() {
            turn += 1;
            match said.say(&clients[turn % 2]).await {
                Some(answer) if answer.status == 202 || answer.status == 503 => {}
                Some(answer) => panic!("{} {}", answer.status, answer.text),
                None => {}
            }
        }
        all.push(said);
    }
    all
}

/// Reads a stream up to this sequence, and checks that each sequence comes once, in order.
pub(crate) async fn assert_streams_all(stream: &mut SseStream, from: u64, head: u64) {
    for expected in from..=head {
        assert_eq!(stream.next_event().await.id, Some(expected), "lost or repeated");
    }
}

/// 2,000 commands at once on two nodes, in one room and in many: sequences without gap or repeat, keys that replay on
/// either node, and streams on both nodes that deliver every event once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_write_one_log_without_gaps() {
    for rooms in [1, 5] {
        let servers = two_nodes().await;
        let addresses = [servers[0].address(), servers[1].address()];
        let clients = addresses.map(Client::new);
        let mut streams = Vec::new();
        for client in &clients {
            for _ in 0..3 {
                streams.push(client.stream("/v1/events/stream?cursor=0").await);
            }
        }
        let mut speakers = JoinSet::new();
        for speaker in 0..SPEAKERS {
            // A speaker's room is its number modulo five.
            let speaker = if rooms == 1 { 5 * speaker } else { speaker };
            speakers.spawn(say_everywhere(addresses, speaker, EACH));
        }
        let all: Vec<TrackedSay> = speakers.join_all().await.into_iter().flatten().collect();
        assert_eq!(all.len(), SPEAKERS * EACH);
        assert_logged(&clients[0], &all).await;
        assert_eq!(all_events(&clients[0]).await, all_events(&clients[1]).await);
        let head = head_of_log(&clients[1]).await;
        for stream in &mut streams {
            assert_streams_all(stream, 1, head).await;
        }
        let both = Client::of_nodes(addresses);
        let all = repeat_says(&both, all).await;
        assert_eq!(head_of_log(&both).await, head);
        assert_logged(&both, &all).await;
    }
}

/// In every kind of read, immediately.
#[tokio::test]
async fn node_reads_what_another_node_acknowledged() {
    let [here, there] = two_nodes().await;
    let (here, there) = (here.client(), there.client());
    for round in 1..=50_u64 {
        let said = here
            .act("/v1/commands/say", json!({"actorId": "Nova", "text": "hey @Kai", "mentions": ["Kai"]}))
            .await;
        let sequence = said.data()["sequence"].as_u64().expect("a sequence");
        let after = sequence - 1;
        let page = there.get(&format!("/v1/events?cursor={after}&limit=1")).await;
        assert_eq!(page.data()["events"][0]["eventId"], said.data()["eventId"]);
        assert!(head_of_log(&there).await >= sequence);
        let inbox = there.get("/v1/inbox?actorId=Kai").await;
        assert_eq!(inbox.data()["unreadCount"], round);
        let polled = there.get(&format!("/v1/events/poll?cursor={after}&timeoutMs=0")).await;
        assert_eq!(polled.data()["events"][0]["eventId"], said.data()["eventId"], "{}", polled.text);
    }
}

/// Leased work (webhooks, reactions, sweeps) is done by one node. No work is repeated or left out.
#[tokio::test]
async fn node_that_stops_hands_its_leases_over() {
    let launch = launch().on_postgres(1).env("PRESENCE_SWEEP_MS", 500);
    let (mut here, there) = (launch.clone().start().await, launch.start().await);
    let client = there.client();
    let held = |log: String| -> BTreeSet<String> {
        let held = log
            .lines()
            .filter(|line| line.contains("lease acquired"))
            .map(|line| line.rsplit_once("lease=\"").expect("a name").1.trim_end_matches('"').to_owned());
        held.collect()
    };
    let all = BTreeSet::from(["reactions", "search_index", "sweeps", "webhooks"].map(str::to_owned));
    let timeout = Duration::from_secs(60);
    eventually("the first has all leases", timeout, async || (held(here.log()) == all).then_some(())).await;
    assert_eq!(held(there.log()), BTreeSet::new());
    let began = std::time::Duration::from_secs(3);
    assert!(here.stop().await.success());
    eventually("the second has all leases", began, async || (held(there.log()) == all).then_some(())).await;
    let beat = json!({"actorId": "Nova", "ttlMs": 5_000});
    let _ = client.act("/v1/presence/heartbeat", beat).await.data();
    eventually("a presence runs out on the second", timeout, async || {
        let presence: Value = client.get("/v1/presence?actorId=Nova").await.data()["presence"].clone();
        (presence[0]["status"] == "inactive").then_some(())
    })
    .await;
}
