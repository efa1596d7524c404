//! Start and stop: invalid settings, the first log lines, and a stop without loss.

use std::time::Duration;

use agentcafe_testkit::{eventually, json};

use crate::{cafe, launch, log};

/// The error names the setting.
#[tokio::test]
async fn serve_with_an_invalid_setting_does_not_start() {
    let bad = [
        ("API_PORT", "http"),
        ("API_HOST", "nowhere"),
        ("API_RATE_LIMIT_PER_MIN", "many"),
        ("API_STREAM_HEARTBEAT_MS", "1.5"),
        ("API_STREAM_MAX_CLIENTS", "-1"),
        ("API_MAX_CHAT_MESSAGE_CHARS", "NaN"),
        ("API_IDEMPOTENCY_TTL_MS", "1d"),
        ("PRESENCE_DEFAULT_TTL_MS", "soon"),
        ("PRESENCE_SWEEP_MS", "0x10"),
        ("MOD_WINDOW_MS", "x"),
        ("MOD_COOLDOWN_MS", "99999999999999999999"),
        ("TRUSTED_PROXIES", "proxy"),
        ("AGENTCAFE_LOG", "==="),
    ];
    for (name, value) in bad {
        let failed = launch().env(name, value).try_start().await;
        let failed = failed.err().unwrap_or_else(|| panic!("{name}={value} was accepted"));
        assert!(failed.status.is_some_and(|status| !status.success()), "{name}: {failed}");
        assert!(failed.log.contains(name), "{name} is not named: {failed}");
    }
}

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

/// The exit code is 0, and accepted commands are there after the next start.
#[tokio::test]
async fn sigterm_loses_nothing() {
    let (mut server, client) = cafe().await;
    for text in ["one", "two @Kai"] {
        let _ = client.act("/v1/commands/say", json!({"actorId": "Nova", "text": text})).await.data();
    }
    let before = log(&client).await;
    assert!(server.stop().await.success(), "{}", server.log());
    server.restart().await;
    let client = server.client();
    assert_eq!(log(&client).await, before);
    assert_eq!(client.get("/v1/inbox?actorId=Kai").await.data()["unreadCount"], 1);
    let next = client.act("/v1/commands/enter", json!({"actorId": "Nova"})).await;
    assert_eq!(
        next.data()["sequence"].as_u64(),
        before.last().unwrap()["sequence"].as_u64().map(|last| last + 1)
    );
}
