//! What `agentcafe load` shows on standard error: in a terminal a progress line and a summary, always the notes.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use agentcafe_load::fanout::FanoutResults;
use agentcafe_load::gate::GateResults;
use agentcafe_load::report::{GateCheck, GateResult, ProgressObserver, RunProgress};
use agentcafe_load::stats::LatencySummary;
use agentcafe_load::write::WriteResults;

/// Characters of the progress bar.
const PROGRESS_CHARS: usize = 20;
/// Characters of a histogram's longest bar.
const HISTOGRAM_CHARS: u64 = 40;
/// Returns to the start of the line and clears it.
const CLEAR_LINE: &str = "\r\x1b[K";

/// Standard error of this process.
pub(super) struct Terminal {
    is_interactive: bool,
}

impl Terminal {
    /// Finds out whether standard error is a terminal.
    pub(super) fn new() -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self { is_interactive: stderr().is_terminal() && !is_dumb }
    }

    /// Prints a line, in a terminal or not.
    pub(super) fn note(&self, text: &str) {
        self.put(&format!("agentcafe: {text}\n"));
    }

    /// Prints a summary and the checks, if this is a terminal.
    pub(super) fn show_summary(&self, summary: &[String], gate: &GateResult) {
        if self.is_interactive {
            let lines = summary.iter().cloned().chain(gate.checks.iter().map(check));
            let lines: String = lines.map(|line| line + "\n").collect();
            self.put(&format!("{CLEAR_LINE}{lines}"));
        }
    }

    /// Clears the progress line.
    pub(super) fn clear(&self) {
        if self.is_interactive {
            self.put(CLEAR_LINE);
        }
    }

    fn put(&self, text: &str) {
        // Standard error may be closed; the report does not depend on it.
        let _ = stderr().lock().write_all(text.as_bytes());
    }
}

impl ProgressObserver for Terminal {
    fn show(&self, progress: &RunProgress) {
        if self.is_interactive {
            self.put(&format!("{CLEAR_LINE}{}", progress_line(progress)));
        }
    }
}

/// Progress as one line.
fn progress_line(progress: &RunProgress) -> String {
    let RunProgress { phase, elapsed, duration, done, failed } = *progress;
    let share = elapsed.as_secs_f64() / duration.max(Duration::from_millis(1)).as_secs_f64();
    let filled = ((share.min(1.0) * PROGRESS_CHARS as f64) as usize).min(PROGRESS_CHARS);
    let bar = format!("{}{}", "━".repeat(filled), "╌".repeat(PROGRESS_CHARS - filled));
    let failures = if failed == 0 { String::new() } else { format!(" · {failed} failed") };
    format!(
        "{bar} {phase} · {:.1} of {:.1} s · {done} done{failures}",
        elapsed.as_secs_f64(),
        duration.as_secs_f64()
    )
}

/// Summary of the gate mode.
pub(super) fn summarize_gate(GateResults { api, stream }: &GateResults) -> Vec<String> {
    let mut lines = vec![format!("requests: {}, {} failed", api.total, api.errors)];
    lines.extend(latencies(&api.latencies));
    lines.push(format!("streams: {}, {} failed", stream.total, stream.errors));
    lines.extend(latencies(&stream.latencies));
    lines
}

/// Summary of the write mode.
pub(super) fn summarize_write(WriteResults { write }: &WriteResults) -> Vec<String> {
    let (requests, per_second) = (&write.requests, write.per_second);
    let mut lines =
        vec![format!("commands: {}, {} failed, {per_second}/s accepted", requests.total, requests.errors)];
    lines.extend(latencies(&requests.latencies));
    lines
}

/// Summary of the fan-out mode.
pub(super) fn summarize_fanout(FanoutResults { write, fanout }: &FanoutResults) -> Vec<String> {
    let requests = &write.requests;
    let mut lines = vec![
        format!("says: {}, {} failed", requests.total, requests.errors),
        format!("deliveries: {}, {}/s, to {} streams", fanout.delivered, fanout.per_second, fanout.ready),
    ];
    lines.extend(latencies(&fanout.latencies));
    lines
}

fn latencies(summary: &LatencySummary) -> Vec<String> {
    let (Some(p50), Some(p90), Some(p99), Some(max)) =
        (summary.p50_ms, summary.p90_ms, summary.p99_ms, summary.max_ms)
    else {
        return Vec::new();
    };
    let mut lines = vec![format!("  p50 {p50} ms · p90 {p90} ms · p99 {p99} ms · max {max} ms")];
    let max = summary.histogram.iter().map(|bucket| bucket.count).max().unwrap_or(1);
    for bucket in &summary.histogram {
        // A bucket that is not empty gets at least one character.
        let bar =
            "▇".repeat(usize::try_from((bucket.count * HISTOGRAM_CHARS).div_ceil(max)).unwrap_or_default());
        lines.push(format!("  ≤ {:>6} ms {bar} {}", bucket.up_to_ms, bucket.count));
    }
    lines
}

fn check(check: &GateCheck) -> String {
    let actual = check.actual.map_or_else(|| "unknown".to_owned(), |actual| actual.to_string());
    let verdict = if check.pass { "ok  " } else { "FAIL" };
    format!("{verdict} {}: {actual} (expected {})", check.name, check.expected)
}
