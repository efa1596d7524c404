//! The time of a store, related to the time since a boot of the machine: a restart continues with it.

use serde::{Deserialize, Serialize};

use crate::kernel::command::{Command, CommandContext, CommandError, Reply, Success};
use crate::kernel::record::{Key, Query, record};

/// What the time of a store was while a boot of a machine lasted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClockAnchor {
    /// The boot.
    pub boot_id: String,
    /// The time of the store at the boot, in milliseconds since the epoch.
    pub offset_ms: i64,
}

impl ClockAnchor {
    /// The key of the anchor of a boot.
    pub fn key_of(boot_id: &str) -> Key {
        vec![boot_id.into()]
    }
}

record!(ClockAnchor in "clock_anchors": [boot_id]);

/// Stores an anchor.
pub struct NoteClockAnchor(pub ClockAnchor);

impl Command for NoteClockAnchor {
    fn reads(&self) -> Vec<Query> {
        Vec::new()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        ctx.put(&self.0);
        Ok(Reply::new(Success::Ok, &self.0))
    }
}
