//! Replaying the log gives, byte for byte, the rooms that were projected as the events happened.

use std::collections::BTreeMap;

use agentcafe_domain::kernel::{Event, RoomId, TenantId};
use agentcafe_domain::projection::RoomProjection;
use agentcafe_domain::projection::themed::Themes;
use agentcafe_testkit::{Answer, Client, Method, Server, Silence, SseStream, Value, fresh_key, json};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::seeded_random::SeededRandom;
use crate::{launch, log};

/// Method, path and body of commands. `{…}` in a path is an id of this name from an earlier response. The actor and
/// the room are added. A new command needs a line here.
const COMMANDS: &[(Method, &str, fn(&mut SeededRandom) -> Value)] = &[
    (Method::POST, "/v1/commands/enter", |_| json!({})),
    (
        Method::POST,
        "/v1/commands/enter",
        |random| json!({"payload": {"position": {"x": random.below(24), "y": random.below(14)}, "metadata": {"ü": [1.5]}}}),
    ),
    (Method::POST, "/v1/commands/leave", |_| json!({"payload": {"reason": "tired"}})),
    (
        Method::POST,
        "/v1/commands/move",
        |random| json!({"direction": any_of(random, &["N", "S", "E", "W"]), "steps": 1 + random.below(15)}),
    ),
    (Method::POST, "/v1/commands/say", |random| json!({"text": any_of(random, &TEXTS)})),
    (Method::POST, "/v1/commands/say", |random| {
        json!({"text": any_of(random, &TEXTS), "threadId": any_of(random, &["t1", "t2", "t3"]),
            "replyToMessageId": "m", "contextWindowId": "w", "metadata": {"b": 1, "a": [null, 0.1]}})
    }),
    (Method::POST, "/v1/conversations/messages", |random| {
        json!({"text": any_of(random, &TEXTS), "messageId": format!("m{}", random.below(6)),
            "parentMessageId": format!("m{}", random.below(6)), "mentions": ["Kai", "Bo"]})
    }),
    (
        Method::POST,
        "/v1/commands/order",
        |random| json!({"itemId": any_of(random, &["tea", "flat white", "☕"]), "size": any_of(random, &["small", "large"])}),
    ),
    (
        Method::POST,
        "/v1/intents/execute",
        |random| json!({"intent": "navigate_to", "payload": {"x": random.below(20), "y": random.below(12)}}),
    ),
    (
        Method::POST,
        "/v1/intents/execute",
        |random| json!({"intent": "sit_at_table", "payload": {"tableId": format!("table_{}", 1 + random.below(8))}}),
    ),
    (
        Method::POST,
        "/v1/presence/heartbeat",
        |random| json!({"status": any_of(random, &["thinking", "idle", "busy", "inactive"]), "ttlMs": 1_000 + random.below(2_000)}),
    ),
    (
        Method::POST,
        "/v1/snapshots/room",
        |random| json!({"state": {"n": random.below(9)}, "ttlSeconds": null}),
    ),
    (
        Method::POST,
        "/v1/snapshots/agent",
        |random| json!({"state": {"n": random.below(9)}, "ttlSeconds": 60}),
    ),
    (Method::POST, "/v1/inbox/ack", |random| json!({"upToCursor": random.below(20)})),
    (Method::POST, "/v1/inbox/{inboxId}/ack", |_| json!({})),
    (Method::POST, "/v1/tasks", |random| {
        json!({"title": any_of(random, &TEXTS), "assigneeActorId": any_of(random, &["", "Kai", "Bo"]),
            "state": any_of(random, &["open", "active", "done"]), "progress": random.below(101)})
    }),
    (
        Method::PATCH,
        "/v1/tasks/{taskId}",
        |random| json!({"assigneeActorId": any_of(random, &["Nova", "Bo"]), "progress": random.below(101)}),
    ),
    (
        Method::PATCH,
        "/v1/tasks/{taskId}",
        |random| json!({"state": any_of(random, &["open", "active", "done"]), "title": any_of(random, &TEXTS)}),
    ),
    (
        Method::POST,
        "/v1/tasks/{taskId}/handoffs",
        |random| json!({"action": any_of(random, &["assign", "accept", "blocked", "done"]), "note": "n", "toAssigneeActorId": "Kai"}),
    ),
    (Method::POST, "/v1/objects", |random| {
        json!({"objectType": any_of(random, &["note", "token", "whiteboard"]), "title": any_of(random, &TEXTS),
            "data": {"z": 0.1, "a": [1]}, "quantity": random.below(9)})
    }),
    (
        Method::PATCH,
        "/v1/objects/{objectId}",
        |random| json!({"content": any_of(random, &TEXTS), "quantity": random.below(9)}),
    ),
    (Method::POST, "/v1/permissions", |random| json!({"canModerate": true, "canSpeak": random.below(4) > 0})),
    (
        Method::POST,
        "/v1/rooms/context/pin",
        |random| json!({"content": any_of(random, &TEXTS), "metadata": {"é": 1}}),
    ),
    (Method::POST, "/v1/operator/overrides", |random| {
        json!({"operatorId": any_of(random, &ACTORS), "targetActorId": any_of(random, &ACTORS),
            "action": any_of(random, &["resume_room", "mute_agent", "unmute_agent", "force_leave"])})
    }),
    (Method::POST, "/v1/rooms", |random| json!({"displayName": any_of(random, &TEXTS)})),
    (Method::POST, "/v1/profiles", |random| json!({"displayName": any_of(random, &TEXTS)})),
];
const TEXTS: [&str; 5] = ["hi", "hey @Kai and @Bo", "\"quoted\"\n\\ \u{2028}", "ünïcödé 😀", "@Nova @Nova"];
const ACTORS: [&str; 4] = ["Nova", "Kai", "Bo", "ünï"];
const ROOMS: [(&str, &str); 3] = [("default", "main"), ("default", "attic"), ("acme", "main")];
/// Concurrent requests; the log decides their order.
const CONCURRENCY: usize = 4;
const CASES: u32 = 6;

