//! The stored cursor of a durable follower of the log, so that it resumes there after a restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::command::{Command, CommandContext, CommandError, Reply, Success};
use crate::kernel::ids::{Sequence, TenantId};
use crate::kernel::record::{Key, Portable, Query, record};
use crate::kernel::time::Timestamp;

/// The cursor of a follower.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FollowerCursor {
    /// The follower.
    pub name: String,
    /// It has processed every event up to here, but for the tenants in `lanes`.
    pub cursor: Sequence,
    /// The tenants that are behind, and up to where their events have been processed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lanes: BTreeMap<TenantId, Sequence>,
    /// When the cursor was stored.
    pub updated_at: Timestamp,
}

impl FollowerCursor {
    /// The key of a follower's cursor.
    pub fn key_of(name: &str) -> Key {
        vec![name.into()]
    }
}

record!(FollowerCursor in "follower_cursors": [name] updated_at);

impl Portable for FollowerCursor {
    fn adapt(&mut self, head: Sequence) {
        self.cursor = head;
        self.lanes.clear();
    }
}

/// Stores a follower's cursor, which never goes back.
pub struct SaveCursor {
    /// The follower.
    pub name: &'static str,
    /// It has processed every event up to here, but for the tenants in `lanes`.
    pub cursor: Sequence,
    /// The tenants that are behind, and up to where their events have been processed.
    pub lanes: BTreeMap<TenantId, Sequence>,
}

impl Command for SaveCursor {
    fn reads(&self) -> Vec<Query> {
        vec![Query::one::<FollowerCursor>(FollowerCursor::key_of(self.name))]
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let stored: Option<FollowerCursor> = ctx.get(FollowerCursor::key_of(self.name))?;
        if stored.is_none_or(|stored| stored.cursor <= self.cursor) {
            let (lanes, updated_at) = (self.lanes.clone(), ctx.now);
            ctx.put(&FollowerCursor { name: self.name.to_owned(), cursor: self.cursor, lanes, updated_at });
        }
        Ok(Reply::new(Success::Ok, &self.cursor))
    }
}
