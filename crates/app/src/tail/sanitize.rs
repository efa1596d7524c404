//! Sanitizes text from clients for a terminal: control characters are shown instead of executed.

use std::borrow::Cow;

/// The text on one line, without control characters and without changes of the reading direction.
pub(crate) fn sanitize(text: &str) -> Cow<'_, str> {
    if text.chars().all(|character| visible(character) == character) {
        return Cow::Borrowed(text);
    }
    let one_line = text.replace("\r\n", "\n");
    Cow::Owned(one_line.chars().map(visible).collect())
}

/// The character that is shown for a character.
fn visible(character: char) -> char {
    match character {
        '\n' | '\r' | '\u{2028}' | '\u{2029}' => '⏎',
        '\t' => ' ',
        // Unicode has a picture of each ASCII control character, in the same order.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '␡',
        // Control characters above ASCII, and characters that reverse or hide parts of a line.
        '\u{80}'..='\u{9f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{206f}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        _ => character,
    }
}
