//! Texts that must never be seen: they are stored and compared, and shown nowhere.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A shorter secret is part of many texts by chance.
const MIN_TELLING_CHARS: usize = 6;

/// A secret. Its `Debug` shows nothing; it is serialised only into the one record that keeps it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being seen.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever must use it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a text tells it: as a whole, or as a part of itself unless that may be chance.
    pub fn is_told_by(&self, text: &str) -> bool {
        let secret = self.0.trim();
        text.trim() == secret || (secret.chars().count() >= MIN_TELLING_CHARS && text.contains(secret))
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

    /// RULINGS A8: what repeats a secret is told from what is like it by chance.
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
            assert_eq!(Secret::new(secret).is_told_by(text), want, "{secret:?} {text:?}");
        }
    }
}
