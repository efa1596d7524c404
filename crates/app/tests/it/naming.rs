//! Names in the source tree: a type name is in at most two crates, a cited file exists, and status codes are in HTTP crates
//! only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Crates without HTTP status codes: they return a `Code`, and `http` maps it to a status.
const WITHOUT_STATUS: [&str; 5] = ["domain", "eventlog", "store", "engine", "service"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a crate is two folders deep").to_owned()
}

/// The files that hold code or prose, by their path from the root, with their contents. Fixtures and migrations stay what they
/// were.
fn source_tree() -> BTreeMap<String, String> {
    const OTHERS: [&str; 5] = ["target", "fixtures", "migrations", "node_modules", "data"];
    let (root, mut files) = (root(), BTreeMap::new());
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the source tree is readable") {
            let path = entry.expect("the source tree is readable").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                let is_ours = !OTHERS.contains(&name) && (!name.starts_with('.') || name == ".ci");
                folders.extend(is_ours.then_some(path));
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(&root).expect("it is below the root");
                files.insert(path.to_str().expect("paths are UTF-8").to_owned(), text);
            }
        }
    }
    assert!(files.len() > 300, "only {} files are found", files.len());
    files
}

/// The crate of a source file.
fn crate_of(path: &str) -> Option<&str> {
    let (name, inside) = path.strip_prefix("crates/")?.split_once('/')?;
    (inside.starts_with("src/") && inside.ends_with(".rs")).then_some(name)
}

/// The name of the type that a line of Rust defines.
fn defined_type(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(public) if public.starts_with('(') => public.split_once(") ")?.1,
        Some(public) => public.trim_start(),
        None => line,
    };
    let (keyword, rest) = line.split_once(' ')?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let is_type = ["struct", "enum", "trait", "type"].contains(&keyword);
    (is_type && rest.starts_with(char::is_uppercase)).then_some(&rest[..end])
}

#[test]
fn type_names_are_in_at_most_two_crates() {
    let files = source_tree();
    let mut defined: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, source) in &files {
        let Some(name) = crate_of(path) else { continue };
        // Associated types are indented, and have the name that their trait gives them.
        for line in
            source.lines().filter(|line| !line.trim_start().starts_with("type ") || !line.starts_with(' '))
        {
            if let Some(defined_type) = defined_type(line) {
                defined.entry(defined_type).or_default().insert(name);
            }
        }
    }
    assert!(defined.len() > 500, "only {} types are found", defined.len());
    defined.retain(|_, crates| crates.len() > 2);
    assert!(defined.is_empty(), "these names are in more than two crates: {defined:#?}");
}

/// The prose of a line: all of it in a Markdown file, the comment in another file.
fn prose<'l>(path: &str, line: &'l str) -> &'l str {
    let comment = if path.ends_with(".rs") { "//" } else { "#" };
    if path.ends_with(".md") { line } else { line.split_once(comment).map_or("", |(_, comment)| comment) }
}

/// The files that a text cites: words that end like a file's name.
fn cited(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| !c.is_alphanumeric() && !"_-./".contains(c));
    let words = words.map(|word| word.trim_matches('.').trim_start_matches(['/', '.']));
    words.filter(|word| {
        let name = Path::new(word);
        let is_file =
            name.extension().is_some_and(|kind| ["md", "rs", "sh"].iter().any(|known| kind == *known));
        is_file && name.file_stem().is_some_and(|stem| stem.len() > 1)
    })
}

#[test]
fn cited_files_exist() {
    let files = source_tree();
    let exists = |cited: &str| {
        let below = format!("/{cited}");
        files.keys().any(|path| path == cited || path.ends_with(&below))
    };
    let mut missing = Vec::new();
    let mut found = 0;
    for (path, text) in &files {
        for (number, line) in text.lines().enumerate() {
            for cited in cited(prose(path, line)) {
                found += 1;
                if !exists(cited) {
                    missing.push(format!("{path}:{}: {cited}", number + 1));
                }
            }
        }
    }
    assert!(found > 100, "only {found} citations are found");
    assert!(missing.is_empty(), "these files do not exist:\n{}", missing.join("\n"));
}

#[test]
fn status_codes_are_in_http_crates_only() {
    let files = source_tree();
    let sources =
        files.iter().filter(|(path, _)| crate_of(path).is_some_and(|name| WITHOUT_STATUS.contains(&name)));
    let named: Vec<_> =
        sources.filter(|(_, source)| source.contains("StatusCode")).map(|(path, _)| path).collect();
    assert!(named.is_empty(), "these files must not use StatusCode: {named:?}");
}

#[test]
fn naming_parser_finds_definitions_and_citations() {
    let lines = [
        "pub struct A;",
        "    pub(crate) enum B<T> {",
        "trait C: D {",
        "pub type E = F;",
        "let struct_x = 1;",
    ];
    assert_eq!(lines.map(defined_type), [Some("A"), Some("B"), Some("C"), Some("E"), None]);
    let line = "see `docs/api.md`, ./test.sh or one.rs. (https://example.org/x.html)";
    assert_eq!(cited(line).collect::<Vec<_>>(), ["docs/api.md", "test.sh", "one.rs"]);
}
