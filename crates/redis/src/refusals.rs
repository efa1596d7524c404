//! Error replies of Redis, such as a full memory or a missing permission. The connection that they come over is intact.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use redis::{ErrorKind, RedisError};
use tokio::time::Instant;

use crate::connection::RedisUse;

/// After an error reply, commands of the same use are not sent for this long.
const PAUSE: Duration = Duration::from_secs(1);

/// An error that Redis replied.
pub(crate) struct ErrorReply {
    /// Its first word, such as `OOM`, `NOPERM`, `MOVED` or `READONLY`.
    code: String,
    /// All of it.
    pub(crate) text: String,
}

/// The reply that an error is made of: the first one that is an error, or one of an unexpected type. None if there was no reply.
pub(crate) fn error_reply(error: &RedisError) -> Option<ErrorReply> {
    if error.kind() == ErrorKind::UnexpectedReturnType {
        return Some(ErrorReply { code: "type".to_owned(), text: error.to_string() });
    }
    let errors = error.clone().into_server_errors()?;
    let (_, first) = errors.first()?;
    let code = first.code().to_owned();
    let text = format!("{code} {}", first.details().unwrap_or_default()).trim_end().to_owned();
    Some(ErrorReply { code, text })
}

/// The uses whose last reply was an error.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<RedisUse, Refusal>>);

struct Refusal {
    reply: ErrorReply,
    paused_until: Instant,
}

impl Refusals {
    /// The last error reply to this use, if nothing is sent yet after it.
    pub(crate) fn paused(&self, used: RedisUse) -> Option<String> {
        let refusals = self.0.lock();
        let refusal = refusals.get(&used).filter(|refusal| refusal.paused_until > Instant::now())?;
        Some(refusal.reply.text.clone())
    }

    /// Adds an error reply, and logs it if its code differs from that of the last reply to this use.
    pub(crate) fn add(&self, used: RedisUse, reply: ErrorReply) {
        let mut refusals = self.0.lock();
        if refusals.get(&used).is_none_or(|last| last.reply.code != reply.code) {
            tracing::warn!(?used, error = reply.text, "Redis replies with an error");
        }
        refusals.insert(used, Refusal { reply, paused_until: Instant::now() + PAUSE });
    }

    /// The last reply to this use is no error.
    pub(crate) fn remove(&self, used: RedisUse) {
        if self.0.lock().remove(&used).is_some() {
            tracing::info!(?used, "Redis replies without errors again");
        }
    }

    /// Whether the server refuses writes because it is a replica.
    pub(crate) fn is_replica(&self) -> bool {
        self.0.lock().values().any(|refusal| refusal.reply.code == "READONLY")
    }

    /// The error of each use whose last reply was one.
    pub(crate) fn current(&self) -> BTreeMap<RedisUse, String> {
        self.0.lock().iter().map(|(used, refusal)| (*used, refusal.reply.text.clone())).collect()
    }
}
