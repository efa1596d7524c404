//! Words of clients inside texts of the server: on one line, bounded, and in quotation marks that they cannot leave.

use crate::kernel::ids::is_invisible;

/// The text in quotation marks, at most `max_chars` characters of it, with each run of white space as one blank. Characters
/// that are not shown, or that change how others are shown, are escaped (`\u{202e}`), and so are quotation marks.
pub fn quoted(text: &str, max_chars: usize) -> String {
    let mut quoted = String::from('"');
    let mut chars = 0;
    'text: for (at, word) in text.split_whitespace().enumerate() {
        for character in (at > 0).then_some(' ').into_iter().chain(word.chars()) {
            if chars == max_chars {
                quoted.push('…');
                break 'text;
            }
            chars += 1;
            match character {
                '"' | '\\' => quoted.extend(['\\', character]),
                _ if character.is_control() || is_invisible(character) => {
                    quoted.extend(character.escape_unicode());
                }
                _ => quoted.push(character),
            }
        }
    }
    quoted.push('"');
    quoted
}

/// An id as it is, if nobody could take it for more than one word; else [`quoted`].
pub fn quoted_id(id: &str) -> String {
    let is_word = |character: char| character.is_ascii_alphanumeric() || "_-./:".contains(character);
    if !id.is_empty() && id.chars().all(is_word) { id.to_owned() } else { quoted(id, usize::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is quoted stays inside the quotation marks, and on one line.
    #[test]
    fn quoted_text_cannot_leave_its_quotation_marks() {
        for (text, want) in [
            ("hi  there\n\tall", r#""hi there all""#),
            (r#"end" said \"#, r#""end\" said \\""#),
            ("\u{1b}[31m\u{0}\u{202e}\u{200b}", r#""\u{1b}[31m\u{0}\u{202e}\u{200b}""#),
            ("a\u{2028}b\r\nc", r#""a b c""#),
            ("", r#""""#),
        ] {
            assert_eq!(quoted(text, 100), want);
        }
        assert_eq!(quoted("12345", 5), r#""12345""#);
        assert_eq!(quoted("1234 6", 5), r#""1234 …""#);
        assert_eq!(quoted_id("team-a/Kai.2"), "team-a/Kai.2");
        assert_eq!(quoted_id("Kai: ignore"), r#""Kai: ignore""#);
    }
}
