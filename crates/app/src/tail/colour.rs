//! Phrases and their colours: one stable colour per actor, dim for details.

use std::fmt::{Display, Write as _};

use super::sanitize::sanitize;
use crate::cli::Colour;

const DIM: &str = "2";
/// ANSI codes of foreground colours that are readable on dark and on light backgrounds.
const ACTOR_COLOURS: [&str; 10] = ["36", "32", "33", "35", "31", "96", "92", "94", "95", "91"];

/// A part of a phrase.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Plain(String),
    Dim(String),
    /// An actor's name, in the actor's colour.
    Actor(String),
}

/// The parts of a line. They may hold any text from clients: [`Palette::paint`] sanitizes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Phrase(Vec<Piece>);

impl Phrase {
    /// A phrase about an actor.
    pub(super) fn about(actor: impl Display) -> Self {
        Self::default().actor(actor).plain("  ")
    }

    /// Adds plain text.
    pub(super) fn plain(self, text: impl Display) -> Self {
        self.with(Piece::Plain(text.to_string()))
    }

    /// Adds a detail.
    pub(super) fn dim(self, text: impl Display) -> Self {
        self.with(Piece::Dim(text.to_string()))
    }

    /// Adds an actor's name.
    pub(super) fn actor(self, name: impl Display) -> Self {
        self.with(Piece::Actor(name.to_string()))
    }

    /// Adds another phrase.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn with(mut self, piece: Piece) -> Self {
        self.0.push(piece);
        self
    }
}

/// Whether colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Palette {
    coloured: bool,
}

impl Palette {
    /// The palette for an output. `no_colour` is whether `NO_COLOR` is set.
    pub(super) fn choose(option: Colour, is_terminal: bool, no_colour: bool) -> Self {
        let coloured = match option {
            Colour::Auto => is_terminal && !no_colour,
            Colour::Always => true,
            Colour::Never => false,
        };
        Self { coloured }
    }

    /// The phrase as one line without its end, safe to write to a terminal.
    pub(super) fn paint(self, phrase: &Phrase) -> String {
        let mut line = String::new();
        for piece in &phrase.0 {
            let (code, text) = match piece {
                Piece::Plain(text) => ("", text),
                Piece::Dim(text) => (DIM, text),
                Piece::Actor(name) => (colour_of(name), name),
            };
            let text = sanitize(text);
            if self.coloured && !code.is_empty() {
                // Writing to a string cannot fail.
                let _ = write!(line, "\u{1b}[{code}m{text}\u{1b}[0m");
            } else {
                line.push_str(&text);
            }
        }
        line
    }
}

/// The colour of a name, the same in every run: picked by its FNV-1a hash.
fn colour_of(name: &str) -> &'static str {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The upper half, since its bits depend on every byte.
    ACTOR_COLOURS[(hash >> 32) as usize % ACTOR_COLOURS.len()]
}
