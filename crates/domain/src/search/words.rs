//! Cuts texts into words. Both databases index these words, so that both find the same.

use std::iter;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The most characters of a word that count.
const MAX_WORD_CHARS: usize = 64;
/// Marks over and under letters of alphabets, which are ignored. Marks of other scripts are part of their words.
const DIACRITICS: std::ops::RangeInclusive<char> = '\u{300}'..='\u{36f}';

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it is in the text, in bytes.
    pub range: Range<usize>,
    /// The word without case and diacritics.
    pub text: String,
}

/// The words of a text, in order: runs of letters and digits. Characters of scripts without spaces are a word each.
pub fn words(text: &str) -> impl Iterator<Item = Word> {
    runs(text).flat_map(move |range| {
        fold(&text[range.clone()]).into_iter().map(move |text| Word { range: range.clone(), text })
    })
}

fn runs(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut chars = text.char_indices().peekable();
    iter::from_fn(move || {
        let (start, first) = chars.find(|(_, char)| char.is_alphanumeric())?;
        let mut end = start + first.len_utf8();
        let continues = |next: char| {
            let joins = !is_ideograph(first) && !is_ideograph(next) && next.is_alphanumeric();
            joins || is_combining_mark(next)
        };
        while let Some((at, next)) = chars.next_if(|(_, next)| continues(*next)) {
            end = at + next.len_utf8();
        }
        Some(start..end)
    })
}

/// Whether a character is of a script that is written without spaces: Chinese and Japanese.
pub(super) fn is_ideograph(char: char) -> bool {
    matches!(char, '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// A run as it is compared. Few runs become several words: those with a character that stands for a phrase.
fn fold(run: &str) -> Vec<String> {
    let folded = if run.is_ascii() {
        run.to_ascii_lowercase()
    } else {
        let lower = run.nfkd().flat_map(char::to_lowercase);
        lower.filter(|char| !DIACRITICS.contains(char)).nfc().collect()
    };
    let words = folded.split(|char: char| !char.is_alphanumeric() && !is_combining_mark(char));
    let words = words.filter(|word| !word.is_empty());
    words.map(|word| word.chars().take(MAX_WORD_CHARS).collect()).collect()
}
