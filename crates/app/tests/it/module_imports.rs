//! Which source file may import which: the kernel imports no subject, and files of different folders do not import
//! each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module, as its path from the crate's root.
type Module = Vec<String>;

/// The modules of one crate that are files, and for each the modules that it imports.
struct Imports(BTreeMap<Module, BTreeSet<Module>>);

impl Imports {
    fn of_crate(name: &str) -> Self {
        let root = crates().join(name).join("src");
        let sources: BTreeMap<Module, String> = files(&root)
            .into_iter()
            .map(|file| {
                let names = file
                    .strip_prefix(&root)
                    .expect("the workspace's sources are readable")
                    .with_extension("");
                let mut module: Module = names
                    .iter()
                    .map(|name| name.to_str().expect("the workspace's sources are readable").to_owned())
                    .collect();
                module.pop_if(|name| ["lib", "main", "mod"].contains(&name.as_str()));
                (module, fs::read_to_string(file).expect("the workspace's sources are readable"))
            })
            .collect();
        let imported = |(module, source): (&Module, &String)| {
            let code = code(source);
            let paths = paths(&tokens(&code));
            let resolved = paths.iter().filter_map(|path| resolve(&sources, module, path));
            (module.clone(), resolved.filter(|imported| imported != module).collect())
        };
        Self(sources.iter().map(imported).collect())
    }

    /// All modules that a module imports, directly or indirectly.
    fn reachable<'m>(&'m self, from: &'m Module) -> BTreeSet<&'m Module> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(module) = open.pop() {
            open.extend(self.0[module].iter().filter(|imported| reached.insert(*imported)));
        }
        reached
    }

    /// The folder of a module's file. A file beside a folder of the same name belongs to the folder.
    fn folder<'m>(&self, module: &'m Module) -> &'m [String] {
        let is_folder = self.0.keys().any(|other| other.len() > module.len() && other.starts_with(module));
        if is_folder { module } else { &module[..module.len().saturating_sub(1)] }
    }

    /// Pairs of files in different folders that import each other, directly or indirectly.
    fn circles(&self) -> Vec<String> {
        let reachable: BTreeMap<_, _> =
            self.0.keys().map(|module| (module, self.reachable(module))).collect();
        let mut circles = Vec::new();
        for (one, reached) in &reachable {
            for other in reached.iter().filter(|other| one < other && reachable[**other].contains(one)) {
                if self.folder(one) != self.folder(other) {
                    circles.push(format!("{} and {}", one.join("::"), other.join("::")));
                }
            }
        }
        circles
    }
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's sources are readable").to_owned()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .expect("the workspace's sources are readable")
        .map(|entry| entry.expect("the workspace's sources are readable").path());
    let inside = |entry: PathBuf| if entry.is_dir() { files(&entry) } else { vec![entry] };
    entries.flat_map(inside).filter(|file| file.extension().is_some_and(|kind| kind == "rs")).collect()
}

/// The source without its unit tests, comments and texts.
fn code(source: &str) -> String {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = source.lines().map(|line| {
        let mut kept = String::new();
        let (mut in_text, mut escaped) = (false, false);
        let line = line.replace(r#"'"'"#, "");
        for (at, character) in line.char_indices() {
            match character {
                '"' if !escaped => in_text = !in_text,
                '/' if !in_text && line[at..].starts_with("//") => break,
                _ if !in_text => kept.push(character),
                _ => {}
            }
            escaped = in_text && character == '\\' && !escaped;
        }
        kept
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Names, `::` and single characters.
fn tokens(code: &str) -> Vec<&str> {
    let (mut tokens, mut rest) = (Vec::new(), code.trim_start());
    while let Some(first) = rest.chars().next() {
        let name = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let length = match name {
            0 if rest.starts_with("::") => 2,
            0 => first.len_utf8(),
            name => name,
        };
        let (token, behind) = rest.split_at(length);
        tokens.push(token);
        rest = behind.trim_start();
    }
    tokens
}

/// The paths of `use` declarations, and others that begin with `crate` or `super`.
fn paths<'s>(tokens: &[&'s str]) -> Vec<Vec<&'s str>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let next = tokens.get(at + 1).copied();
        match tokens[at] {
            "use" if next != Some("<") => at = read_tree(tokens, at + 1, &[], &mut found),
            "crate" | "super" if next == Some("::") => {
                let mut path = vec![tokens[at]];
                while tokens.get(at + 1) == Some(&"::") && at + 2 < tokens.len() {
                    path.push(tokens[at + 2]);
                    at += 2;
                }
                found.push(path);
            }
            _ => at += 1,
        }
    }
    found
}

