//! Secrets: texts that are stored and compared, and shown nowhere.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A shorter secret may be part of a text by chance.
const MIN_REVEALING_CHARS: usize = 6;

/// A secret. Its `Debug` shows nothing; it is serialised only into the one record that keeps it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for signing and comparing.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text itself.
    pub fn into_inner(self) -> String {
        self.0
    }

    /// Whether a text reveals it: as a whole, or as a part of itself unless that may be chance.
    pub fn is_revealed_by(&self, text: &str) -> bool {
        let secret = self.0.trim();
        text.trim() == secret || (secret.chars().count() >= MIN_REVEALING_CHARS && text.contains(secret))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text that contains a secret is distinguished from one that resembles it by chance.
    #[test]
    fn a_text_that_repeats_a_secret_tells_it() {
        let cases = [
            ("coffee_paid", "coffee_paid", true),
            ("coffee_paid", " coffee_paid\n", true),
            (" coffee_paid ", "bill coffee_paid 7", true),
            ("coffee_paid", "coffee", false),
            ("paid", "paid", true),
            ("paid", "unpaid", false),
        ];
        for (secret, text, want) in cases {
            assert_eq!(Secret::new(secret).is_revealed_by(text), want, "{secret:?} {text:?}");
        }
    }
}
