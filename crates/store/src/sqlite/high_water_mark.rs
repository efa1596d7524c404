//! The high-water mark: a file beside the database that says how far the log had got. The database alone does not show that
//! its newest events are missing: after a cut write-ahead log, in an old copy, or when it was emptied.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use agentcafe_domain::kernel::Sequence;
use agentcafe_eventlog::{LogPosition, RecentEvents};
use serde_json::{Value, json};

use super::file_modes;

/// How often the mark is written while the log grows. A loss of events that are newer is not noticed.
const INTERVAL: Duration = Duration::from_secs(1);

/// The mark of the database in this file; none if there is none, or it cannot be read.
pub(super) fn read(database: &Path) -> Option<LogPosition> {
    let path = database.with_extension("mark");
    let mark = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice::<Value>(&bytes).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(_) => None,
    };
    let position = mark.and_then(|mark| {
        let (head, log_id) = (mark["head"].as_u64()?, mark["logId"].as_str()?);
        Some(LogPosition { head: Sequence(head), log_id: log_id.to_owned() })
    });
    if position.is_none() {
        tracing::warn!(?path, "the high-water mark cannot be read; it is written anew");
    }
    position
}

/// Writes the mark: the old one or the new one is there, whenever the machine fails.
pub(super) fn write(database: &Path, position: &LogPosition) {
    let path = database.with_extension("mark");
    let replace = || {
        let new = database.with_extension("mark.new");
        let mut file = file_modes::open_or_create(&new)?;
        file.set_len(0)?;
        let mark = json!({ "head": position.head, "logId": position.log_id });
        writeln!(file, "{mark}")?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    if let Err(error) = replace() {
        tracing::warn!(?path, %error, "the high-water mark was not written");
    }
}

/// Keeps the mark up to date, on a thread of its own: no commit waits for it.
pub(super) struct MarkWriter {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl MarkWriter {
    /// Writes the mark now, and then whenever the log has grown.
    pub(super) fn start(
        database: &Path,
        mut position: LogPosition,
        recent_events: Arc<RecentEvents>,
    ) -> io::Result<Self> {
        let database = database.to_owned();
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("mark".to_owned()).spawn(move || {
            write(&database, &position);
            loop {
                let is_stopped = stopped.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout);
                let head = recent_events.head();
                if head > position.head {
                    position.head = head;
                    write(&database, &position);
                }
                if is_stopped {
                    return;
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Writes the mark a last time.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread of the high-water mark ended with a panic");
        }
    }
}
