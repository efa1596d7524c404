//! `AUTH_MODE`: which credentials are accepted, and what the start logs about that.

use std::path::Path;
use std::time::Duration;

use agentcafe_testkit::{Client, SHARED_TOKEN, Server, eventually, json};
use tempfile::TempDir;

use crate::export::{agentcafe, stderr};
use crate::launch;

const WAIT: Duration = Duration::from_secs(10);
const ROOT_WARNING: &str = "API_AUTH_TOKEN stands for everybody";

/// A start: the mode, whether the shared token is set, and whether the store has an API key.
struct Start {
    mode: Option<&'static str>,
    has_token: bool,
    has_key: bool,
}

const fn start(mode: Option<&'static str>, has_token: bool, has_key: bool) -> Start {
    Start { mode, has_token, has_key }
}

/// An admin key, made in the store of servers with this data directory.
fn make_key(directory: &Path) -> String {
    let made = agentcafe("keys", directory, &["add", "--kind", "admin"]).output().expect("the binary runs");
    assert!(made.status.success(), "{}", stderr(&made));
    String::from_utf8(made.stdout).expect("a key is text").trim_end().to_owned()
}

async fn is_accepted(client: &Client) -> bool {
    match client.get("/v1/presence").await.status {
        200 => true,
        401 => false,
        status => panic!("{status}"),
    }
}

/// Checks that the start of each node logs who is let in.
#[track_caller]
fn assert_logs_auth(server: &Server, auth: &str) {
    let log = server.log();
    let mut lines = log.lines().filter(|line| line.contains("listening on http")).peekable();
    assert!(lines.peek().is_some(), "{log}");
    assert!(lines.all(|line| line.contains(&format!("auth=\"{auth}\""))), "{auth}: {log}");
}

/// `keys` refuses the shared token, `shared` refuses API keys, `both` accepts both; other credentials are 401. The start logs what is
/// in force, and warns if that is not what the mode says, or if the token stands for everybody.
#[tokio::test]
async fn auth_mode_accepts_what_it_names_and_logs_what_is_in_force() {
    let (without_key, with_key) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let key = make_key(with_key.path());
    let later = "shared, and both once there is an API key";
    for (Start { mode, has_token, has_key }, accepted, auth, warning) in [
        (start(Some("keys"), true, true), &["key"][..], "keys", None),
        (start(Some("keys"), true, false), &[], "keys", Some("there is no API key: nobody is let in")),
        (start(Some("shared"), true, true), &["token"], "shared", None),
        (start(Some("shared"), false, true), &["nobody"], "open", Some("everybody is let in, and API keys")),
        (start(Some("shared"), false, false), &["nobody"], "open", Some("everybody is let in, and API keys")),
        (start(Some("both"), true, true), &["token", "key"], "both", Some(ROOT_WARNING)),
        (start(Some("both"), true, false), &["token"], later, Some(ROOT_WARNING)),
        (start(Some("both"), false, true), &["key"], "keys", Some("only API keys are accepted")),
        (
            start(Some("both"), false, false),
            &["nobody"],
            "open until there is an API key",
            Some("everybody is let in until there is an API key"),
        ),
        (start(None, true, true), &["token", "key"], "both", Some(ROOT_WARNING)),
        (start(None, false, true), &["key"], "keys", None),
    ] {
        let directory = if has_key { &with_key } else { &without_key };
        let mut launch = launch().data_dir(directory.path());
        if has_token {
            launch = launch.with_shared_token();
        }
        if let Some(mode) = mode {
            launch = launch.env("AUTH_MODE", mode);
        }
        let mut server = launch.start().await;
        let client = server.client();
        let mut credentials = vec![("nobody", client.clone())];
        if has_token {
            credentials.push(("token", client.clone().with_token(SHARED_TOKEN)));
        }
        if has_key {
            credentials.push(("key", client.with_token(&key)));
        }
        for (name, client) in credentials {
            let case = format!("{mode:?} {has_token} {has_key}: {name}");
            assert_eq!(is_accepted(&client).await, accepted.contains(&name), "{case}");
        }
        assert!(server.stop().await.success());
        assert_logs_auth(&server, auth);
        let log = server.log();
        let mut warnings =
            log.lines().filter(|line| line.contains("WARN") && line.contains("AUTH_")).peekable();
        assert_eq!(warnings.peek().is_some(), warning.is_some(), "{mode:?}: {log}");
        assert!(warnings.all(|line| warning.is_some_and(|text| line.contains(text))), "{mode:?}: {log}");
    }
}

/// Without `AUTH_MODE` the shared token counts alone until there is a key, and without a token everybody is let in until then. The first
/// key changes that at once, without a restart.
#[tokio::test]
async fn auth_mode_changes_by_default_with_the_first_key() {
    for (token, before, after) in [
        (Some(SHARED_TOKEN), "shared, and both once there is an API key", "both"),
        (None, "open until there is an API key", "keys"),
    ] {
        let directory = TempDir::new().unwrap();
        let launch = launch().data_dir(directory.path());
        let launch = if token.is_some() { launch.with_shared_token() } else { launch };
        let mut server = launch.start().await;
        assert_logs_auth(&server, before);
        let nobody = server.client();
        assert_eq!(is_accepted(&nobody).await, token.is_none());
        let first = token.map_or(nobody.clone(), |token| nobody.clone().with_token(token));
        let key = first.make_key(json!({ "kind": "admin" })).await;
        assert!(is_accepted(&key.client).await);
        // Another node may know of it a moment later.
        let is_closed = async || (!is_accepted(&nobody).await).then_some(());
        eventually("callers without a credential are refused", WAIT, is_closed).await;
        assert_eq!(is_accepted(&first).await, token.is_some(), "the token goes on being accepted");
        server.restart().await;
        assert_logs_auth(&server, after);
        let restarted = server.client();
        assert!(!is_accepted(&restarted).await && is_accepted(&restarted.with_token(&key.token)).await);
    }
}
