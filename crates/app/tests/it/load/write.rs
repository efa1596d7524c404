//! `agentcafe load write`: what it says is what is in the log.

use super::*;
use crate::log;

/// The issue: commands on N connections; what it counts as accepted is in the log, and each run says something new.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_is_in_the_log() {
    let (server, client) = cafe().await;
    let url = server.url();
    let mut said = 0;
    for run_number in 1..=2 {
        let arguments = ["load", "write", "--url", &url, "--duration-ms", "300", "--connections", "6"];
        let ran = run(&[&arguments as &[&str], &["--rooms", "3", "--actors", "12"]].concat(), &[]).await;
        assert!(ran.passed && ran.said.is_empty(), "{}", ran.said);
        let write = &ran.report["write"];
        assert!(write["perSecond"].as_f64() > Some(0.0) && write["errors"] == 0, "{write}");
        said += write["count"].as_u64().unwrap();
        let events = log(&client).await;
        let messages: Vec<_> =
            events.iter().filter(|event| event["type"] == "conversation_message_posted").collect();
        assert_eq!(messages.len() as u64, said, "after run {run_number}");
        let distinct = |member: &str| {
            let values = messages.iter().map(|event| event[member].as_str().unwrap());
            values.collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!((distinct("roomId"), distinct("tenantId")), (3 * run_number, 1));
        assert!(distinct("actorId") <= 12);
    }
}

/// The issue: a pace is kept, and thresholds decide about the exit code.
#[tokio::test(flavor = "multi_thread")]
async fn a_pace_is_kept_and_thresholds_decide() {
    let (server, _client) = cafe().await;
    let url = server.url();
    let paced = ["load", "write", "--url", &url, "--duration-ms", "2000", "--rate", "40"];
    let ran =
        run(&[&paced as &[&str], &["--min-per-second", "10", "--max-p99-ms", "30000"]].concat(), &[]).await;
    assert!(ran.passed, "{}", ran.said);
    let count = ran.report["write"]["count"].as_u64().unwrap();
    assert!((20..=81).contains(&count), "{count}");
    let ran = run(&[&paced as &[&str], &["--min-per-second", "50", "--max-p99-ms", "0"]].concat(), &[]).await;
    assert!(!ran.passed);
    assert_eq!(ran.failed_checks(), ["write_p99", "writes_per_second"]);
}

/// The issue: what moderation refuses is told from what the rate limit refuses, and from what the server cannot do.
#[tokio::test(flavor = "multi_thread")]
async fn moderation_and_the_rate_limit_are_told() {
    let arguments = ["--duration-ms", "3000", "--connections", "4", "--actors", "4"];
    let server = launch().env("MOD_MIN_ACTION_INTERVAL_MS", 60_000).start().await;
    let ran = run(&[&["load", "write", "--url", &server.url()], &arguments as &[&str]].concat(), &[]).await;
    let write = &ran.report["write"];
    assert!(!ran.passed && ran.said.contains("refused by moderation"), "{}", ran.said);
    assert_eq!((&write["count"], &write["moderated"]), (&4.into(), &write["errors"]), "{write}");

    let server = launch().env("API_RATE_LIMIT_PER_MIN", 3).start().await;
    let ran = run(&[&["load", "write", "--url", &server.url()], &arguments as &[&str]].concat(), &[]).await;
    let write = &ran.report["write"];
    assert!(!ran.passed && ran.said.contains("rate limit of 3 a minute"), "{}", ran.said);
    assert_eq!((&write["count"], &write["rateLimited"]), (&3.into(), &write["errors"]), "{write}");
}
