//! The dependencies between the crates are those of ARCHITECTURE.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use agentcafe_testkit::Value;

/// Each crate, and the crates of the workspace that it may depend on (for development too).
const EDGES: &[(&str, &[&str])] = &[
    ("agentcafe-domain", &[]),
    ("agentcafe-eventlog", &["agentcafe-domain"]),
    ("agentcafe-store", &["agentcafe-domain", "agentcafe-eventlog", "agentcafe-testkit"]),
    ("agentcafe-engine", &["agentcafe-domain", "agentcafe-eventlog", "agentcafe-redis", "agentcafe-store"]),
    ("agentcafe-http", &["agentcafe-domain", "agentcafe-eventlog", "agentcafe-redis"]),
    (
        "agentcafe-api",
        &["agentcafe-domain", "agentcafe-eventlog", "agentcafe-store", "agentcafe-engine", "agentcafe-http"],
    ),
    (
        "agentcafe-dispatcher",
        &["agentcafe-domain", "agentcafe-eventlog", "agentcafe-store", "agentcafe-engine"],
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

/// What a crate must not link, directly or through other crates.
const FORBIDDEN: &[(&[&str], &[&str])] = &[
    (&["agentcafe-domain", "agentcafe-eventlog"], &["axum", "agentcafe-http", "http", "hyper"]),
    (&["agentcafe-http"], &["agentcafe-engine", "agentcafe-store"]),
    (&["agentcafe-http", "agentcafe-realtime", "agentcafe-projector"], &["rusqlite", "tokio-postgres"]),
];

fn metadata(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--format-version", "1"])
        .args(arguments)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn crates_depend_only_on_the_crates_that_the_architecture_allows() {
    let metadata = metadata(&["--no-deps"]);
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

/// All packages that a package links, directly or through others; development dependencies left out.
fn linked<'m>(metadata: &'m Value, name: &str) -> BTreeSet<&'m str> {
    let id_of = |package: &'m Value| package["id"].as_str().unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeMap<&str, &str> =
        packages.iter().map(|package| (id_of(package), package["name"].as_str().unwrap())).collect();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let nodes: BTreeMap<&str, &Value> = nodes.iter().map(|node| (id_of(node), node)).collect();
    let (root, _) = names.iter().find(|(_, known)| **known == name).unwrap();
    let (mut linked, mut open) = (BTreeSet::new(), vec![*root]);
    while let Some(id) = open.pop() {
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            let is_normal =
                dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
            let id = dependency["pkg"].as_str().unwrap();
            if is_normal && linked.insert(names[id]) {
                open.push(id);
            }
        }
    }
    linked
}

#[test]
fn crates_link_nothing_that_their_place_forbids() {
    let metadata = metadata(&[]);
    for (crates, forbidden) in FORBIDDEN {
        for name in *crates {
            let linked = linked(&metadata, name);
            let found: Vec<&&str> = forbidden.iter().filter(|package| linked.contains(**package)).collect();
            assert!(found.is_empty(), "{name} must not link {found:?}");
        }
    }
    assert!(linked(&metadata, "agentcafe").contains("rusqlite"), "the search finds nothing");
}
