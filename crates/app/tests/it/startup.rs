//! The first log lines of a server.

use std::time::Duration;

use agentcafe_testkit::{SHARED_TOKEN, eventually, json};

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
async fn serve_listens_on_loopback_unless_there_is_a_token() {
    const TOKEN: &str = "sixteen bytes...";
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[], "127.0.0.1:"),
        (&[("API_AUTH_TOKEN", " ")], "127.0.0.1:"),
        (&[("API_AUTH_TOKEN", TOKEN)], "0.0.0.0:"),
        (&[("AGENTCAFE_RUNTIME_API_KEY", TOKEN)], "0.0.0.0:"),
        (&[("API_AUTH_TOKEN", TOKEN), ("API_HOST", "0.0.0.0")], "0.0.0.0:"),
        (&[("API_AUTH_TOKEN", "t"), ("API_HOST", "127.0.0.2")], "127.0.0.2:"),
    ];
    for (variables, host) in cases {
        let launch = launch().without("API_HOST").without("API_PORT").env("PORT", 0);
        let launch = variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        let mut server = launch.start().await;
        server.stop().await;
        let log = server.log();
        assert!(log.contains(&format!("listening on http://{host}")), "{variables:?}: {log}");
        assert!(!log.contains("realtime at"), "{variables:?}: {log}");
    }
}

/// The proof of the mode `stub` that everybody knows pays only where no other machine can connect; the start says so.
#[tokio::test]
async fn stub_proof_has_no_default_beyond_loopback() {
    let server = launch().env("API_HOST", "0.0.0.0").with_shared_token().start().await;
    let client = server.client().with_token(SHARED_TOKEN);
    let table =
        json!({"actorId": "Nova", "roomId": "vip", "planId": "espresso", "paymentProof": "coffee_paid"});
    let refused = client.act("/v1/table-sessions", table).await;
    let details = refused.error(402, "ERR_PAYMENT_REQUIRED");
    assert_eq!(details["reason"], "PRIVATE_TABLE_PAYMENT_STUB_PROOF is not set");
    let warning = "PRIVATE_TABLE_PAYMENT_STUB_PROOF is not set: no private table can be paid for";
    assert!(server.log().contains(warning), "{}", server.log());
}

/// Every service that clients reach: alone, embedded, in a container (which sets `API_HOST`). The error says what to do.
#[tokio::test]
async fn serve_and_realtime_refuse_to_listen_beyond_loopback_without_a_long_token() {
    let cases: [(&str, &[(&str, &str)], &str); 7] = [
        ("serve", &[("API_HOST", "0.0.0.0")], "0.0.0.0 (API_HOST)"),
        ("serve", &[("API_HOST", "::")], ":: (API_HOST)"),
        ("serve", &[("API_HOST", "0.0.0.0"), ("API_AUTH_TOKEN", "changeme")], "API_AUTH_TOKEN has 8 bytes"),
        ("serve", &[("API_AUTH_TOKEN", "fifteen bytes..")], "API_AUTH_TOKEN has 15 bytes"),
        ("serve", &[("REALTIME_PORT", "0"), ("REALTIME_HOST", "0.0.0.0")], "0.0.0.0 (REALTIME_HOST)"),
        ("realtime", &[("REALTIME_HOST", "0.0.0.0")], "API_AUTH_TOKEN is not set"),
        ("realtime", &[("AGENTCAFE_RUNTIME_API_KEY", "x")], "API_AUTH_TOKEN has 1 bytes"),
    ];
    for (subcommand, variables, problem) in cases {
        let mut launch = launch().subcommand(subcommand).env("REALTIME_PORT", 0);
        if variables.iter().any(|(name, _)| name.ends_with("TOKEN") || name.ends_with("KEY")) {
            launch = launch.without("API_HOST");
        }
        let launch = variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        let failed = launch.try_start().await.expect_err("it refuses to start");
        assert!(failed.status.is_some_and(|status| !status.success()), "{failed}");
        for part in [problem, "at least 16 bytes", "Set it, or"] {
            assert!(failed.log.contains(part), "{variables:?}: {failed}");
        }
    }
}
