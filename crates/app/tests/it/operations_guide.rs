//! docs/operations.md is complete: every setting with its default, every metric. What compose.yaml sets are settings.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::{collections::BTreeSet, fs, process::Command};

use agentcafe_testkit::{Redis, json};

use crate::launch;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn read(path: &str) -> String {
    fs::read_to_string(format!("{ROOT}/{path}")).unwrap()
}

/// What `agentcafe --help` and the helps of subcommands say of settings: the names, and the row that the guide has for them.
fn settings() -> Vec<(Vec<String>, String)> {
    let mut settings = Vec::new();
    for arguments in [&["--help"][..], &["load", "--help"], &["drill", "--help"]] {
        let help =
            Command::new(env!("CARGO_BIN_EXE_agentcafe")).args(arguments).env("COLUMNS", "9999").output();
        let help = String::from_utf8(help.unwrap().stdout).unwrap();
        let (_, list) = help.split_once("Settings, from the environment").unwrap();
        let paragraphs: Vec<&str> =
            list.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()).collect();
        let is_name = |line: &str| {
            line.starts_with(|first: char| first.is_ascii_uppercase())
                && line.split(", else ").all(|name| {
                    name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
                })
        };
        let mut at = 0;
        while at < paragraphs.len() {
            if !is_name(paragraphs[at]) {
                at += 1;
                continue;
            }
            let names: Vec<String> = paragraphs[at].split(", else ").map(str::to_owned).collect();
            let end = (at + 1..paragraphs.len())
                .find(|next| is_name(paragraphs[*next]))
                .unwrap_or(paragraphs.len());
            let text = paragraphs[at + 1..end].join(" ");
            let (meaning, rest) = text.split_once(" [default: ").unwrap();
            let standard = rest.split(']').next().unwrap();
            let shown = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", else ");
            settings.push((names, format!("| {shown} | {standard} | {meaning} |")));
            at = end;
        }
    }
    settings
}

/// The guide has a row for each setting, as the helps say it, and for nothing else.
#[test]
fn every_setting_is_in_the_guide() {
    let settings = settings();
    assert!(settings.len() > 80, "{}", settings.len());
    let guide = read("docs/operations.md");
    let (_, section) = guide.split_once("\n## Every setting\n").unwrap();
    let rows: BTreeSet<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let want: BTreeSet<&str> = settings.iter().map(|(_, row)| row.as_str()).collect();
    let missing: Vec<_> = want.difference(&rows).collect();
    assert!(
        missing.is_empty(),
        "not in the guide:\n{}",
        missing.iter().map(|row| format!("{row}\n")).collect::<String>()
    );
    assert_eq!(rows, want, "in the guide, and no setting");
}

/// Every series of a node that has Redis is explained in the guide.
#[tokio::test]
async fn every_metric_is_in_the_guide() {
    let server = launch().env("REDIS_URL", Redis::shared().url()).start().await;
    let client = server.client();
    let _ = client.act("/v1/commands/say", json!({"actorId": "Nova", "text": "hey @Kai"})).await.data();
    let guide = read("docs/operations.md");
    let page = client.metrics().await;
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let missing: Vec<&str> = families.filter(|family| !guide.contains(&format!("`{family}"))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// What the compose file gives to our processes are settings of theirs.
#[test]
fn the_compose_file_sets_settings() {
    let names: BTreeSet<String> = settings().into_iter().flat_map(|(names, _)| names).collect();
    let compose = read("compose.yaml");
    let set = compose.lines().map(str::trim).filter_map(|line| line.split_once(": ").map(|(name, _)| name));
    let set: Vec<&str> =
        set.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_')).collect();
    assert!(set.contains(&"DATABASE_URL") && set.contains(&"REDIS_URL"), "{set:?}");
    for name in set.into_iter().filter(|name| !name.starts_with("POSTGRES_")) {
        assert!(names.contains(name), "{name} is no setting");
    }
}
