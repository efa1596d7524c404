//! Writes events to standard output, and notices to standard error.

use std::io::{self, ErrorKind, IsTerminal, Write};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;

use super::colour::{Palette, Phrase};
use crate::cli::Colour;

/// Both outputs and their colours.
pub(super) struct Terminal {
    events: Palette,
    notices: Palette,
}

impl Terminal {
    /// The outputs of this process.
    pub(super) fn new(option: Colour) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            events: Palette::choose(option, io::stdout().is_terminal(), no_colour),
            notices: Palette::choose(option, io::stderr().is_terminal(), no_colour),
        }
    }

    /// Writes a line per phrase, all at once. `false` if standard output was closed.
    ///
    /// # Errors
    /// When writing fails for another reason.
    pub(super) fn show(&self, phrases: impl Iterator<Item = Phrase>) -> io::Result<bool> {
        let lines: String = phrases.map(|phrase| self.events.paint(&phrase) + "\n").collect();
        let mut output = io::stdout().lock();
        match output.write_all(lines.as_bytes()).and_then(|()| output.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// Writes a notice.
    pub(super) fn notice(&self, text: &str) {
        let line = self.notices.paint(&Phrase::default().dim(format!("agentcafe: {text}")));
        // A closed standard error loses notices only.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Waits until standard output is closed by its reader, as after `| head`; forever if that cannot be observed.
pub(super) async fn reader_gone() {
    let watched = tokio::task::spawn_blocking(|| {
        let output = io::stdout();
        // Without requested events, poll reports only errors and hang-ups.
        let mut watched = [PollFd::new(&output, PollFlags::empty())];
        retry_on_intr(|| poll(&mut watched, None)).map(|_| watched[0].revents())
    });
    match watched.await {
        Ok(Ok(seen)) if seen.intersects(PollFlags::ERR | PollFlags::HUP) => {}
        _ => std::future::pending().await,
    }
}
