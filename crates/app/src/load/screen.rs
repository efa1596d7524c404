//! What a person sees while a server is loaded: one line that is kept up to date, and in the end the digest.

use std::{
    io::{IsTerminal, Write, stderr},
    time::Duration,
};

use agentcafe_load::progress::{Onlooker, Progress};

/// Characters of the bar that shows how far a part of the run is.
const BAR_CHARS: usize = 20;
/// Goes to the line's beginning and empties it.
const EMPTY_LINE: &str = "\r\x1b[K";

/// Standard error, where a person may be watching.
pub(super) struct Screen {
    is_watched: bool,
}

impl Screen {
    /// Standard error of this process.
    pub(super) fn new() -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self { is_watched: stderr().is_terminal() && !is_dumb }
    }

    /// Says something, watched or not.
    pub(super) fn note(&self, text: &str) {
        self.put(&format!("agentcafe: {text}\n"));
    }

    /// Shows lines to whoever watches.
    pub(super) fn show_digest(&self, lines: &[String]) {
        if self.is_watched {
            let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
            self.put(&format!("{EMPTY_LINE}{lines}"));
        }
    }

    /// Takes away the line that was kept up to date.
    pub(super) fn clear(&self) {
        if self.is_watched {
            self.put(EMPTY_LINE);
        }
    }

    fn put(&self, text: &str) {
        // Nobody may be listening; then it need not be said.
        let _ = stderr().lock().write_all(text.as_bytes());
    }
}

impl Onlooker for Screen {
    fn show(&self, progress: &Progress) {
        if self.is_watched {
            self.put(&format!("{EMPTY_LINE}{}", line(progress)));
        }
    }
}

/// How it comes on, in a line of a terminal.
fn line(progress: &Progress) -> String {
    let Progress { phase, elapsed, duration, done, failed } = *progress;
    let share = elapsed.as_secs_f64() / duration.max(Duration::from_millis(1)).as_secs_f64();
    let filled = ((share.min(1.0) * BAR_CHARS as f64) as usize).min(BAR_CHARS);
    let bar = format!("{}{}", "━".repeat(filled), "╌".repeat(BAR_CHARS - filled));
    let failures = if failed == 0 { String::new() } else { format!(" · {failed} failed") };
    format!(
        "{bar} {phase} · {:.1} of {:.1} s · {done} done{failures}",
        elapsed.as_secs_f64(),
        duration.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_it_comes_on() {
        let progress = Progress {
            phase: "saying",
            elapsed: Duration::from_millis(2500),
            duration: Duration::from_secs(10),
            done: 1234,
            failed: 0,
        };
        assert_eq!(line(&progress), "━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ saying · 2.5 of 10.0 s · 1234 done");
        let late = Progress { elapsed: Duration::from_secs(12), failed: 7, ..progress };
        assert_eq!(line(&late), "━━━━━━━━━━━━━━━━━━━━ saying · 12.0 of 10.0 s · 1234 done · 7 failed");
        let none = Progress { elapsed: Duration::ZERO, duration: Duration::ZERO, ..progress };
        assert!(line(&none).starts_with("╌╌╌╌"));
    }
}
