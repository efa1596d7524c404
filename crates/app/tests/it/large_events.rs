//! More large events than a server may hold in memory.

use agentcafe_testkit::{Client, Launch, Server, fresh_key, json};

use crate::launch;

const SAYS: usize = 280;
const SAY_BYTES: usize = 200_000;
const POSTERS: usize = 4;

/// A server that takes large says.
pub(crate) fn launch_for_large_says() -> Launch {
    launch().env("API_MAX_CHAT_MESSAGE_CHARS", 0)
}

/// Posts 56 MB of large says, far more than sockets and the buffer of recent events hold.
pub(crate) async fn post_large_says(server: &Server) {
    let text = "x".repeat(SAY_BYTES);
    let post = async |poster: usize| {
        let client = Client::new(server.address());
        for _ in 0..SAYS / POSTERS {
            let (actor, text) = (format!("poster-{poster}"), format!("{} {text}", fresh_key()));
            let body = json!({ "actorId": actor, "text": text });
            let answer = client.act("/v1/commands/say", body).await;
            assert_eq!(answer.status, 202, "{}", answer.text);
        }
    };
    tokio::join!(post(0), post(1), post(2), post(3));
}
