//! What a setting is: its names, allowed values, default and meaning, from which reading, errors, help and docs derive.

/// A setting whose values are parsed to `T`. All of them are declared in `catalogue.rs`.
pub(crate) struct Setting<T: 'static> {
    pub(super) description: Description,
    pub(super) kind: Kind<T>,
}

/// The parts of a setting that do not depend on its type.
pub(super) struct Description {
    /// Its name, then its aliases. The first that is set counts.
    pub(super) names: &'static [&'static str],
    /// The heading under which the docs list it.
    pub(super) section: &'static str,
    /// The subcommands that read it.
    pub(super) subcommands: &'static [&'static str],
    /// What it is for.
    pub(super) meaning: &'static str,
    pub(super) default: DefaultValue,
    pub(super) secrecy: Secrecy,
}

/// The value of a setting that is not set.
#[derive(Clone, Copy)]
pub(super) enum DefaultValue {
    /// This value.
    Value(fn() -> String),
    /// No value, or one that depends on other settings, which the text names.
    Unset(fn() -> String),
}

/// Which part of a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// All of it.
    Plain,
    /// Nothing.
    Secret,
    /// The scheme, host and port of the URL that it is; the rest may hold a secret.
    Address,
}

/// Which values are allowed, and how they are parsed.
pub(super) enum Kind<T: 'static> {
    /// A whole number. Below `min` it is raised to it and above `max` lowered, but 0 stays 0 where `zero` says what it means.
    Number { min: u64, max: u64, zero: Option<&'static str>, convert: fn(u64) -> Option<T> },
    /// One of a few names, compared without case; each with its value, and with what it means unless the name says it.
    Choice(&'static [(&'static str, T, &'static str)]),
    /// What `parse` accepts. Its error describes what is wrong with a text, or is empty where that is plain.
    Parsed { allowed: &'static str, parse: fn(&str) -> Result<T, String> },
}

/// The maximum of a number that has no other: it fits a signed 64-bit integer.
pub(super) const UNBOUNDED: u64 = i64::MAX as u64;

/// A setting of any type.
pub(super) trait AnySetting: Sync {
    fn description(&self) -> &Description;

    /// Which values are allowed, as the end of the sentence "it must be …".
    fn allowed(&self) -> String;

    /// The text of the value that a text is read as: numbers within their bounds, choices in lower case. An error describes
    /// what is wrong with the text.
    fn effective(&self, text: &str) -> Result<String, String>;
}

impl<T: Clone + Sync> AnySetting for Setting<T> {
    fn description(&self) -> &Description {
        &self.description
    }

    fn allowed(&self) -> String {
        self.kind.allowed()
    }

    fn effective(&self, text: &str) -> Result<String, String> {
        self.kind.parse(text).map(|(_, effective)| effective)
    }
}

impl<T: Clone> Setting<T> {
    /// Parses an option of the command line with the meaning of this setting. An error describes what is wrong, and what is allowed.
    pub(crate) fn parse_option(&self, text: &str) -> Result<T, String> {
        let parsed = self.kind.parse(text.trim());
        let error =
            |problem: String| format!("{text:?} cannot be used{}", why(&problem, &self.kind.allowed()));
        parsed.map(|(value, _)| value).map_err(error)
    }
}

/// The end of a sentence: what is wrong with a value, if there is anything to say, and what is allowed.
pub(super) fn why(problem: &str, allowed: &str) -> String {
    let colon = if problem.is_empty() { "" } else { ": " };
    format!("{colon}{problem}. It must be {allowed}")
}

impl Description {
    /// The default as people read it.
    pub(super) fn default_text(&self) -> String {
        match self.default {
            DefaultValue::Value(text) | DefaultValue::Unset(text) => text(),
        }
    }
}

impl<T: Clone> Kind<T> {
    /// The value, and its text.
    pub(super) fn parse(&self, text: &str) -> Result<(T, String), String> {
        match self {
            Self::Number { min, max, zero, convert } => {
                let number: u64 = text.parse().map_err(|_| String::new())?;
                if number > UNBOUNDED {
                    return Err("it is too large".to_owned());
                }
                let number = if number == 0 && zero.is_some() { 0 } else { number.clamp(*min, *max) };
                Ok((convert(number).ok_or("it is too large")?, number.to_string()))
            }
            Self::Choice(choices) => {
                let chosen = choices.iter().find(|(name, ..)| name.eq_ignore_ascii_case(text));
                let (name, value, _) = chosen.ok_or_else(String::new)?;
                Ok((value.clone(), (*name).to_owned()))
            }
            Self::Parsed { parse, .. } => Ok((parse(text)?, text.to_owned())),
        }
    }

    fn allowed(&self) -> String {
        match self {
            Self::Number { min, max, zero, .. } => {
                let bounds = match (*min, *max) {
                    (0, UNBOUNDED) => String::new(),
                    (min, UNBOUNDED) => format!(", at least {min}"),
                    (min, max) => format!(", {min} to {max}"),
                };
                let zero = zero.map_or_else(String::new, |meaning| format!("; 0: {meaning}"));
                format!("a whole number{bounds}{zero}")
            }
            Self::Choice(choices) => {
                let names = choices.iter().map(|(name, _, meaning)| match *meaning {
                    "" => (*name).to_owned(),
                    meaning => format!("{name} ({meaning})"),
                });
                names.collect::<Vec<_>>().join(" or ")
            }
            Self::Parsed { allowed, .. } => (*allowed).to_owned(),
        }
    }

    /// Lets 0 be 0, whatever the minimum.
    pub(super) const fn zero(self, meaning: &'static str) -> Self {
        match self {
            Self::Number { min, max, convert, .. } => Self::Number { min, max, zero: Some(meaning), convert },
            other => other,
        }
    }
}