fn any_of(random: &mut SeededRandom, message_texts: &[&str]) -> Value {
    message_texts[random.below(message_texts.len() as u64) as usize].into()
}

/// One command: an index into [`COMMANDS`], and the seed of its values.
type Command = (prop::sample::Index, u64);

/// The ids in responses, by the names that paths have for them.
#[derive(Default)]
struct KnownIds(BTreeMap<String, Vec<String>>);

impl KnownIds {
    fn collect_ids(&mut self, answer: &Value) {
        match answer {
            Value::Object(members) => members.iter().for_each(|(name, member)| match member.as_str() {
                Some(id) if COMMANDS.iter().any(|(_, path, _)| path.contains(&format!("{{{name}}}"))) => {
                    self.0.entry(name.clone()).or_default().push(id.to_owned());
                }
                _ => self.collect_ids(member),
            }),
            Value::Array(members) => members.iter().for_each(|member| self.collect_ids(member)),
            _ => {}
        }
    }

    /// The path with ids filled in; none if there is no id of this name yet.
    fn fill(&self, path: &str, random: &mut SeededRandom) -> Option<String> {
        let Some((before, rest)) = path.split_once('{') else { return Some(path.to_owned()) };
        let (name, after) = rest.split_once('}')?;
        let ids = self.0.get(name)?;
        Some(format!("{before}{}{after}", ids[random.below(ids.len() as u64) as usize]))
    }

    fn request(&self, client: &Client, (command, seed): Command) -> Option<agentcafe_testkit::Request> {
        let mut random = SeededRandom::new(seed);
        let (method, path, body) = command.get(COMMANDS);
        let path = self.fill(path, &mut random)?;
        let mut body = body(&mut random);
        let (tenant, room) = ROOMS[random.below(ROOMS.len() as u64) as usize];
        (body["tenantId"], body["roomId"]) = (tenant.into(), room.into());
        body["actorId"] = any_of(&mut random, &ACTORS);
        Some(client.request(method.clone(), &path).key(&fresh_key()).json(&body))
    }
}

/// The rooms, and the rendered state of each after each of its events.
#[derive(Default)]
struct Rooms {
    folds: BTreeMap<(TenantId, RoomId), RoomProjection>,
    after: BTreeMap<u64, String>,
}

impl Rooms {
    fn apply(&mut self, event: Value) {
        let event: Event = serde_json::from_value(event).expect("an event");
        let (tenant, room) = (event.tenant_id.clone(), event.room_id.clone());
        let begin = || RoomProjection::new(tenant.clone(), room.clone());
        let projection = self.folds.entry((tenant.clone(), room.clone())).or_insert_with(begin);
        projection.apply(&event);
        let shown = serde_json::to_string(&projection.snapshot().themed(&Themes::new())).expect("plain JSON");
        self.after.insert(event.sequence.0, shown);
    }
}

/// Follows the log, and projects every event as it arrives.
#[derive(Default)]
struct Follower {
    rooms: Rooms,
    cursor: u64,
}

impl Follower {
    /// The stream of events that it has not received.
    async fn stream(&self, client: &Client) -> SseStream {
        client.stream(&format!("/v1/streams/market-events?cursor={}", self.cursor)).await
    }

