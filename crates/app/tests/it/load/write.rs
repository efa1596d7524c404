//! `agentcafe load write`: the accepted commands it reports are those in the log.

use super::*;
use crate::log;

/// The log has exactly the commands that were counted as accepted, and each run writes new ones.
#[tokio::test(flavor = "multi_thread")]
async fn load_write_counts_what_is_in_the_log() {
    let (server, client) = cafe().await;
    let url = server.url();
    let mut accepted = 0;
    for run_number in 1..=2 {
        let arguments = ["load", "write", "--url", &url, "--duration-ms", "300", "--connections", "6"];
        let result = run(&[&arguments as &[&str], &["--rooms", "3", "--actors", "12"]].concat(), &[]).await;
        assert!(result.passed && result.stderr.is_empty(), "{}", result.stderr);
        let write = &result.report["write"];
        assert!(write["perSecond"].as_f64() > Some(0.0) && write["errors"] == 0, "{write}");
        accepted += write["count"].as_u64().unwrap();
        let events = log(&client).await;
        let messages: Vec<_> =
            events.iter().filter(|event| event["type"] == "conversation_message_posted").collect();
        assert_eq!(messages.len() as u64, accepted, "after run {run_number}");
        let distinct = |member: &str| {
            let values = messages.iter().map(|event| event[member].as_str().unwrap());
            values.collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!((distinct("roomId"), distinct("tenantId")), (3 * run_number, 1));
        assert!(distinct("actorId") <= 12);
    }
}

/// `--rate` paces the run, and thresholds decide the exit code.
#[tokio::test(flavor = "multi_thread")]
async fn load_write_keeps_its_rate_and_checks_thresholds() {
    let (server, _client) = cafe().await;
    let url = server.url();
    let paced = ["load", "write", "--url", &url, "--duration-ms", "2000", "--rate", "40"];
    let result =
        run(&[&paced as &[&str], &["--min-per-second", "10", "--max-p99-ms", "30000"]].concat(), &[]).await;
    assert!(result.passed, "{}", result.stderr);
    let per_second = result.report["write"]["perSecond"].as_f64().unwrap();
    assert!((10.0..=41.0).contains(&per_second), "{per_second}");
    let result =
        run(&[&paced as &[&str], &["--min-per-second", "50", "--max-p99-ms", "0"]].concat(), &[]).await;
    assert!(!result.passed);
    assert_eq!(result.failed_checks(), ["write_p99", "writes_per_second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn load_write_counts_moderation_apart_from_the_rate_limit() {
    let arguments = ["--duration-ms", "3000", "--connections", "4", "--actors", "4"];
    let server = launch().env("MOD_MIN_ACTION_INTERVAL_MS", 60_000).start().await;
    let result =
        run(&[&["load", "write", "--url", &server.url()], &arguments as &[&str]].concat(), &[]).await;
    let write = &result.report["write"];
    assert!(!result.passed && result.stderr.contains("refused by moderation"), "{}", result.stderr);
    assert_eq!((&write["count"], &write["moderated"]), (&4.into(), &write["errors"]), "{write}");

    let server = launch().env("API_RATE_LIMIT_PER_MIN", 3).start().await;
    let result =
        run(&[&["load", "write", "--url", &server.url()], &arguments as &[&str]].concat(), &[]).await;
    let write = &result.report["write"];
    assert!(!result.passed && result.stderr.contains("rate limit of 3 a minute"), "{}", result.stderr);
    assert_eq!((&write["count"], &write["rateLimited"]), (&3.into(), &write["errors"]), "{write}");
}
