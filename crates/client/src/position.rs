//! The position of a stream in the log: which frames are new, and whether the log is still the same one.

use agentcafe_domain::kernel::Sequence;
use bytes::Bytes;
use serde_json::Value;

use crate::api::RequestError;
use crate::sse::SseFrame;
use crate::stream::{ReceivedEvent, Start, StreamUpdate};

/// The position of a stream, over all its connections.
#[derive(Debug)]
pub(crate) struct Position {
    after: Option<Sequence>,
    /// The log that `after` is a cursor of, as far as it is known.
    log_id: Option<String>,
}

impl Position {
    /// A stream that starts at `start`, in the log with this id, if it is known.
    pub(crate) fn new(start: Start, log_id: Option<String>) -> Self {
        Self { after: start.after(), log_id }
    }

    /// The cursor of the next connection; none: the newest event.
    pub(crate) fn after(&self) -> Option<Sequence> {
        self.after
    }

    /// The log that this is a position in, if it is known.
    pub(crate) fn log_id(&self) -> Option<&String> {
        self.log_id.as_ref()
    }

    /// Takes the next frame of a connection. `None` if it holds nothing new.
    ///
    /// # Errors
    /// [`RequestError`] when the connection is to be given up.
    pub(crate) fn apply(&mut self, frame: &SseFrame<'_>) -> Result<Option<StreamUpdate>, RequestError> {
        if let Some(id) = frame.id {
            return Ok(self.event(Sequence(id), frame.data));
        }
        let data: Value = serde_json::from_slice(frame.data).unwrap_or_default();
        let sequence = |name: &str| data[name].as_u64().map(Sequence);
        let log_id = || data["logId"].as_str().map(str::to_owned);
        match frame.event {
            b"ready" => Ok(Some(self.ready(sequence("cursor"), sequence("head"), log_id()))),
            b"reset" => Ok(Some(StreamUpdate::LogReplaced {
                head: sequence("head").unwrap_or_default(),
                log_id: log_id(),
            })),
            b"heartbeat" => Ok(self.heartbeat(sequence("cursor"))),
            b"gap" => {
                let is_damaged = data["damaged"] == true;
                Ok(self.gap(sequence("fromCursor"), sequence("toCursor"), is_damaged))
            }
            b"error" => {
                let code = data["code"].as_str().unwrap_or("no code");
                Err(RequestError::Unavailable(format!("the server ended the stream: {code}")))
            }
            _ => Ok(None),
        }
    }

    fn ready(
        &mut self,
        cursor: Option<Sequence>,
        head: Option<Sequence>,
        log_id: Option<String>,
    ) -> StreamUpdate {
        let head = head.unwrap_or_default();
        self.log_id.clone_from(&log_id);
        let after = *self.after.get_or_insert(cursor.unwrap_or(head));
        StreamUpdate::Connected { after, head, log_id }
    }

    /// A heartbeat before `ready` moves nothing: the start is not known yet.
    fn heartbeat(&mut self, cursor: Option<Sequence>) -> Option<StreamUpdate> {
        let cursor = cursor.filter(|cursor| self.after.is_some_and(|after| *cursor > after))?;
        self.after = Some(cursor);
        Some(StreamUpdate::ScannedTo(cursor))
    }

    fn event(&mut self, sequence: Sequence, json: &[u8]) -> Option<StreamUpdate> {
        if self.after.is_some_and(|after| sequence <= after) {
            return None;
        }
        self.after = Some(sequence);
        Some(StreamUpdate::Events(vec![ReceivedEvent { sequence, json: Bytes::copy_from_slice(json) }]))
    }

    fn gap(
        &mut self,
        from: Option<Sequence>,
        to: Option<Sequence>,
        is_damaged: bool,
    ) -> Option<StreamUpdate> {
        let (from, to) = (from?, to?);
        self.after = self.after.max(Some(to));
        Some(StreamUpdate::Gap { from, to, is_damaged })
    }
}
