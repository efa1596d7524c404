//! Texts of strangers, made harmless: what would steer a terminal is shown instead of obeyed.

use std::borrow::Cow;

/// The text on one line, without anything that moves the cursor, changes colours or turns the reading direction.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    if text.chars().all(|character| shown(character) == character) {
        return Cow::Borrowed(text);
    }
    let one_line = text.replace("\r\n", "\n");
    Cow::Owned(one_line.chars().map(shown).collect())
}

/// What stands for a character: most stand for themselves.
fn shown(character: char) -> char {
    match character {
        '\n' | '\r' | '\u{2028}' | '\u{2029}' => '⏎',
        '\t' => ' ',
        // Unicode has a picture of each control character of ASCII, in their order.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '␡',
        // The control characters above ASCII, and what reverses or hides parts of a line.
        '\u{80}'..='\u{9f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{206f}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_steers_the_terminal() {
        let cases = [
            ("hey @Kai ☕ 你好 👩‍🍳", "hey @Kai ☕ 你好 👩‍🍳"),
            ("one\ntwo\r\nthree\rfour", "one⏎two⏎three⏎four"),
            ("a\tb", "a b"),
            ("\u{1b}[31mred\u{1b}[0m", "␛[31mred␛[0m"),
            ("\u{1b}]0;title\u{7}", "␛]0;title␇"),
            ("\u{9b}2J\u{7f}\0", "\u{fffd}2J␡␀"),
            ("abc\u{202e}cba\u{2066}", "abc\u{fffd}cba\u{fffd}"),
            ("a\u{2028}b", "a⏎b"),
        ];
        for (text, want) in cases {
            assert_eq!(harmless(text), want, "{text:?}");
        }
    }
}
