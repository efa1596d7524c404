//! docs/operations.md has every setting and every metric; compose.yaml sets only settings that exist.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::fs;
use std::process::Command;

use agentcafe_testkit::{Redis, json};

use crate::launch;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn read(path: &str) -> String {
    fs::read_to_string(format!("{ROOT}/{path}")).unwrap()
}

/// The tables of all settings.
fn settings() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_agentcafe")).args(["config", "--markdown"]).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn operations_guide_settings_tables_match_the_binary() {
    let guide = read("docs/operations.md");
    let (_, section) = guide.split_once("<!-- settings -->\n").unwrap();
    let (tables, _) = section.split_once("\n<!-- end of settings -->").unwrap();
    let settings = settings();
    assert!(
        tables == settings,
        "between its two comments, docs/operations.md must hold what `agentcafe config --markdown` prints:\n{settings}"
    );
}

/// Of a node with Redis.
#[tokio::test]
async fn operations_guide_has_every_metric() {
    let server = launch().env("REDIS_URL", Redis::shared().url()).start().await;
    let client = server.client();
    let _ = client.act("/v1/commands/say", json!({"actorId": "Nova", "text": "hey @Kai"})).await.data();
    let guide = read("docs/operations.md");
    let page = client.metrics().await;
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let missing: Vec<&str> = families.filter(|family| !guide.contains(&format!("`{family}"))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn compose_file_sets_only_known_settings() {
    let settings = settings();
    let compose = read("compose.yaml");
    let set = compose.lines().map(str::trim).filter_map(|line| line.split_once(": ").map(|(name, _)| name));
    let set: Vec<&str> =
        set.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_')).collect();
    assert!(set.contains(&"DATABASE_URL") && set.contains(&"REDIS_URL"), "{set:?}");
    for name in set.into_iter().filter(|name| !name.starts_with("POSTGRES_")) {
        assert!(settings.contains(&format!("`{name}`")), "{name} is no setting");
    }
}
