//! The stored cursor of a durable follower of the log, so that it resumes there after a restart.

use serde::{Deserialize, Serialize};

use crate::kernel::command::{Command, CommandContext, CommandError, Reply, Success};
use crate::kernel::ids::Sequence;
use crate::kernel::record::{Key, Portable, Query, record};
use crate::kernel::time::Timestamp;

/// The cursor of a follower.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FollowerCursor {
    /// The follower.
    pub name: String,
    /// It has processed every event up to here.
    pub cursor: Sequence,
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
    }
}

/// Stores a follower's cursor, which never goes back.
pub struct SaveCursor {
    /// The follower.
    pub name: &'static str,
    /// It has processed every event up to here.
    pub cursor: Sequence,
}

impl Command for SaveCursor {
    fn reads(&self) -> Vec<Query> {
        vec![Query::one::<FollowerCursor>(FollowerCursor::key_of(self.name))]
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let stored: Option<FollowerCursor> = ctx.get(FollowerCursor::key_of(self.name))?;
        if stored.is_none_or(|stored| stored.cursor < self.cursor) {
            let updated_at = ctx.now;
            ctx.put(&FollowerCursor { name: self.name.to_owned(), cursor: self.cursor, updated_at });
        }
        Ok(Reply::new(Success::Ok, &self.cursor))
    }
}
