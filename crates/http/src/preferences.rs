//! The `Prefer` header (RFC 7240): how a client wants its request to be handled.

use axum::http::{HeaderMap, HeaderName};

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Whether a request asks for strict handling. Of several `handling` preferences, the first one counts.
pub(crate) fn is_strict(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(PREFER).into_iter().filter_map(|line| line.to_str().ok());
    let preferences = lines.flat_map(|line| parts(line, ','));
    let mut handling = preferences.filter_map(|preference| {
        // Parameters of a preference follow after semicolons.
        let (name, value) = parts(preference, ';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("handling").then_some(value)
    });
    handling.next().is_some_and(is_word_strict)
}

/// The parts of a list, which separators in quoted strings do not end.
fn parts(list: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    list.split(move |character| {
        let ends = character == separator && !is_quoted;
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        ends
    })
}

/// Whether a word is `strict`, as a token or as a quoted string.
fn is_word_strict(word: &str) -> bool {
    let word = word.trim();
    let quoted = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
    match quoted {
        Some(text) => text.replace('\\', "").eq_ignore_ascii_case("strict"),
        None => word.eq_ignore_ascii_case("strict"),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn prefer_header_asks_for_strict_handling() {
        for (lines, want) in [
            (&[][..], false),
            (&["handling=strict"], true),
            (&["Handling = STRICT"], true),
            (&[r#"handling="strict""#], true),
            (&[r#"handling="str\ict""#], true),
            (&["respond-async, handling=strict; foo=1, wait=10"], true),
            (&["respond-async", "wait=1", "handling=strict"], true),
            (&["handling=strict", "handling=lenient"], true),
            (&["handling=lenient, handling=strict"], false),
            (&["handling=lenient", "handling=strict"], false),
            (&["handling=\"\", handling=strict"], false),
            (&[r#"note="a, handling=strict""#], false),
            (&[r#"note="a\", handling=strict""#], false),
            (&[r#"note="a\\", handling=strict"#], true),
            (&["wait=1; handling=strict"], false),
            (&["handling"], false),
            (&["handling=stricter"], false),
            (&["xhandling=strict"], false),
            (&["note=\u{e9}", "handling=strict"], true),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(PREFER, HeaderValue::from_bytes(line.as_bytes()).expect("a header"));
            }
            assert_eq!(is_strict(&headers), want, "{lines:?}");
        }
    }
}
