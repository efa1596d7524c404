//! The position of a stream in the log: which frames are new, and whether the log is still the same one.

use std::time::Duration;

use agentcafe_domain::kernel::Sequence;
use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use crate::api::RequestError;
use crate::sse::SseFrame;
use crate::stream::{ReceivedEvent, Start, StreamUpdate};

/// A log that is shorter than before counts as another log after this many connections in a row. A node with the same store may lag
/// behind the others for a moment.
const SHORTER_CONNECTIONS: u32 = 3;
/// And after this time.
const SHORTER_TIME: Duration = Duration::from_secs(5);

/// The position of a stream, over all its connections.
#[derive(Debug)]
pub(crate) struct Position {
    after: Option<Sequence>,
    /// The highest sequence that the log is known to have had.
    head: Sequence,
    /// How many connections in a row found the log shorter, and since when.
    shorter: Option<(u32, Instant)>,
}

impl Position {
    /// A stream that starts at `start`, in a log that had at least `known_head` events.
    pub(crate) fn new(start: Start, known_head: Sequence) -> Self {
        Self { after: start.after(), head: known_head, shorter: None }
    }

    /// The cursor of the next connection; none: the newest event.
    pub(crate) fn after(&self) -> Option<Sequence> {
        self.after
    }

    /// Takes the next frame of a connection. `None` if it holds nothing new.
    ///
    /// # Errors
    /// [`RequestError`] when the connection is to be given up.
    pub(crate) fn apply(
        &mut self,
        frame: &SseFrame<'_>,
        now: Instant,
    ) -> Result<Option<StreamUpdate>, RequestError> {
        if let Some(id) = frame.id {
            return Ok(self.event(Sequence(id), frame.data));
        }
        let data: Value = serde_json::from_slice(frame.data).unwrap_or_default();
        let sequence = |name: &str| data[name].as_u64().map(Sequence);
        match frame.event {
            b"ready" => self.ready(sequence("cursor"), sequence("head"), now).map(Some),
            b"heartbeat" => Ok(self.heartbeat(sequence("cursor"))),
            b"gap" => Ok(self.gap(sequence("fromCursor"), sequence("toCursor"))),
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
        now: Instant,
    ) -> Result<StreamUpdate, RequestError> {
        let head = head.unwrap_or(self.head);
        if head < self.head {
            let (count, since) = self.shorter.map_or((1, now), |(count, since)| (count + 1, since));
            self.shorter = Some((count, since));
            if count >= SHORTER_CONNECTIONS && now - since >= SHORTER_TIME {
                return Ok(StreamUpdate::LogReplaced { head });
            }
            let known = self.head;
            return Err(RequestError::Unavailable(format!("its log ends at {head}, before {known}")));
        }
        self.shorter = None;
        self.head = head;
        let after = *self.after.get_or_insert(cursor.unwrap_or(head));
        Ok(StreamUpdate::Connected { after, head })
    }

    /// A heartbeat before `ready` moves nothing: the start is not known yet.
    fn heartbeat(&mut self, cursor: Option<Sequence>) -> Option<StreamUpdate> {
        let cursor = cursor.filter(|cursor| self.after.is_some_and(|after| *cursor > after))?;
        self.after = Some(cursor);
        self.head = self.head.max(cursor);
        Some(StreamUpdate::ScannedTo(cursor))
    }

    fn event(&mut self, sequence: Sequence, json: &[u8]) -> Option<StreamUpdate> {
        if self.after.is_some_and(|after| sequence <= after) {
            return None;
        }
        self.after = Some(sequence);
        self.head = self.head.max(sequence);
        Some(StreamUpdate::Events(vec![ReceivedEvent { sequence, json: Bytes::copy_from_slice(json) }]))
    }

    fn gap(&mut self, from: Option<Sequence>, to: Option<Sequence>) -> Option<StreamUpdate> {
        let (from, to) = (from?, to?);
        self.after = self.after.max(Some(to));
        Some(StreamUpdate::Gap { from, to })
    }
}
