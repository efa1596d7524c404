//! A moderation setting of 0 disables its rule; it does not mean the default.

use agentcafe_testkit::{Client, Launch};

use crate::{launch, say};

/// Limits that block the second action, unless the tested setting disables them.
fn strict() -> Launch {
    launch()
        .env("MOD_WINDOW_MS", 60_000)
        .env("MOD_MAX_ACTIONS_PER_WINDOW", 1)
        .env("MOD_MAX_REPEATED_TEXT_PER_WINDOW", 1)
        .env("MOD_MIN_ACTION_INTERVAL_MS", 60_000)
        .env("MOD_COOLDOWN_MS", 60_000)
}

async fn block(client: &Client, text: &str) -> String {
    let blocked = say(client, "Nova", text).await;
    blocked.error(429, "ERR_MODERATION_BLOCKED")["reasonCode"].as_str().unwrap_or_default().to_owned()
}

/// Each limit blocks where it is set, and not where it is 0, whatever the other limits are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moderation_limit_of_zero_is_off() {
    let rules = [
        ("MOD_MIN_ACTION_INTERVAL_MS", "MOD_MIN_INTERVAL"),
        ("MOD_MAX_ACTIONS_PER_WINDOW", "MOD_RATE_LIMIT"),
        ("MOD_MAX_REPEATED_TEXT_PER_WINDOW", "MOD_REPEAT_TEXT"),
    ];
    for (kept, reason) in rules {
        let off = rules.iter().filter(|(name, _)| *name != kept);
        let server = off.fold(strict(), |launch, (name, _)| launch.env(name, 0)).start().await;
        let client = server.client();
        assert_eq!(say(&client, "Nova", "hi").await.status, 202);
        assert_eq!(block(&client, "hi").await, reason);
        let health = client.get("/healthz").await.json;
        let zeros = ["minActionIntervalMs", "maxActionsPerWindow", "maxRepeatedTextPerWindow"];
        assert_eq!(zeros.iter().filter(|name| health["moderation"][**name] == 0).count(), 2, "{health}");
    }
    let server = rules.iter().fold(strict(), |launch, (name, _)| launch.env(name, 0)).start().await;
    let client = server.client();
    for _ in 0..60 {
        assert_eq!(say(&client, "Nova", "the same").await.status, 202);
    }
}

/// A window of 0 disables both the rate and the repetition limit. A cooldown of 0 blocks no longer than the limit
/// itself does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moderation_window_or_cooldown_of_zero_is_off() {
    let server = strict().env("MOD_WINDOW_MS", 0).env("MOD_MIN_ACTION_INTERVAL_MS", 0).start().await;
    let client = server.client();
    for _ in 0..60 {
        assert_eq!(say(&client, "Nova", "the same").await.status, 202);
    }
    let repeats_only = strict().env("MOD_MAX_ACTIONS_PER_WINDOW", 0).env("MOD_MIN_ACTION_INTERVAL_MS", 0);
    for (cooldown_ms, later) in [(0, 202), (60_000, 429)] {
        let server = repeats_only.clone().env("MOD_COOLDOWN_MS", cooldown_ms).start().await;
        let client = server.client();
        // Nodes that share recent activity still have the earlier texts.
        let text = format!("hi {cooldown_ms}");
        assert_eq!(say(&client, "Nova", &text).await.status, 202);
        assert_eq!(block(&client, &text).await, "MOD_REPEAT_TEXT");
        assert_eq!(say(&client, "Nova", "something else").await.status, later, "a cooldown of {cooldown_ms}");
    }
}
