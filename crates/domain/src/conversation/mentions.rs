//! Finds the names that a text mentions with `@`, outside of code, URLs and e-mail addresses.

use std::collections::{HashMap, HashSet};

use unicode_normalization::char::is_combining_mark;

use crate::kernel::ActorId;

/// The actors that a text (Markdown) names with `@`: each once, in order.
///
/// A name is `@Kai`: letters, digits and marks of any script, and `_` and `-` within; or any other one in quotation marks,
/// `@"Claude Code"`. Nobody is named in code spans, fenced code blocks, URLs and e-mail addresses.
pub fn mentions_in(text: &str) -> Vec<ActorId> {
    let mut mentioned = Vec::new();
    if text.contains('@') {
        for paragraph in paragraphs(text) {
            for prose in without_code_spans(paragraph) {
                add_names(prose, &mut mentioned);
            }
        }
    }
    let mut seen = HashSet::new();
    mentioned.retain(|actor| seen.insert(actor.clone()));
    mentioned
}

/// What begins a fenced code block.
#[derive(Clone, Copy)]
struct Fence {
    mark: char,
    length: usize,
    is_quoted: bool,
}

impl Fence {
    const MIN_LENGTH: usize = 3;

    /// The fence that a line consists of, and what follows it. It may be indented, and quoted with `>`.
    fn in_line(line: &str) -> Option<(Self, &str)> {
        let fenced = line.trim_start_matches([' ', '\t', '>']);
        let mark = fenced.chars().next().filter(|mark| ['`', '~'].contains(mark))?;
        let rest = fenced.trim_start_matches(mark);
        let length = fenced.len() - rest.len();
        (length >= Self::MIN_LENGTH).then_some((Self { mark, length, is_quoted: is_quoted(line) }, rest))
    }

    /// Whether a line begins a block: after backticks, the language has none.
    fn begun_by(line: &str) -> Option<Self> {
        Self::in_line(line)
            .filter(|(fence, rest)| fence.mark == '~' || !rest.contains('`'))
            .map(|(fence, _)| fence)
    }

    fn is_ended_by(self, line: &str) -> bool {
        Self::in_line(line).is_some_and(|(end, rest)| {
            end.mark == self.mark && end.length >= self.length && rest.trim().is_empty()
        })
    }
}

fn is_quoted(line: &str) -> bool {
    line.trim_start().starts_with('>')
}

/// The paragraphs of a text, without fenced code blocks. A block that is not ended reaches to the end of the text, or of the
/// quotation that it is in.
fn paragraphs(text: &str) -> Vec<&str> {
    let (mut paragraphs, mut block) = (Vec::new(), None::<Fence>);
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        if block.is_some_and(|fence| fence.is_quoted && !is_quoted(line)) {
            (block, start) = (None, at);
        }
        match block {
            Some(fence) if fence.is_ended_by(line) => (block, start) = (None, end),
            Some(_) => {}
            None => {
                block = Fence::begun_by(line);
                if block.is_some() || line.trim().is_empty() {
                    paragraphs.push(&text[start..at]);
                    start = end;
                }
            }
        }
        at = end;
    }
    if block.is_none() {
        paragraphs.push(&text[start..]);
    }
    paragraphs
}

/// The parts of a paragraph outside of code spans, which begin and end with the same number of backticks.
fn without_code_spans(paragraph: &str) -> Vec<&str> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, _) in paragraph.match_indices('`') {
        match runs.last_mut() {
            Some((start, length)) if *start + *length == at => *length += 1,
            _ => runs.push((at, 1)),
        }
    }
    let last: HashMap<usize, usize> = runs.iter().map(|&(start, length)| (length, start)).collect();
    let (mut parts, mut begin) = (Vec::new(), 0);
    let mut rest = runs.into_iter();
    while let Some((start, length)) = rest.next() {
        // Otherwise nothing ends a span here: the backticks are text.
        if last[&length] > start
            && let Some((end, _)) = rest.find(|(_, other)| *other == length)
        {
            parts.push(&paragraph[begin..start]);
            begin = end + length;
        }
    }
    parts.push(&paragraph[begin..]);
    parts
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || is_combining_mark(character)
}

/// Adds the names in a text without code.
fn add_names(prose: &str, mentioned: &mut Vec<ActorId>) {
    let (mut at, mut before) = (0, None::<char>);
    // Whether an `@` here would follow a word, as in an e-mail address. Underscores before it are emphasis, unless a word is
    // before them.
    let (mut follows_word, mut is_url) = (false, false);
    while let Some(character) = prose[at..].chars().next() {
        let rest = &prose[at + character.len_utf8()..];
        let starts_url = rest.starts_with("://") && character.is_alphanumeric()
            || character == 'w' && !follows_word && rest.starts_with("ww.");
        is_url =
            (is_url || starts_url) && !character.is_whitespace() && !['<', '>', '"'].contains(&character);
        let name = if character == '@' && !follows_word && !is_url { name_at_start(rest) } else { None };
        let length = match name {
            Some((actor, length)) => {
                mentioned.push(actor);
                (follows_word, before) = (true, None);
                length
            }
            None => {
                follows_word = match character {
                    '_' => follows_word,
                    // One that ends a quotation, which is the name in an e-mail address.
                    '"' => before
                        .is_some_and(|before| !before.is_whitespace() && !['(', '[', '{'].contains(&before)),
                    _ => is_of_word(character),
                };
                before = Some(character);
                0
            }
        };
        at += character.len_utf8() + length;
    }
}

/// The name that a text after an `@` starts with, and its length in the text.
fn name_at_start(text: &str) -> Option<(ActorId, usize)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let end = quoted.find(['"', '\n'])?;
        let actor = ActorId::parse(&quoted[..end]).ok().filter(|_| quoted[end..].starts_with('"'))?;
        return Some((actor, end + 2));
    }
    let mut end = 0;
    for (at, character) in text.char_indices() {
        if is_of_word(character) {
            end = at + character.len_utf8();
        } else if character != '_' && (character != '-' || end == 0) {
            break;
        }
    }
    Some((ActorId::parse(&text[..end]).ok()?, end))
}