    /// Follows until the last event is known and received, or the server is gone.
    async fn follow(mut self, mut stream: SseStream, last: watch::Receiver<Option<u64>>) -> Self {
        while last.borrow().is_none_or(|last| self.cursor < last) {
            let frame = match stream.next_within(std::time::Duration::from_secs(60)).await {
                Ok(frame) => frame,
                Err(Silence::TimedOut) => panic!("not even a heartbeat"),
                Err(Silence::Ended | Silence::Broken(_)) => break,
            };
            if let Some(sequence) = frame.id {
                self.cursor = sequence;
                self.rooms.apply(frame.data);
            }
        }
        self
    }
}

/// Sends the commands, some concurrently.
async fn act(client: &Client, known: &mut KnownIds, commands: &[Command]) {
    for some in commands.chunks(CONCURRENCY) {
        let requests = some.iter().filter_map(|command| known.request(client, *command));
        let mut under_way: JoinSet<Answer> = requests.map(agentcafe_testkit::Request::send).collect();
        while let Some(answer) = under_way.join_next().await {
            let answer = answer.expect("an answer");
            assert!(answer.status < 500, "{}", answer.text);
            known.collect_ids(&answer.json);
        }
        known.collect_ids(&client.get("/v1/inbox?limit=5&order=desc").await.json);
    }
}

/// Projects the stored log from the start.
async fn project_log(client: &Client) -> Rooms {
    let mut rooms = Rooms::default();
    log(client).await.into_iter().for_each(|event| rooms.apply(event));
    rooms
}

/// Checks that the follower's states and those of the stored log are the same after each event.
fn assert_same(followed: &Rooms, refolded: &Rooms) {
    for (sequence, shown) in &followed.after {
        assert_eq!(refolded.after.get(sequence), Some(shown), "after event {sequence}");
    }
    let last = followed.after.keys().last().copied().unwrap_or_default();
    let count = refolded.after.range(..=last).count();
    assert_eq!(count, followed.after.len(), "events that were not received");
}

/// Checks that a replay of a room equals the projection of the log.
async fn replayed(client: &Client) {
    let mut shown = Vec::new();
    for (tenant, room) in ROOMS {
        let path = format!("/v1/replay?tenantId={tenant}&roomId={room}&minutes=120");
        shown.push(client.get(&path).await);
    }
    // Read afterwards: it has all events of the replays, and may have more.
    let refolded = project_log(client).await;
    for answer in shown {
        assert_eq!(answer.data()["truncated"], false);
        if let Some(end) = answer.data()["window"]["endCursor"].as_u64() {
            let want = format!("\"snapshot\":{}}}}}", refolded.after[&end]);
            assert!(answer.text.ends_with(&want), "after event {end}: {} is not {want}", answer.text);
        }
    }
}

/// Two rounds of commands; the server is killed in the first, and after the second.
async fn check(commands: &[Command]) {
    let launch = launch().env("PRESENCE_SWEEP_MS", 500).env("API_STREAM_HEARTBEAT_MS", 20);
    let mut server: Server = launch.start().await;
    let (first, second) = commands.split_at(commands.len() / 2);
    let (mut known, follower) = (KnownIds::default(), Follower::default());

    let (_forever, no_end) = watch::channel(None);
    let client = server.client();
    let stream = follower.stream(&client).await;
    let following = tokio::spawn(follower.follow(stream, no_end));
    act(&client, &mut known, first).await;
    let cut_off = first.iter().filter_map(|command| known.request(&client, *command));
    let cut_off: JoinSet<_> = cut_off.map(agentcafe_testkit::Request::try_send).collect();
    server.restart().await;
    cut_off.join_all().await;
    let follower = following.await.expect("a follower");

    let (name_end, end) = watch::channel(None);
    let client = server.client();
    let stream = follower.stream(&client).await;
    let following = tokio::spawn(follower.follow(stream, end));
    act(&client, &mut known, second).await;
    let head = client.get("/v1/bootstrap").await.data()["cursor"].as_u64();
    name_end.send_replace(head);
    let followed = following.await.expect("a follower").rooms;
    assert!(followed.after.keys().last().copied() >= head && head > Some(0), "not all events were received");
    replayed(&client).await;

    server.restart().await;
    let client = server.client();
    assert_same(&followed, &project_log(&client).await);
    replayed(&client).await;
}

/// Random sequences of all commands in several rooms and tenants, with kills and restarts. A live follower, the
/// stored log and `GET /v1/replay` give the same bytes.
#[test]
fn replay_equals_the_live_projection() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config =
        Config { cases: CASES, max_shrink_iters: 20, failure_persistence: None, ..Config::default() };
    let commands = vec((any::<prop::sample::Index>(), any::<u64>()), 20..120);
    let outcome = TestRunner::new(config).run(&commands, |commands| {
        runtime.block_on(check(&commands));
        Ok(())
    });
    outcome.unwrap_or_else(|failed| panic!("{failed}"));
}
