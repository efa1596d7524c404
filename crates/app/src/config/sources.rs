//! Where values come from: the environment, then `agentcafe.toml`, then the defaults.

use std::collections::HashMap;
use std::path::PathBuf;

use super::catalogue::AGENTCAFE_DATA_DIR;
use super::file::ConfigFile;
use super::setting::{AnySetting, DefaultValue, Description, Secrecy, Setting, why};
use super::unknown;

/// The values that are set, and warnings about them.
pub(crate) struct Sources {
    /// The subcommand that reads it.
    subcommand: &'static str,
    environment: HashMap<String, String>,
    file: Option<ConfigFile>,
    /// A hint for each variable that is probably a misspelled setting.
    pub(super) unknown: Vec<String>,
    /// A warning if there are variables that an orchestrator set.
    pub(super) service_links: Option<String>,
}

/// A value that is set, and where.
pub(super) struct ConfiguredValue<'a> {
    pub(super) name: &'static str,
    pub(super) text: &'a str,
    /// `environment`, or the path of the configuration file.
    pub(super) origin: &'a str,
}

/// A setting whose value cannot be used: what is wrong, what is allowed, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SettingError(String);

impl SettingError {
    /// An error about several settings together: what is wrong, what is allowed, what to do.
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }
}

impl Sources {
    /// Reads the environment of this process and the configuration file: the named one, else `agentcafe.toml` in the data
    /// directory, if it exists.
    ///
    /// # Errors
    /// The file cannot be read, or has an invalid key or value.
    pub(crate) fn load(subcommand: &'static str, config_file: Option<PathBuf>) -> anyhow::Result<Self> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        });
        let mut sources = Self::of(subcommand, variables);
        sources.file = match config_file {
            Some(path) => Some(ConfigFile::read(&path)?),
            None => ConfigFile::find(&sources.value(&AGENTCAFE_DATA_DIR)?)?,
        };
        Ok(sources)
    }

    /// What these variables set. Blank counts as not set.
    pub(super) fn of<T: AsRef<str>>(
        subcommand: &'static str,
        variables: impl IntoIterator<Item = (T, T)>,
    ) -> Self {
        let trimmed = variables.into_iter().map(|(name, value)| (name, value.as_ref().trim().to_owned()));
        let set = trimmed.filter(|(_, value)| !value.is_empty());
        let mut environment = set.map(|(name, value)| (name.as_ref().to_owned(), value)).collect();
        let service_links = unknown::remove_service_links(&mut environment);
        let unknown = unknown::hints(environment.keys());
        Self { subcommand, environment, file: None, unknown, service_links }
    }

    /// Warnings about the environment.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.unknown.iter().chain(&self.service_links).cloned().collect()
    }

    /// The first of these names that the environment sets, else the first that the file sets.
    pub(super) fn find(&self, names: &[&'static str]) -> Option<ConfiguredValue<'_>> {
        let file = self.file.as_ref().map(|file| (&file.values, file.path.as_str()));
        std::iter::once((&self.environment, "environment")).chain(file).find_map(|(values, origin)| {
            names.iter().find_map(|&name| Some(ConfiguredValue { name, text: values.get(name)?, origin }))
        })
    }

    /// The value of a setting that has a default.
    pub(crate) fn value<T: Clone + Sync>(&self, setting: &Setting<T>) -> Result<T, SettingError> {
        Ok(self.optional(setting)?.expect("the setting has a default"))
    }

    /// The value of a setting; none if it is not set and has no default.
    pub(crate) fn optional<T: Clone + Sync>(&self, setting: &Setting<T>) -> Result<Option<T>, SettingError> {
        self.optional_named(setting, setting.description.names)
    }

    /// As [`Sources::optional`], under some of the setting's names only.
    pub(super) fn optional_named<T: Clone + Sync>(
        &self,
        setting: &Setting<T>,
        names: &[&'static str],
    ) -> Result<Option<T>, SettingError> {
        let Description { subcommands, default, .. } = setting.description;
        debug_assert!(
            self.subcommand == "config" || subcommands.contains(&self.subcommand),
            "{} reads {}, which is not declared as its setting",
            self.subcommand,
            names[0]
        );
        let text = match (self.find(names), default) {
            (Some(found), _) => found.text.to_owned(),
            (None, DefaultValue::Value(text)) => text(),
            (None, DefaultValue::Unset(_)) => return Ok(None),
        };
        let parsed = setting.kind.parse(&text);
        parsed.map(|(value, _)| Some(value)).map_err(|problem| self.error(setting, &problem))
    }

    /// The error of a setting that has this problem.
    pub(super) fn error(&self, setting: &dyn AnySetting, problem: &str) -> SettingError {
        let Description { names, secrecy, .. } = setting.description();
        let set = match self.find(names) {
            Some(ConfiguredValue { name, text, origin }) if *secrecy == Secrecy::Plain => {
                format!("{name}={text:?} ({origin})")
            }
            Some(ConfiguredValue { name, origin, .. }) => format!("{name}=… ({origin})"),
            None => names[0].to_owned(),
        };
        let why = why(problem, &setting.allowed());
        let default = setting.description().default_text();
        SettingError(format!(
            "{set} cannot be used{why}. Correct it, or remove it for the default: {default}"
        ))
    }
}
