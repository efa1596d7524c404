//! How the projector stands: what its health document tells.

use agentcafe_domain::kernel::{ids::Sequence, time::Timestamp};
use agentcafe_redis::ConnectionStatus;
use parking_lot::Mutex;
use serde::Serialize;

/// How the projector stands, as it is told from within.
#[derive(Debug, Default)]
pub struct Status(Mutex<State>);

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) cursor: Sequence,
    pub(crate) head: Sequence,
    pub(crate) rooms: u64,
    pub(crate) events: u64,
    pub(crate) unreadable: u64,
    pub(crate) rebuilds: u64,
    pub(crate) is_standby: bool,
    pub(crate) written_at: Option<Timestamp>,
    pub(crate) source_connected: bool,
    pub(crate) reconnects: u64,
    pub(crate) source_error: Option<String>,
}

/// The health document.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    ok: bool,
    service: &'static str,
    time: Timestamp,
    /// Up to where the log is projected, and that is stored.
    cursor: Sequence,
    /// The longest that the log is known to have been.
    head: Sequence,
    /// How many rooms have read models.
    rooms: u64,
    /// How many events were taken in since the start.
    events: u64,
    /// How many events could not be read since the start.
    unreadable_events: u64,
    /// How often everything was projected anew since the start.
    rebuilds: u64,
    /// Whether another projector is at work, and this one waits.
    standby: bool,
    written_at: Option<Timestamp>,
    redis: RedisReport,
    source: SourceReport,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RedisReport {
    enabled: bool,
    connected: bool,
    failures: u64,
    last_error: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SourceReport {
    url: String,
    connected: bool,
    reconnects: u64,
    last_error: Option<String>,
}

impl Status {
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock());
    }

    pub(crate) fn report(&self, redis: Option<ConnectionStatus>, source: &str, time: Timestamp) -> Report {
        let state = self.0.lock().clone();
        let enabled = redis.is_some();
        let ConnectionStatus { connected, failures, last_error } = redis.unwrap_or_default();
        let is_fed = state.source_connected || state.is_standby;
        Report {
            ok: is_fed && (connected || !enabled),
            service: "agentcafe-projector",
            time,
            cursor: state.cursor,
            head: state.head.max(state.cursor),
            rooms: state.rooms,
            events: state.events,
            unreadable_events: state.unreadable,
            rebuilds: state.rebuilds,
            standby: state.is_standby,
            written_at: state.written_at,
            redis: RedisReport { enabled, connected, failures, last_error },
            source: SourceReport {
                url: source.to_owned(),
                connected: state.source_connected,
                reconnects: state.reconnects,
                last_error: state.source_error,
            },
        }
    }
}

impl Report {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.ok
    }
}
