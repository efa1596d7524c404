//! The file of the index: what becomes of it changes nothing, it is built anew.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::Duration;

use agentcafe_testkit::{Client, eventually};
use tempfile::TempDir;

use crate::export::embedded_command;
use crate::search::finds;
use crate::{launch, say_in};

const DEADLINE: Duration = Duration::from_secs(20);
const INDEX: &str = "agentcafe-search.db";

fn overwrite(path: &Path, with: &[u8], from: usize) {
    let mut bytes = fs::read(path).expect("the index");
    let to = (from + with.len()).min(bytes.len());
    bytes[from..to].copy_from_slice(&with[..to - from]);
    fs::write(path, bytes).expect("the index is ours");
}

/// Whatever happened to it while the server was down.
#[tokio::test]
async fn store_index_is_built_anew_if_it_is_of_no_use() {
    let directory = TempDir::new().expect("a directory");
    let index = directory.path().join(INDEX);
    let damages: [(&str, fn(&Path)); 6] = [
        ("nothing", |_| {}),
        ("deleted", |path| fs::remove_file(path).expect("it is there")),
        ("empty", |path| fs::write(path, "").expect("it is ours")),
        ("no database", |path| fs::write(path, "x".repeat(10_000)).expect("it is ours")),
        ("cut short", |path| {
            let file = OpenOptions::new().write(true).open(path).expect("it is there");
            file.set_len(5_000).expect("it is ours");
        }),
        ("overwritten", |path| overwrite(path, &[0x55; 1 << 20], 4_096)),
    ];
    let mut server = launch().data_dir(directory.path()).start().await;
    for n in 0..300 {
        say_in(&server.client(), "main", &format!("zebra number{n}")).await;
    }
    for (what, damage) in damages {
        finds(&server.client(), &[("q", "number299")], 1).await;
        assert!(server.stop().await.success());
        damage(&index);
        server = launch().data_dir(directory.path()).start().await;
        finds(&server.client(), &[("q", "zebra \"number7\"")], 1).await;
        assert_eq!(server.log().contains("built anew"), what != "nothing", "{what}: {}", server.log());
    }
}

/// An index that was of the same log, but has more than that.
#[tokio::test]
async fn store_index_ahead_of_the_log_is_built_anew() {
    let directory = TempDir::new().expect("a directory");
    let copy = TempDir::new().expect("a directory");
    let mut server = launch().data_dir(directory.path()).start().await;
    say_in(&server.client(), "main", "the first zebra").await;
    finds(&server.client(), &[("q", "zebra")], 1).await;
    assert!(server.stop().await.success());
    for file in ["agentcafe.db", "agentcafe.mark"] {
        fs::copy(directory.path().join(file), copy.path().join(file)).expect("it can be copied");
    }
    let mut server = launch().data_dir(directory.path()).start().await;
    say_in(&server.client(), "main", "the lost zebra").await;
    finds(&server.client(), &[("q", "zebra")], 2).await;
    assert!(server.stop().await.success());
    fs::copy(directory.path().join(INDEX), copy.path().join(INDEX)).expect("it can be copied");
    let server = launch().data_dir(copy.path()).start().await;
    finds(&server.client(), &[("q", "zebra")], 1).await;
    assert!(server.log().contains("ahead of the log"), "{}", server.log());
}

/// A damage that only a read notices.
#[tokio::test]
async fn store_index_that_is_damaged_while_it_is_in_use_is_built_anew() {
    let directory = TempDir::new().expect("a directory");
    let index = directory.path().join(INDEX);
    let mut server = launch().data_dir(directory.path()).start().await;
    for n in 0..300 {
        say_in(&server.client(), "main", &format!("zebra number{n}")).await;
    }
    finds(&server.client(), &[("q", "number299")], 1).await;
    assert!(server.stop().await.success());
    let verified = || embedded_command("verify", directory.path()).output().expect("the binary runs");
    assert!(verified().status.success(), "{:?}", verified());
    // All pages of the words: the index is still opened.
    let pages = fs::read(&index).expect("the index").len() / 4_096;
    for page in pages / 2..pages {
        overwrite(&index, &[0x55; 4_096], page * 4_096);
    }
    let output = verified();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("the index of messages"), "{text}");
    let server = launch().data_dir(directory.path()).start().await;
    say_in(&server.client(), "main", "one more zebra").await;
    let client: Client = server.client();
    eventually("the index is whole again", DEADLINE, async || {
        let answer = client.get("/v1/search?q=zebra&limit=100").await;
        (answer.status == 200 && answer.data()["count"] == 100).then_some(())
    })
    .await;
}