/// Reads one member of a `use` declaration, and returns where it ends.
fn read_tree<'s>(
    tokens: &[&'s str],
    mut at: usize,
    prefix: &[&'s str],
    found: &mut Vec<Vec<&'s str>>,
) -> usize {
    let mut path = prefix.to_vec();
    while at < tokens.len() {
        match tokens[at] {
            "{" => {
                at += 1;
                while at < tokens.len() && tokens[at] != "}" {
                    at = read_tree(tokens, at, &path, found);
                    at += usize::from(tokens.get(at) == Some(&","));
                }
                return at + 1;
            }
            "," | "}" | ";" => break,
            "as" => at += 2,
            "::" => at += 1,
            name => {
                path.push(name);
                at += 1;
            }
        }
    }
    found.push(path);
    at
}

/// The module of the file that a path names; none if it is outside of the crate.
fn resolve(sources: &BTreeMap<Module, String>, module: &Module, path: &[&str]) -> Option<Module> {
    let mut start = module.clone();
    let mut names = path.iter().copied().peekable();
    match *path.first()? {
        "crate" => start.clear(),
        "super" => {}
        "self" => {}
        child => {
            let is_child = sources.contains_key(&[module.as_slice(), &[child.to_owned()]].concat());
            is_child.then_some(())?;
        }
    }
    names.next_if(|name| ["crate", "self"].contains(name));
    while names.next_if_eq(&"super").is_some() {
        start.pop()?;
    }
    let mut found = start.clone();
    for name in names {
        start.push(name.to_owned());
        if !sources.contains_key(&start) {
            break;
        }
        found.clone_from(&start);
    }
    sources.contains_key(&found).then_some(found)
}

#[test]
fn kernel_imports_no_subject() {
    let imports = Imports::of_crate("domain");
    let kernel = ["kernel".to_owned()];
    let of_kernel: Vec<_> = imports.0.iter().filter(|(module, _)| module.starts_with(&kernel)).collect();
    assert!(of_kernel.len() > 10, "there are no kernel modules");
    for (module, imported) in of_kernel {
        let subjects: Vec<_> = imported.iter().filter(|imported| !imported.starts_with(&kernel)).collect();
        assert!(subjects.is_empty(), "{} imports {subjects:?}", module.join("::"));
    }
}

#[test]
fn folders_have_no_import_circle() {
    for entry in fs::read_dir(crates()).expect("the workspace's sources are readable") {
        let name = entry
            .expect("the workspace's sources are readable")
            .file_name()
            .into_string()
            .expect("the workspace's sources are readable");
        let circles = Imports::of_crate(&name).circles();
        assert!(circles.is_empty(), "{name}: {}", circles.join("; "));
    }
}

#[test]
fn import_parser_finds_all_forms_of_use() {
    let source = r#"
//! use crate::comment;
use crate::{a::{self, B}, c::d as e};
use super::f;
fn g() -> &'static str { h::i(crate::j::K, "use crate::text;") }
#[cfg(test)]
mod tests {
    use crate::tests;
}
"#;
    let code = code(source);
    let found: Vec<String> = paths(&tokens(&code)).iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["crate::a::self", "crate::a::B", "crate::c::d", "super::f", "crate::j::K"]);
}
