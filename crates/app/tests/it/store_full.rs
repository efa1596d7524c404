//! A full disk: writes are 503, reads work, and the server recovers by itself without loss.

use std::time::Duration;

use agentcafe_testkit::{Answer, Client, Server, Value, eventually, json};

use crate::background_load::read_pages;
use crate::launch;
use crate::store_disk::SmallDisk;

const RECOVERY_DEADLINE: Duration = Duration::from_secs(60);
/// Large enough to fill a small disk soon.
const LARGE: usize = 60_000;
/// Small enough to fit where a large say does not.
const SMALL: usize = 1;

/// A say of this size, under its own key; the same request each time.
async fn say(client: &Client, number: usize, bytes: usize) -> Answer {
    let body = json!({
        "actorId": "Nova", "text": format!("number {number}"), "metadata": { "filler": "x".repeat(bytes) },
    });
    client.post("/v1/commands/say", &format!("key-{number}"), body).await
}

/// The accepted says, and their sizes.
type Accepted = Vec<(usize, Answer)>;

/// The response to a refused write: 503 with `Retry-After`.
#[track_caller]
pub(crate) fn assert_unavailable(answer: &Answer) {
    let _ = answer.error(503, "ERR_UNAVAILABLE");
    let retry_after = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(retry_after.is_some_and(|seconds| seconds >= 1), "no Retry-After: {:?}", answer.headers);
}

/// Checks that `/readyz` is 503 with reasons, and `/livez` 200.
pub(crate) async fn assert_not_ready(client: &Client) {
    let ready = client.get("/readyz").await;
    assert_unavailable(&ready);
    let reasons = ready.json["error"]["details"]["reasons"].as_array().cloned().unwrap_or_default();
    assert!(!reasons.is_empty() && reasons.iter().all(Value::is_string), "no reasons: {}", ready.text);
    assert_eq!(client.get("/livez").await.status, 200, "the process is up");
}

/// Checks that every accepted say is in the log once, and that its key replays.
async fn assert_all_there(client: &Client, accepted: &Accepted) {
    let messages = read_pages(client, "types=conversation_message_posted", 50).await;
    assert_eq!(messages.len(), accepted.len());
    for (number, (message, (_, answer))) in messages.iter().zip(accepted).enumerate() {
        assert_eq!(message["eventId"], answer.data()["eventId"], "number {number}");
        assert_eq!(message["payload"]["conversation"]["text"], format!("number {number}"));
    }
}

/// Sends one say after the other until there is no room.
async fn fill(client: &Client, accepted: &mut Accepted, bytes: usize) {
    loop {
        let answer = say(client, accepted.len(), bytes).await;
        if answer.status != 202 {
            return assert_unavailable(&answer);
        }
        accepted.push((bytes, answer));
        assert!(accepted.len() < 5_000, "the disk is never full");
    }
}

/// Checks that reads work while writes fail.
async fn assert_reads_go_on(client: &Client, accepted: &Accepted) {
    assert_all_there(client, accepted).await;
    for path in ["/v1/timeline?order=desc&limit=5", "/v1/bootstrap?actorId=Nova", "/v1/presence", "/healthz"]
    {
        assert_eq!(client.get(path).await.status, 200, "{path}");
    }
    let poll = client.get("/v1/events/poll?cursor=0&limit=1").await;
    assert_eq!(poll.data()["events"][0]["sequence"], 1);
    let mut stream = client.stream("/v1/streams/market-events?types=conversation_message_posted").await;
    for (_, answer) in accepted {
        assert_eq!(stream.next_event().await.data["eventId"], answer.data()["eventId"]);
    }
}

async fn assert_recovers(client: &Client, accepted: &mut Accepted) {
    let ready = async || (client.get("/readyz").await.status == 200).then_some(());
    eventually("ready again", RECOVERY_DEADLINE, ready).await;
    for _ in 0..20 {
        let answer = say(client, accepted.len(), SMALL).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        accepted.push((SMALL, answer));
    }
    for (number, (bytes, first)) in accepted.iter().enumerate() {
        let again = say(client, number, *bytes).await;
        assert_eq!((again.status, &again.text), (202, &first.text), "number {number}");
    }
    assert_all_there(client, accepted).await;
}

async fn on(disk: &SmallDisk) -> Server {
    launch().data_dir(disk.data()).start().await
}

/// 503 with `Retry-After`. The disk fills up under a server and is freed, twice; then the server is killed. Nothing
/// acknowledged is lost, nothing refused has an effect, and no restart is needed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_refuses_writes_and_recovers() {
    let disk = SmallDisk::mount(48);
    disk.put_ballast("first", 12);
    disk.put_ballast("second", 12);
    let mut server = on(&disk).await;
    let mut accepted = Accepted::new();
    for ballast in ["first", "second"] {
        let client = server.client();
        fill(&client, &mut accepted, LARGE).await;
        assert!(accepted.len() > 20, "only {} says fitted", accepted.len());
        // There may be room for small says, also within the write-ahead log.
        disk.put_ballast("rest", 48);
        fill(&client, &mut accepted, SMALL).await;
        for _ in 0..5 {
            assert_unavailable(&say(&client, accepted.len(), SMALL).await);
        }
        let not_ready = async || (client.get("/readyz").await.status == 503).then_some(());
        eventually("the last room is used up", RECOVERY_DEADLINE, not_ready).await;
        assert_not_ready(&client).await;
        assert_reads_go_on(&client, &accepted).await;
        disk.remove_ballast("rest");
        disk.remove_ballast(ballast);
        assert_recovers(&client, &mut accepted).await;
    }
    server.restart().await;
    let client = server.client();
    assert_all_there(&client, &accepted).await;
    server.kill();
}

/// The server exits with an error, or is not ready; it works when there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_at_the_start_is_reported() {
    let disk = SmallDisk::mount(8);
    disk.put_ballast("all", 8);
    let Err(failed) = launch().data_dir(disk.data()).try_start().await else {
        panic!("it is ready on a full disk")
    };
    let status = failed.status.expect("it exits instead of waiting");
    assert!(!status.success() && !failed.log.contains("panicked"), "{status:?}: {}", failed.log);
    assert!(failed.log.contains(&disk.data().display().to_string()), "{}", failed.log);
    disk.remove_ballast("all");
    let mut server = on(&disk).await;
    assert_eq!(say(&server.client(), 0, SMALL).await.status, 202);
    server.kill();
}
