//! The configuration file: settings by their names, in TOML.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use toml::{Table, Value};

use super::unknown;

/// What the file is called in the data directory.
const FILE_NAME: &str = "agentcafe.toml";

/// A configuration file, and what it sets.
pub(super) struct ConfigFile {
    pub(super) path: String,
    /// Texts by the names of settings, as the environment would hold them.
    pub(super) values: HashMap<String, String>,
}

impl ConfigFile {
    /// The file in a data directory, if there is one.
    ///
    /// # Errors
    /// As those of [`ConfigFile::read`].
    pub(super) fn find(directory: &Path) -> anyhow::Result<Option<Self>> {
        let path = directory.join(FILE_NAME);
        path.exists().then(|| Self::read(&path)).transpose()
    }

    /// Reads a file. Blank counts as not set.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, names what is not a setting, or has a value that is no text, number, boolean or
    /// list of those.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let path = path.display().to_string();
        let content = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
        let table: Table = content.parse().map_err(|error: toml::de::Error| {
            // Without the line itself, which may hold a secret.
            let line = error.span().map_or(1, |span| 1 + content[..span.start].matches('\n').count());
            anyhow!("{path} is not TOML: line {line}: {}", error.message())
        })?;
        let (mut values, mut problems) = (HashMap::new(), Vec::new());
        for (name, value) in table {
            match text(&value) {
                _ if !unknown::names().any(|known| known == name) => problems.push(unknown::hint(&name)),
                None => problems
                    .push(format!("{name} must be a text, a number, true, false, or a list of those.")),
                Some(text) if text.trim().is_empty() => {}
                Some(text) => drop(values.insert(name, text.trim().to_owned())),
            }
        }
        if problems.is_empty() { Ok(Self { path, values }) } else { bail!("{path}: {}", problems.join(" ")) }
    }
}

/// A value as the environment would hold it: lists are separated by commas.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Array(values) => Some(values.iter().map(text).collect::<Option<Vec<_>>>()?.join(",")),
        Value::Table(_) | Value::Datetime(_) => None,
    }
}
