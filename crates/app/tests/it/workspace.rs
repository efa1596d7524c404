//! The dependencies between the crates are those of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use agentcafe_testkit::Value;

/// Each crate, and the crates of the workspace that it may depend on (also for tests).
const EDGES: &[(&str, &[&str])] = &[
    ("agentcafe-domain", &[]),
    ("agentcafe-eventlog", &["agentcafe-domain"]),
    ("agentcafe-store", &["agentcafe-domain", "agentcafe-eventlog", "agentcafe-testkit"]),
    ("agentcafe-engine", &["agentcafe-domain", "agentcafe-eventlog", "agentcafe-redis", "agentcafe-store"]),
    ("agentcafe-http", &["agentcafe-domain", "agentcafe-eventlog", "agentcafe-redis"]),
    ("agentcafe-service", &["agentcafe-domain", "agentcafe-eventlog", "agentcafe-store", "agentcafe-engine"]),
    (
        "agentcafe-api",
        &["agentcafe-domain", "agentcafe-store", "agentcafe-engine", "agentcafe-service", "agentcafe-http"],
    ),
    (
        "agentcafe-dispatcher",
        &[
            "agentcafe-domain",
            "agentcafe-eventlog",
            "agentcafe-store",
            "agentcafe-engine",
            "agentcafe-testkit",
        ],
    ),
    ("agentcafe-client", &["agentcafe-domain"]),
    ("agentcafe-redis", &["agentcafe-domain", "agentcafe-testkit"]),
    (
        "agentcafe-realtime",
        &["agentcafe-domain", "agentcafe-eventlog", "agentcafe-http", "agentcafe-redis", "agentcafe-client"],
    ),
    ("agentcafe-projector", &["agentcafe-domain", "agentcafe-redis", "agentcafe-client"]),
    (
        "agentcafe",
        &[
            "agentcafe-domain",
            "agentcafe-store",
            "agentcafe-engine",
            "agentcafe-http",
            "agentcafe-service",
            "agentcafe-api",
            "agentcafe-dispatcher",
            "agentcafe-load",
            "agentcafe-redis",
            "agentcafe-projector",
            "agentcafe-realtime",
            "agentcafe-client",
            "agentcafe-testkit",
        ],
    ),
    ("agentcafe-testkit", &["agentcafe-client"]),
    ("agentcafe-load", &[]),
    ("agentcafe-bench", &["agentcafe-load", "agentcafe-testkit"]),
];

/// What a crate must not link, directly or through other crates.
const FORBIDDEN: &[(&[&str], &[&str])] = &[
    (
        &["agentcafe-domain", "agentcafe-eventlog", "agentcafe-service"],
        &["axum", "agentcafe-http", "http", "hyper"],
    ),
    (&["agentcafe-http"], &["agentcafe-engine", "agentcafe-store"]),
    (&["agentcafe-http", "agentcafe-realtime", "agentcafe-projector"], &["rusqlite", "tokio-postgres"]),
];

fn cargo(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO")).args(arguments).arg("--offline").output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn crates_depend_only_on_crates_that_the_architecture_allows() {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();
    let allowed: BTreeMap<_, _> = EDGES.iter().copied().collect();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(packages.len(), allowed.len(), "a crate is missing in the list of edges, or was removed");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let known = allowed.get(name).unwrap_or_else(|| panic!("{name} has no edges here"));
        let dependencies = package["dependencies"].as_array().unwrap();
        for dependency in dependencies.iter().map(|dependency| dependency["name"].as_str().unwrap()) {
            let ours = dependency.starts_with("agentcafe");
            assert!(!ours || known.contains(&dependency), "{name} must not depend on {dependency}");
        }
    }
}

/// The packages that a package links, directly or indirectly, without development dependencies.
fn linked(package: &str) -> BTreeSet<String> {
    let tree = cargo(&["tree", "--package", package, "--edges", "normal", "--prefix", "none"]);
    let tree = String::from_utf8(tree).expect("package names are UTF-8");
    tree.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
}

#[test]
fn crates_link_nothing_that_the_architecture_forbids() {
    for (packages, forbidden) in FORBIDDEN {
        for package in *packages {
            let linked = linked(package);
            let found: Vec<&&str> = forbidden.iter().filter(|name| linked.contains(**name)).collect();
            assert!(found.is_empty(), "{package} must not link {found:?}");
        }
    }
    let all = linked("agentcafe");
    assert!(["axum", "hyper", "rusqlite", "tokio-postgres"].iter().all(|name| all.contains(*name)));
}
