//! More large events than a server may hold in memory.

use agentcafe_testkit::{Client, Server, fresh_key, json};

const SAYS: usize = 900;
const SAY_BYTES: usize = 62_000;
const POSTERS: usize = 4;

/// Posts 56 MB of large says, far more than sockets and the buffer of recent events hold.
pub(crate) async fn post_large_says(server: &Server) {
    let text = "x".repeat(SAY_BYTES);
    let post = async |poster: usize| {
        let client = Client::new(server.address());
        for _ in 0..SAYS / POSTERS {
            let (actor, metadata) = (format!("poster-{poster}"), json!({ "x": text }));
            let body = json!({ "actorId": actor, "text": fresh_key(), "metadata": metadata });
            let answer = client.act("/v1/commands/say", body).await;
            assert_eq!(answer.status, 202, "{}", answer.text);
        }
    };
    tokio::join!(post(0), post(1), post(2), post(3));
}
