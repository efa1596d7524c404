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

/// Without a token, the server listens on loopback: its clients are on this machine. Realtime is embedded only with
/// `REALTIME_PORT`.
#[tokio::test]
async fn serve_listens_on_loopback_unless_there_is_a_token_or_a_host() {
    const WARNING: &str = "is reachable from other machines, and API_AUTH_TOKEN is not set";
    let cases: [(&[(&str, &str)], &str, bool); 5] = [
        (&[], "127.0.0.1:", false),
        (&[("API_AUTH_TOKEN", " ")], "127.0.0.1:", false),
        (&[("API_AUTH_TOKEN", "t")], "0.0.0.0:", false),
        (&[("AGENTCAFE_RUNTIME_API_KEY", "t")], "0.0.0.0:", false),
        (&[("API_HOST", "0.0.0.0")], "0.0.0.0:", true),
    ];
    for (variables, host, warns) in cases {
        let launch = launch().without("API_HOST").without("API_PORT").env("PORT", 0);
        let launch = variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        let mut server = launch.start().await;
        server.stop().await;
        let log = server.log();
        assert!(log.contains(&format!("listening on http://{host}")), "{variables:?}: {log}");
        assert!(log.contains(WARNING) == warns && !log.contains("realtime at"), "{variables:?}: {log}");
    }
}
