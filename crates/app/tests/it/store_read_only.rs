//! The issue, "a store that is read-only": a clear error at the start, or 503 on writes until it can be written again.

use std::time::Duration;

use agentcafe_testkit::{Client, eventually, json};

use crate::{
    launch,
    promise_load::everything,
    store_disk::{SmallDisk, Unwritable},
    store_full::{assert_not_ready, assert_unavailable},
};

const RECOVERY_DEADLINE: Duration = Duration::from_secs(20);

async fn say(client: &Client, text: &str) -> agentcafe_testkit::Answer {
    client.post("/v1/commands/say", text, json!({ "actorId": "Nova", "text": text })).await
}

/// A disk that is mounted read-only, with a store on it and without: the start fails, and says which directory and why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_disk_is_told_at_the_start() {
    let disk = SmallDisk::mount(16);
    for has_store in [false, true] {
        if has_store {
            let mut server = launch().data_dir(disk.data()).start().await;
            assert_eq!(say(&server.client(), "before").await.status, 202);
            assert!(server.stop().await.success());
        }
        disk.remount("ro");
        let Err(failed) = launch().data_dir(disk.data()).try_start().await else { panic!("it is ready") };
        let status = failed.status.expect("it ends");
        assert!(!status.success() && !failed.log.contains("panicked"), "{status:?}: {}", failed.log);
        let last = failed.log.lines().last().unwrap_or_default().to_lowercase();
        let words = [disk.data().display().to_string(), "read-only".to_owned()];
        assert!(words.iter().all(|word| last.contains(&word.to_lowercase())), "{last}");
        disk.remount("rw");
    }
    let mut server = launch().data_dir(disk.data()).start().await;
    let client = server.client();
    assert_eq!(everything(&client).await[0]["payload"]["conversation"]["text"], "before");
    server.kill();
}

/// Files that become unwritable under a running server: 503 with `Retry-After` on writes, not ready, reads go on; and when
/// they can be written again, so does it, and what was refused takes effect once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn becoming_read_only_refuses_writes_and_recovers() {
    let disk = Unwritable::new();
    let mut server = launch().data_dir(disk.data()).start().await;
    let client = server.client();
    let mut stream = client.stream("/v1/streams/market-events?types=conversation_message_posted").await;
    for round in 0..3 {
        let before = say(&client, &format!("before {round}")).await;
        assert_eq!(before.status, 202, "{}", before.text);
        let count = everything(&client).await.len();
        disk.forbid_writing();
        for _ in 0..5 {
            assert_unavailable(&say(&client, &format!("while {round}")).await);
        }
        assert_not_ready(&client).await;
        assert_eq!(everything(&client).await.len(), count);
        assert_eq!(stream.next_event().await.data["eventId"], before.data()["eventId"]);
        disk.allow_writing();
        let ready = async || (client.get("/readyz").await.status == 200).then_some(());
        eventually("ready again", RECOVERY_DEADLINE, ready).await;
        let after = say(&client, &format!("while {round}")).await;
        assert_eq!(after.status, 202, "{}", after.text);
        assert_eq!(say(&client, &format!("while {round}")).await.text, after.text);
        assert_eq!(stream.next_event().await.data["eventId"], after.data()["eventId"]);
    }
    server.restart().await;
    let texts: Vec<_> = everything(&server.client())
        .await
        .iter()
        .filter_map(|event| event["payload"]["conversation"]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(texts, ["before 0", "while 0", "before 1", "while 1", "before 2", "while 2"]);
    server.kill();
}
