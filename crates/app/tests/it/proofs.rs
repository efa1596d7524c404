//! docs/proofs.md is complete and true: each endpoint and each capability has a row, and each test it names is there.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::cafe;
use crate::operations::documented;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Every capability of the runtime.
const CAPABILITIES: [&str; 39] = [
    "001", "002", "003", "101", "102", "103", "104", "203", "204", "205", "301", "302", "303", "304", "401",
    "402", "403", "404", "501", "502", "503", "504", "601", "602", "604", "701", "702", "703", "704", "801",
    "802", "803", "804", "903", "904", "906", "907", "916", "1001",
];

/// Where the tests of a kind are.
const TEST_DIRECTORIES: [(&str, &str); 14] = [
    ("it", "crates/app/tests/it"),
    ("app", "crates/app/src"),
    ("api", "crates/api/src"),
    ("service", "crates/service/src"),
    ("domain", "crates/domain/tests/it"),
    ("http", "crates/http/src"),
    ("realtime", "crates/realtime/src"),
    ("client", "crates/client/src"),
    ("engine", "crates/engine/src"),
    ("eventlog", "crates/eventlog/tests/it"),
    ("store", "crates/store/src"),
    ("suite", "crates/store/tests/suite"),
    ("sqlite", "crates/store/tests/sqlite"),
    ("postgres", "crates/store/tests/postgres"),
];

fn document() -> String {
    fs::read_to_string(format!("{ROOT}/docs/proofs.md")).expect("docs/proofs.md")
}

/// The first cell of each row under a heading, and the whole row.
fn rows(heading: &str) -> Vec<(String, String)> {
    let document = document();
    let (_, section) = document.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| (line.split('|').nth(1).unwrap().trim().replace('`', ""), line.to_owned())).collect()
}

/// The names in backticks that are paths of tests.
fn tests_named(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|name| name.contains("::") && !name.ends_with("::")).collect()
}

/// Whether a test is where its name says.
fn exists(test: &str) -> bool {
    let mut parts = test.split("::");
    let place = parts.next().and_then(|first| TEST_DIRECTORIES.iter().find(|(name, _)| *name == first));
    let (Some((_, folder)), modules) = (place, parts.collect::<Vec<_>>()) else { return false };
    let Some((name, modules)) = modules.split_last() else { return false };
    // A module has a file of its own, or stands at the end of its parent's.
    let files = (1..=modules.len()).rev().flat_map(|depth| {
        let file = PathBuf::from(ROOT).join(folder).join(modules[..depth].join("/"));
        [file.with_extension("rs"), file.join("mod.rs")]
    });
    let Some(text) = files.into_iter().find_map(|file| fs::read_to_string(file).ok()) else { return false };
    let Some((before, _)) = text.split_once(&format!("fn {name}(")) else { return false };
    let mut attributes = before.rsplit('\n').skip(1).map(str::trim).take_while(|line| line.starts_with("#["));
    attributes.any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
}

/// A table of proofs is worth something only if its tests are there.
#[test]
fn every_test_that_is_named_exists() {
    let document = document();
    let named = tests_named(&document);
    assert!(named.len() > 150, "{named:?}");
    let missing: Vec<_> = named.into_iter().filter(|test| *test != "it::proofs" && !exists(test)).collect();
    assert!(missing.is_empty(), "there are no such tests: {missing:#?}");
    for wrong in
        ["it::proofs::exists", "it::nowhere::nothing", "it::proofs::no_such_test", "nobody::a::b", "it"]
    {
        assert!(!exists(wrong), "{wrong}");
    }
    assert!(exists("domain::kernel::record_kinds::record_kinds_are_listed_once"));
}

/// Each endpoint of the OpenAPI document has one row with a test, and there is no other row.
#[tokio::test]
async fn every_endpoint_has_a_row() {
    let (_server, client) = cafe().await;
    let operations = documented(&client).await;
    let served: BTreeSet<String> =
        operations.iter().map(|(method, path, _)| format!("{} {path}", method.to_uppercase())).collect();
    assert_rows("Endpoints", &served);
}

/// Each capability that is complete has one row with a test.
#[test]
fn every_capability_has_a_row() {
    let complete: BTreeSet<String> = CAPABILITIES.iter().map(|number| format!("ACF-{number}")).collect();
    assert_eq!(complete.len(), CAPABILITIES.len(), "a number is listed twice");
    assert_rows("Capabilities", &complete);
}

fn assert_rows(heading: &str, wanted: &BTreeSet<String>) {
    let rows = rows(heading);
    let listed: BTreeSet<String> = rows.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(rows.len(), listed.len(), "{heading}: a row is there twice");
    let missing: Vec<_> = wanted.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(wanted).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "{heading}: without a row: {missing:?}; unknown: {unknown:?}"
    );
    for (name, row) in rows {
        assert!(!tests_named(&row).is_empty(), "{heading}: {name} has no test");
    }
}
