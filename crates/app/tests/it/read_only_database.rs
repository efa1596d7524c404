//! A database that becomes read-only: writes are 503 until it is writable again.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentcafe_testkit::{Answer, Client, Postgres, json, store_under_test};
use tempfile::TempDir;

use crate::background_load::all_events;
use crate::launch;
use crate::store_disk::run;
use crate::store_full::{assert_not_ready, assert_unavailable};

/// A data directory whose database can be made read-only while it is open. Writable again when dropped.
pub(crate) struct ReadOnlyDatabase(TempDir);

impl ReadOnlyDatabase {
    /// Creates it beside the test binaries: on a disk in memory, files cannot be made immutable.
    pub(crate) fn new() -> Self {
        let launch_realtime = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(launch_realtime).expect("cargo's own directory");
        Self(TempDir::new_in(launch_realtime).expect("a temporary directory"))
    }

    pub(crate) fn data(&self) -> &Path {
        self.0.path()
    }

    fn database_files(&self) -> Vec<PathBuf> {
        let names = ["agentcafe.db", "agentcafe.db-wal"].map(|name| self.0.path().join(name));
        names.into_iter().filter(|file| file.exists()).collect()
    }

    /// Makes every write to the open database fail; reads work. In PostgreSQL this is what happens if a standby
    /// replaces the primary.
    pub(crate) fn forbid_writing(&self) {
        if store_under_test() == "postgres" {
            return self.new_sessions("SET default_transaction_read_only = on");
        }
        run(Command::new("chattr").arg("+i").args(self.database_files()));
    }

    pub(crate) fn allow_writing(&self) {
        if store_under_test() == "postgres" {
            return self.new_sessions("RESET default_transaction_read_only");
        }
        run(Command::new("chattr").arg("-i").args(self.database_files()));
    }

    /// Changes the database for new sessions, and ends the existing ones.
    fn new_sessions(&self, change: &str) {
        let url = Postgres::shared().database_for(self.0.path());
        let (_, name) = url.split_once("/cafe_").expect("the name of a database");
        let name = format!("cafe_{}", name.split('?').next().expect("a name"));
        let admin = Postgres::shared().url("postgres");
        let _ = Postgres::query(&admin, &format!("ALTER DATABASE {name} {change}"));
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ";
        let _ = Postgres::query(&admin, &format!("{end}'{name}'"));
    }
}

impl Drop for ReadOnlyDatabase {
    fn drop(&mut self) {
        let files = self.database_files();
        let _ = Command::new("chattr").arg("-i").args(files.iter().map(AsRef::<OsStr>::as_ref)).output();
    }
}

/// Posts a message of Nova under its text as idempotency key.
pub(crate) async fn say_once(client: &Client, text: &str) -> Answer {
    client.post("/v1/commands/say", text, json!({ "actorId": "Nova", "text": text })).await
}

/// 503 with `Retry-After` on writes, `/readyz` is 503, reads work. When the database is writable again, the server
/// recovers, and a refused request takes effect once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_database_refuses_writes_and_recovers() {
    let disk = ReadOnlyDatabase::new();
    let mut server = launch().data_dir(disk.data()).start().await;
    let client = server.client();
    let mut stream = client.stream("/v1/streams/market-events?types=conversation_message_posted").await;
    for round in 0..3 {
        let before = say_once(&client, &format!("before {round}")).await;
        assert_eq!(before.status, 202, "{}", before.text);
        let count = all_events(&client).await.len();
        disk.forbid_writing();
        for _ in 0..5 {
            assert_unavailable(&say_once(&client, &format!("while {round}")).await);
        }
        assert_not_ready(&client).await;
        assert_eq!(all_events(&client).await.len(), count);
        assert_eq!(stream.next_event().await.data["eventId"], before.data()["eventId"]);
        disk.allow_writing();
        client.until_ready().await;
        let after = say_once(&client, &format!("while {round}")).await;
        assert_eq!(after.status, 202, "{}", after.text);
        assert_eq!(say_once(&client, &format!("while {round}")).await.text, after.text);
        assert_eq!(stream.next_event().await.data["eventId"], after.data()["eventId"]);
    }
    server.restart().await;
    let message_texts: Vec<_> = all_events(&server.client())
        .await
        .iter()
        .filter_map(|event| event["payload"]["conversation"]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(message_texts, ["before 0", "while 0", "before 1", "while 1", "before 2", "while 2"]);
    server.kill();
}
