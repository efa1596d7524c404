//! The connections of a run, from the first request to the last answer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::task::JoinSet;

use crate::control::Control;
use crate::play::{Manner, play};
use crate::progress::{Onlooker, Progress};
use crate::script::Script;
use crate::stopwatch::Stopwatch;
use crate::tally::Tally;
use crate::target::Target;

/// How often somebody who watches is shown something new.
const SHOW_INTERVAL: Duration = Duration::from_millis(250);
/// How long the last answers may take beyond the deadline that each of them has.
const GRACE: Duration = Duration::from_secs(5);

/// The connections of a run, one script each.
pub struct Run {
    control: Arc<Control>,
    connections: JoinSet<Tally>,
}

impl Run {
    /// Opens the connections and begins.
    #[must_use]
    pub fn start<S: Script>(
        target: &Target,
        control: Control,
        stopwatch: Stopwatch,
        manner: Manner,
        scripts: Vec<S>,
    ) -> Self {
        let control = Arc::new(control);
        let target = Arc::new(target.clone());
        let mut connections = JoinSet::new();
        for script in scripts {
            let (control, target) = (Arc::clone(&control), Arc::clone(&target));
            connections.spawn(async move { play(&target, &control, stopwatch, manner, script).await });
        }
        Self { control, connections }
    }

    /// The run's switch.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Lets it go on for so long, and shows how it comes on.
    pub async fn watch(&self, phase: &'static str, duration: Duration, onlooker: &dyn Onlooker) {
        let stopwatch = Stopwatch::start();
        loop {
            let elapsed = stopwatch.elapsed();
            let (done, failed) = self.control.counts();
            onlooker.show(&Progress { phase, elapsed, duration, done, failed });
            let Some(left) = duration.checked_sub(elapsed).filter(|left| !left.is_zero()) else {
                return;
            };
            tokio::time::sleep(left.min(SHOW_INTERVAL)).await;
        }
    }

    /// Sends no more, waits for the last answers, which have so long, and adds up what came of all.
    ///
    /// # Errors
    /// When an answer is awaited for much longer than it may.
    pub async fn drain(self, request_timeout: Duration) -> Result<Tally> {
        self.control.finish();
        self.join(request_timeout + GRACE).await
    }

    /// Waits until all connections have ended, and adds up what came of them.
    ///
    /// # Errors
    /// When they have not ended by the deadline.
    pub async fn join(self, deadline: Duration) -> Result<Tally> {
        let Ok(tallies) = tokio::time::timeout(deadline, self.connections.join_all()).await else {
            bail!("the server left requests unanswered for {deadline:?}");
        };
        let mut total = Tally::default();
        tallies.into_iter().for_each(|tally| total.merge(tally));
        Ok(total)
    }
}
