//! In words what the numbers of a run mean.

use crate::report::Generator;
use crate::tally::Failures;

/// Share of its threads' time from which on the generator may be what limits the figures.
const BUSY: f64 = 0.9;
/// What streams are called.
pub(crate) const STREAMS: &str = "streams";

/// What a person should know about a run: as sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(Vec<String>);

impl Notes {
    /// All of them, as sentences.
    #[must_use]
    pub fn into_sentences(self) -> Vec<String> {
        self.0
    }

    /// Adds one.
    pub fn add(&mut self, note: String) {
        self.0.push(note);
    }

    /// Says why `what` (requests, streams) failed, where that is not the server's slowness.
    pub fn explain(&mut self, what: &str, failures: &Failures, has_key: bool) {
        if failures.rate_limited > 0 {
            let limit = failures.rate_limit.map_or_else(String::new, |limit| format!(" of {limit} a minute"));
            self.add(format!(
                "{} {what} were refused by the server's rate limit{limit}, so this measures the limit and not the server: \
                 raise API_RATE_LIMIT_PER_MIN on the server (0: no limit) while it is tested",
                failures.rate_limited
            ));
        }
        if failures.moderated > 0 {
            self.add(format!(
                "{} {what} were refused by moderation: use more actors (--actors) or fewer commands (--rate), or set \
                 MOD_MIN_ACTION_INTERVAL_MS and MOD_MAX_ACTIONS_PER_WINDOW on the server to 0 while it is tested",
                failures.moderated
            ));
        }
        if failures.unauthorized > 0 {
            let hint =
                if has_key { "the key in LOAD_API_KEY is not the server's" } else { "set LOAD_API_KEY" };
            self.add(format!(
                "{} {what} were refused for want of the server's API key: {hint}",
                failures.unauthorized
            ));
        }
        if failures.transport > 0 {
            self.add(format!("{} {what} found no server, or lost it", failures.transport));
        }
        if failures.timeouts > 0 {
            self.add(format!("{} {what} were not answered in time", failures.timeouts));
        }
        if let Some(count) = failures.statuses.get(&503) {
            let reason = match what {
                STREAMS => "the server has as many as it may have (API_STREAM_MAX_CLIENTS), or is not ready",
                _ => "the server is not ready, or has more to do than it can; its log says what",
            };
            self.add(format!("{count} {what} were answered with 503: {reason}"));
        }
    }

    /// Says so if the generator may be what limits the figures.
    pub fn explain_effort(&mut self, generator: Generator) {
        if generator.busy >= BUSY {
            self.add(format!(
                "this load generator itself was busy {:.0} % of the time, so the figures may be its own limit: give it \
                 more threads (--threads) or a machine of its own",
                generator.busy * 100.0
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_limit_is_told_from_the_server() {
        let failures = Failures { rate_limited: 7, rate_limit: Some(120), ..Failures::default() };
        let mut notes = Notes::default();
        notes.explain("requests", &failures, false);
        let [note] = notes.into_sentences().try_into().unwrap();
        for part in ["7 requests", "rate limit of 120 a minute", "not the server", "API_RATE_LIMIT_PER_MIN"] {
            assert!(note.contains(part), "{note}");
        }
    }

    #[test]
    fn a_busy_generator_says_so() {
        for (busy, count) in [(0.5, 0), (0.97, 1)] {
            let mut notes = Notes::default();
            notes.explain_effort(Generator { threads: 1, cpu_ms: 1, busy });
            assert_eq!(notes.into_sentences().len(), count, "{busy}");
        }
    }
}
