//! How says are sent, and what is good enough: what the modes that write have in common.

use std::time::Duration;

use crate::control::Control;
use crate::play::{LatencyEnds, Manner};
use crate::run::Run;
use crate::script::Script;
use crate::stopwatch::Stopwatch;
use crate::target::Target;

/// How says are sent.
#[derive(Clone, Debug)]
pub struct Speech {
    /// The API.
    pub target: Target,
    /// On how many connections.
    pub connections: u64,
    /// How many a second, all together; as many as are answered if missing.
    pub rate: Option<f64>,
    /// For how long.
    pub duration: Duration,
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// The threads this process loads with.
    pub threads: usize,
}

/// What is good enough.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// The share of says that may fail.
    pub error_rate_max: f64,
    /// 99 % of says, or of their deliveries, in milliseconds, if that is asked.
    pub p99_ms: Option<f64>,
    /// Accepted says, or their deliveries, a second, if that is asked.
    pub per_second: Option<f64>,
}

impl Speech {
    /// Begins to speak, measured from the first say.
    pub(crate) fn begin<S: Script>(
        &self,
        scripts: Vec<S>,
        stopwatch: Stopwatch,
        collects_sequences: bool,
    ) -> Run {
        let mut control = Control::until_stopped();
        if let Some(rate) = self.rate {
            control = control.paced(rate, stopwatch);
        }
        control.measure();
        let manner = Manner {
            request_timeout: self.request_timeout,
            reconnects: true,
            latency_ends: LatencyEnds::WithBody,
            collects_sequences,
        };
        Run::start(&self.target, control, stopwatch, manner, scripts)
    }
}
