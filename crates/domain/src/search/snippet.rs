//! The part of a text that shows why it was found.

use super::query::{Phrase, WordQuery};
use super::words::words;

/// The most characters of a snippet, without the dots that stand for what was left out.
const MAX_SNIPPET_CHARS: usize = 160;
/// How many characters before the first word that was found are shown, at most.
const CHARS_BEFORE: usize = 40;

/// The part of a text around the first word of the query, on one line.
pub fn snippet(text: &str, query: &WordQuery) -> String {
    let found = words(text).find(|word| query.phrases.iter().any(|phrase| phrase.begins_with(&word.text)));
    let at = found.map_or(0, |word| word.range.start);
    let start = text[..at].char_indices().rev().take(CHARS_BEFORE).last().map_or(at, |(start, _)| start);
    let start = if start == 0 { 0 } else { word_start(text, start, at) };
    let end = text[start..].char_indices().nth(MAX_SNIPPET_CHARS).map_or(text.len(), |(end, _)| start + end);
    let line = text[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
    let (before, behind) = (if start > 0 { "…" } else { "" }, if end < text.len() { "…" } else { "" });
    format!("{before}{line}{behind}")
}

/// Where a word begins, from `start` on, and at `at` at the latest.
fn word_start(text: &str, start: usize, at: usize) -> usize {
    let blank = text[start..at].find(char::is_whitespace);
    blank.map_or(at, |blank| start + blank)
}

impl Phrase {
    /// Whether the phrase may begin with this word of a text.
    fn begins_with(&self, word: &str) -> bool {
        match self.words.as_slice() {
            [only] if self.is_prefix => word.starts_with(only.as_str()),
            [first, ..] => word == first,
            [] => false,
        }
    }
}
