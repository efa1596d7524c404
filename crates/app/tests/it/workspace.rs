//! Who may know whom: the edges between the crates are those of ARCHITECTURE.md.

use std::{collections::BTreeMap, process::Command};

use agentcafe_testkit::Value;

/// Each crate, and which of ours it may depend on (for development too).
const EDGES: &[(&str, &[&str])] = &[
    ("agentcafe-domain", &[]),
    ("agentcafe-store", &["agentcafe-domain", "agentcafe-testkit"]),
    ("agentcafe-engine", &["agentcafe-domain", "agentcafe-redis", "agentcafe-store"]),
    ("agentcafe-http", &["agentcafe-domain", "agentcafe-store", "agentcafe-engine"]),
    ("agentcafe-service", &["agentcafe-domain", "agentcafe-store", "agentcafe-engine"]),
    (
        "agentcafe-api",
        &["agentcafe-domain", "agentcafe-store", "agentcafe-engine", "agentcafe-service", "agentcafe-http"],
    ),
    ("agentcafe-dispatcher", &["agentcafe-domain", "agentcafe-store", "agentcafe-engine"]),
    ("agentcafe-client", &["agentcafe-domain"]),
    ("agentcafe-redis", &["agentcafe-domain", "agentcafe-testkit"]),
    (
        "agentcafe-realtime",
        &[
            "agentcafe-domain",
            "agentcafe-store",
            "agentcafe-engine",
            "agentcafe-http",
            "agentcafe-redis",
            "agentcafe-client",
        ],
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
    ("agentcafe-testkit", &[]),
    ("agentcafe-load", &[]),
    ("agentcafe-bench", &["agentcafe-load", "agentcafe-testkit"]),
];

/// DESIGN 4: a test checks the edges from `cargo metadata`.
#[test]
fn crates_know_only_whom_they_may() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let allowed: BTreeMap<_, _> = EDGES.iter().copied().collect();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(packages.len(), allowed.len(), "a crate is missing here, or gone");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let known = allowed.get(name).unwrap_or_else(|| panic!("{name} has no edges here"));
        let dependencies = package["dependencies"].as_array().unwrap();
        for dependency in dependencies.iter().map(|dependency| dependency["name"].as_str().unwrap()) {
            let ours = dependency.starts_with("agentcafe");
            assert!(!ours || known.contains(&dependency), "{name} must not know {dependency}");
        }
    }
}
