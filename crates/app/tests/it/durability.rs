//! What was acknowledged survives `kill -9`, once, and its key replays the first response.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agentcafe_testkit::{Server, eventually};
use tokio::task::JoinSet;

use crate::background_load::{TrackedSay, assert_logged, repeat_says, say_until_disconnected};
use crate::launch;

const SPEAKERS: usize = 32;
pub(crate) const LOAD_DEADLINE: Duration = Duration::from_secs(180);

/// Sends says from many connections, and kills the server after this many were acknowledged.
async fn load_and_kill(server: &mut Server, round: &str, acknowledged_at_least: usize) -> Vec<TrackedSay> {
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut speakers = JoinSet::new();
    for speaker in 0..SPEAKERS {
        let (address, round, acknowledged) = (server.address(), round.to_owned(), Arc::clone(&acknowledged));
        speakers.spawn(async move { say_until_disconnected(address, speaker, &round, acknowledged).await });
    }
    let enough = async || (acknowledged.load(Ordering::SeqCst) >= acknowledged_at_least).then_some(());
    eventually("the load is accepted", LOAD_DEADLINE, enough).await;
    server.kill();
    speakers.join_all().await.into_iter().flatten().collect()
}

/// Several hundred says from 32 connections, and `kill -9` in the middle of them, several times on one directory.
/// Nothing acknowledged is lost or doubled, no command is there in part, keys replay byte for byte, and an
/// unacknowledged say takes effect once when it is repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_commands_survive_kill_nine() {
    let mut server = launch().start().await;
    let mut all = Vec::new();
    for (round, acknowledged_at_least) in [300, 40, 180, 1, 420].into_iter().enumerate() {
        let said = load_and_kill(&mut server, &format!("r{round}"), acknowledged_at_least).await;
        assert!(said.iter().filter(|said| said.answer.is_some()).count() >= acknowledged_at_least);
        assert!(said.iter().any(|said| said.answer.is_none()), "the kill came too late to cut anything");
        server.restart().await;
        let client = server.client();
        assert_logged(&client, &said).await;
        all.extend(repeat_says(&client, said).await);
    }
    server.restart().await;
    let client = server.client();
    assert!(all.iter().all(|said| said.answer.is_some()));
    assert_logged(&client, &all).await;
    let all = repeat_says(&client, all).await;
    assert_logged(&client, &all).await;
}
