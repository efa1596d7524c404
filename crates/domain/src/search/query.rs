//! What a search asks for: words and phrases, all of which a document has. Every text is a query.

use super::SearchScope;
use super::words::{is_ideograph, words};

/// The most words of a query; more are ignored.
const MAX_QUERY_WORDS: usize = 32;
/// The shortest beginning of a word that finds the whole word, in characters.
const MIN_PREFIX_CHARS: usize = 3;

/// Words that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    /// The words, at least one.
    pub words: Vec<String>,
    /// Whether the last may be the beginning of a word.
    pub is_prefix: bool,
}

/// The phrases that a document has, and the scopes that it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordQuery {
    /// All of these.
    pub phrases: Vec<Phrase>,
    /// The words of scopes: of each list at least one.
    pub scopes: Vec<Vec<String>>,
}

impl WordQuery {
    /// Reads a query: words are all to be found; words in double quotes, or joined by other characters than blanks, follow each
    /// other. The last word may be a beginning, unless it is quoted.
    pub fn parse(text: &str) -> Self {
        let mut phrases: Vec<Phrase> = Vec::new();
        let mut left = MAX_QUERY_WORDS;
        let mut add = |text: &str, is_prefix: bool| {
            let words: Vec<String> = words(text).map(|word| word.text).take(left).collect();
            left -= words.len();
            if !words.is_empty() {
                phrases.push(Phrase { words, is_prefix });
            }
        };
        let mut rest = text;
        while let Some((plain, quoted)) = rest.split_once('"') {
            plain.split_whitespace().for_each(|part| add(part, false));
            let (quoted, behind) = quoted.split_once('"').unwrap_or((quoted, ""));
            add(quoted, false);
            rest = behind;
        }
        let mut parts = rest.split_whitespace().peekable();
        while let Some(part) = parts.next() {
            add(part, parts.peek().is_none());
        }
        for phrase in &mut phrases {
            phrase.is_prefix &= phrase.words.last().is_some_and(|word| can_be_prefix(word));
        }
        Self { phrases, scopes: Vec::new() }
    }

    /// Only documents of at least one of these scopes; of none, if there are none.
    #[must_use]
    pub fn within<'s>(mut self, scopes: impl IntoIterator<Item = SearchScope<'s>>) -> Self {
        self.scopes.push(scopes.into_iter().map(SearchScope::word).collect());
        self
    }
}

fn can_be_prefix(word: &str) -> bool {
    word.chars().count() >= MIN_PREFIX_CHARS && !word.chars().any(is_ideograph)
}
