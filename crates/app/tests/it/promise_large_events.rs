//! So many large events that they do not fit into what a server may keep in memory.

use std::sync::atomic::{AtomicU64, Ordering};

use agentcafe_testkit::{Client, Server, json};

const SAYS: usize = 280;
const SAY_BYTES: usize = 200_000;
const POSTERS: usize = 4;

/// Posts 56 MB of large says, far more than sockets and the server's memory of the newest events hold. Gives the most that
/// the server's memory was meanwhile, in KiB.
pub(crate) async fn post_large_says(server: &Server) -> u64 {
    let (most, text) = (AtomicU64::new(0), "x".repeat(SAY_BYTES));
    let post = async |poster: usize| {
        let client = Client::new(server.address());
        for number in 0..SAYS / POSTERS {
            let body = json!({
                "actorId": format!("poster-{poster}"), "text": format!("{poster}-{number}"), "metadata": { "x": text },
            });
            let answer = client.act("/v1/commands/say", body).await;
            assert_eq!(answer.status, 202, "{}", answer.text);
            most.fetch_max(server.rss_kib(), Ordering::SeqCst);
        }
    };
    tokio::join!(post(0), post(1), post(2), post(3));
    most.load(Ordering::SeqCst)
}
