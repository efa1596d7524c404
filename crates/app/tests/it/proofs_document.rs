//! docs/proofs.md has a row for each endpoint and each capability, and each test that it names exists.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::cafe;
use crate::monitoring::documented;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Every capability of the first version that this one has.
const CAPABILITIES: [&str; 39] = [
    "001", "002", "003", "101", "102", "103", "104", "203", "204", "205", "301", "302", "303", "304", "401",
    "402", "403", "404", "501", "502", "503", "504", "601", "602", "604", "701", "702", "703", "704", "801",
    "802", "803", "804", "903", "904", "906", "907", "916", "1001",
];

/// The directories of the tests, by the first part of their names.
const TEST_DIRECTORIES: [(&str, &str); 15] = [
    ("it", "crates/app/tests/it"),
    ("app", "crates/app/src"),
    ("api", "crates/api/src"),
    ("service", "crates/service/src"),
    ("dispatcher", "crates/dispatcher/src"),
    ("domain", "crates/domain/tests/it"),
    ("http", "crates/http/src"),
    ("realtime", "crates/realtime/src"),
    ("client", "crates/client/tests/it"),
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

/// The first cell of each row under a heading, and the row.
fn rows(heading: &str) -> Vec<(String, String)> {
    let document = document();
    let (_, section) = document.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| (line.split('|').nth(1).unwrap().trim().replace('`', ""), line.to_owned())).collect()
}

/// The names of tests in backticks.
fn tests_named(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|name| name.contains("::") && !name.ends_with("::")).collect()
}

/// Whether a test exists.
fn exists(test: &str) -> bool {
    let mut parts = test.split("::");
    let directory = parts.next().and_then(|first| TEST_DIRECTORIES.iter().find(|(name, _)| *name == first));
    let (Some((_, folder)), modules) = (directory, parts.collect::<Vec<_>>()) else { return false };
    let Some((name, modules)) = modules.split_last() else { return false };
    // A module is a file, or is at the end of its parent's file.
    let files = (1..=modules.len()).rev().flat_map(|depth| {
        let file = PathBuf::from(ROOT).join(folder).join(modules[..depth].join("/"));
        [file.with_extension("rs"), file.join("mod.rs")]
    });
    let Some(text) = files.into_iter().find_map(|file| fs::read_to_string(file).ok()) else { return false };
    let Some((before, _)) = text.split_once(&format!("fn {name}(")) else { return false };
    let mut attributes = before.rsplit('\n').skip(1).map(str::trim).take_while(|line| line.starts_with("#["));
    attributes.any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
}

#[test]
fn proofs_document_names_only_tests_that_exist() {
    let document = document();
    let named = tests_named(&document);
    assert!(named.len() > 150, "{named:?}");
    let missing: Vec<_> =
        named.into_iter().filter(|test| *test != "it::proofs_document" && !exists(test)).collect();
    assert!(missing.is_empty(), "these tests do not exist: {missing:#?}");
    for wrong in [
        "it::proofs_document::exists",
        "it::nowhere::nothing",
        "it::proofs_document::no_such_test",
        "nobody::a::b",
        "it",
    ] {
        assert!(!exists(wrong), "{wrong}");
    }
    assert!(exists("domain::kernel::record_kinds::record_kinds_are_listed_once"));
}

/// And no row for anything else.
#[tokio::test]
async fn proofs_document_has_one_row_per_endpoint() {
    let (_server, client) = cafe().await;
    let operations = documented(&client).await;
    let served: BTreeSet<String> =
        operations.iter().map(|(method, path, _)| format!("{} {path}", method.to_uppercase())).collect();
    assert_rows("Endpoints", &served);
}

#[test]
fn proofs_document_has_one_row_per_capability() {
    let complete: BTreeSet<String> = CAPABILITIES.iter().map(|number| format!("ACF-{number}")).collect();
    assert_eq!(complete.len(), CAPABILITIES.len(), "a number is repeated");
    assert_rows("Capabilities", &complete);
}

fn assert_rows(heading: &str, wanted: &BTreeSet<String>) {
    let rows = rows(heading);
    let listed: BTreeSet<String> = rows.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(rows.len(), listed.len(), "{heading}: a row is repeated");
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
