//! A café moves from SQLite to PostgreSQL and back with sequences, cursors and keys.

use std::path::Path;
use std::process::{Command, Stdio};

use agentcafe_testkit::{Client, Launch, Postgres, Server, Value, json};
use tempfile::TempDir;

use crate::background_load::all_events;
use crate::export::{act, embedded_command, on_postgres, stderr, wait_with_stdin, without_exported_at};
use crate::launch;
use crate::seeded_random::SeededRandom;

/// Where a café's data is.
enum Location {
    Embedded(TempDir),
    Postgres(String),
}

impl Location {
    fn new(is_postgres: bool) -> Self {
        if is_postgres {
            Self::Postgres(Postgres::shared().database())
        } else {
            Self::Embedded(TempDir::new().expect("a temporary directory"))
        }
    }

    fn launch(&self) -> Launch {
        // The database of this test run.
        let directory = match self {
            Self::Embedded(directory) => directory.path(),
            Self::Postgres(_) => Path::new("/nowhere"),
        };
        let url = if let Self::Postgres(url) = self { url } else { "" };
        launch().data_dir(directory).env("DATABASE_URL", url)
    }

    fn export(&self) -> String {
        let output = self.command("export").output().expect("it runs");
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).expect("an export is text")
    }

    fn import(&self, text: &str) {
        let child = self.command("import").stdin(Stdio::piped()).spawn().expect("it runs");
        let output = wait_with_stdin(child, text);
        assert!(output.status.success() && stderr(&output).contains("imported"), "{}", stderr(&output));
    }

    fn command(&self, subcommand: &str) -> Command {
        match self {
            Self::Embedded(directory) => embedded_command(subcommand, directory.path()),
            Self::Postgres(url) => on_postgres(subcommand, url),
        }
    }
}

/// Sends random commands.
async fn send_random_commands(client: &Client, seed: u64) {
    let mut random = SeededRandom::new(seed);
    for _ in 0..120 {
        act(client, &mut random).await;
    }
}

fn greeting() -> Value {
    json!({ "actorId": "Nova", "text": "hey @Kai", "mentions": ["Kai"] })
}

/// A key that was used before replays the first response.
async fn assert_key_replays(server: &Server, first: &str) {
    let replayed = server.client().post("/v1/commands/say", "the-key", greeting()).await;
    assert_eq!(
        (replayed.text.as_str(), replayed.headers["x-idempotent-replay"].as_bytes()),
        (first, &b"true"[..])
    );
}

/// It is written to in between. Its export is byte-identical before and after each move, sequences continue, cursors
/// resume, keys replay, inboxes are kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn export_import_from_sqlite_to_postgres_and_back() {
    let keepers = [false, true, true, false].map(Location::new);
    let mut server = keepers[0].launch().start().await;
    let first = server.client().post("/v1/commands/say", "the-key", greeting()).await.text;
    send_random_commands(&server.client(), 1).await;
    for (at, pair) in keepers.windows(2).enumerate() {
        let [from, to] = pair else { unreachable!("windows of two") };
        let client = server.client();
        let (log, inbox) = (all_events(&client).await, client.get("/v1/inbox?actorId=Kai&limit=100").await);
        // An export while the server runs, and one after it has stopped: only events of the server itself may differ.
        let _ = from.export();
        assert!(server.stop().await.success());
        let text = from.export();
        to.import(&text);
        assert!(without_exported_at(&to.export()) == without_exported_at(&text), "move {at}");
        server = to.launch().start().await;
        let client = server.client();
        assert_eq!(all_events(&client).await, log);
        let found = client.get("/v1/inbox?actorId=Kai&limit=100").await;
        assert_eq!(found.data()["items"], inbox.data()["items"]);
        assert_key_replays(&server, &first).await;
        let mut stream = client.stream(&format!("/v1/events/stream?cursor={}", log.len() - 3)).await;
        for event in &log[log.len() - 3..] {
            assert_eq!(stream.next_event().await.data, *event);
        }
        let next = client.act("/v1/commands/say", json!({ "actorId": "Bo", "text": "and on" })).await;
        assert!(next.data()["sequence"].as_u64() > Some(log.len() as u64));
        send_random_commands(&client, at as u64 + 2).await;
    }
    assert_key_replays(&server, &first).await;
}
