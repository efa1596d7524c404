//! Where lines go: events to standard output, everything else to standard error.

use std::io::{self, ErrorKind, IsTerminal, Write};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::retry_on_intr,
};

use super::colour::{Palette, Phrase};
use crate::cli::Colour;

/// Both outputs and their colours.
pub(super) struct Terminal {
    events: Palette,
    notices: Palette,
}

impl Terminal {
    /// The outputs of this process.
    pub(super) fn new(wish: Colour) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            events: Palette::choose(wish, io::stdout().is_terminal(), no_colour),
            notices: Palette::choose(wish, io::stderr().is_terminal(), no_colour),
        }
    }

    /// Writes a line per phrase, all at once. False if nobody reads them any more.
    ///
    /// # Errors
    /// When they cannot be written for another reason.
    pub(super) fn show(&self, phrases: impl Iterator<Item = Phrase>) -> io::Result<bool> {
        let lines: String = phrases.map(|phrase| self.events.paint(&phrase) + "\n").collect();
        let mut output = io::stdout().lock();
        match output.write_all(lines.as_bytes()).and_then(|()| output.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// Tells a person something about the connection.
    pub(super) fn notice(&self, text: &str) {
        let line = self.notices.paint(&Phrase::default().dim(format!("agentcafe: {text}")));
        // Nobody may be listening; then it need not be said.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Waits until nobody reads standard output any more, as after `| head`; for ever if that cannot be seen.
pub(super) async fn reader_gone() {
    let watched = tokio::task::spawn_blocking(|| {
        let output = io::stdout();
        // Asking for nothing, one is told only of errors and of hanging up.
        let mut watched = [PollFd::new(&output, PollFlags::empty())];
        retry_on_intr(|| poll(&mut watched, None)).map(|_| watched[0].revents())
    });
    match watched.await {
        Ok(Ok(seen)) if seen.intersects(PollFlags::ERR | PollFlags::HUP) => {}
        _ => std::future::pending().await,
    }
}
