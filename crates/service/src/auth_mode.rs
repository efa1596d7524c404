//! The settings of authentication: who gets in with what.

/// Who gets in with what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// The shared token alone, as long as there is no API key; then both.
    #[default]
    Automatic,
    /// The shared token alone: API keys are refused.
    Shared,
    /// The shared token, and API keys.
    Both,
    /// API keys alone.
    Keys,
}

impl AuthMode {
    /// The names of the modes that can be set.
    pub const NAMES: [(&str, Self); 3] =
        [("shared", Self::Shared), ("both", Self::Both), ("keys", Self::Keys)];

    /// Its name, for people.
    pub fn description(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, mode)| *mode == self);
        named.map_or("shared, or both once there is an API key", |(name, _)| name)
    }
}

/// How callers authenticate.
#[derive(Clone, Debug, Default)]
pub struct Authentication {
    /// Who gets in with what.
    pub mode: AuthMode,
    /// The shared token; none: without API keys, everybody is let in.
    pub shared_token: Option<String>,
}
