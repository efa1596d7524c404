//! The first log lines of a server.

use std::time::Duration;

use agentcafe_testkit::eventually;

use crate::launch;

#[tokio::test]
async fn serve_logs_what_to_try_next_and_misspelled_settings() {
    let server = launch().env("API_RATE_LIMIT", 1).start().await;
    let tried = format!("curl 'http://{}/v1/bootstrap", server.address());
    for part in [
        "listening on",
        tried.as_str(),
        "agentcafe tail",
        "API_RATE_LIMIT is not a setting of agentcafe. Did you mean API_RATE_LIMIT_PER_MIN?",
    ] {
        let is_logged = async || server.log().contains(part).then_some(());
        eventually(part, Duration::from_secs(60), is_logged).await;
    }
}
