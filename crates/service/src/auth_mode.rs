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
}

/// How callers authenticate.
#[derive(Clone, Debug, Default)]
pub struct Authentication {
    /// Who gets in with what.
    pub mode: AuthMode,
    /// The shared token; none: without API keys, everybody is let in.
    pub shared_token: Option<String>,
}

impl Authentication {
    /// Whether somebody is let in without an API key who manages all of them: the holder of the shared token, or anybody.
    pub fn admits_without_key(&self) -> bool {
        match self.mode {
            AuthMode::Shared => true,
            AuthMode::Automatic | AuthMode::Both => self.shared_token.is_some(),
            AuthMode::Keys => false,
        }
    }

    /// Who is let in, for people. `has_keys`: whether there is any API key.
    pub fn description(&self, has_keys: bool) -> &'static str {
        match (self.mode, &self.shared_token) {
            (AuthMode::Keys, _) => "keys",
            (AuthMode::Shared, Some(_)) => "shared",
            (AuthMode::Automatic | AuthMode::Both, Some(_)) if has_keys => "both",
            (AuthMode::Automatic | AuthMode::Both, Some(_)) => "shared, and both once there is an API key",
            (AuthMode::Automatic | AuthMode::Both, None) if has_keys => "keys",
            (AuthMode::Automatic | AuthMode::Both, None) => "open until there is an API key",
            (AuthMode::Shared, None) => "open",
        }
    }

    /// What an operator has probably not meant. `has_keys`: whether there is any API key.
    pub fn warning(&self, has_keys: bool) -> Option<&'static str> {
        match (self.mode, &self.shared_token) {
            (AuthMode::Keys, _) if !has_keys => Some(
                "AUTH_MODE=keys, and there is no API key: nobody is let in; make one with agentcafe keys add --kind admin",
            ),
            (AuthMode::Shared, None) => Some(
                "AUTH_MODE=shared without API_AUTH_TOKEN: everybody is let in, and API keys do not count",
            ),
            (AuthMode::Both, None) if has_keys => Some(
                "AUTH_MODE=both without API_AUTH_TOKEN: only API keys are accepted, as with AUTH_MODE=keys",
            ),
            (AuthMode::Both, None) => {
                Some("AUTH_MODE=both without API_AUTH_TOKEN: everybody is let in until there is an API key")
            }
            _ => None,
        }
    }
}
