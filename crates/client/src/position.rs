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

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: u64) -> SseFrame<'static> {
        SseFrame { id: Some(sequence), event: b"agent_entered", data: b"{}" }
    }

    fn control(event: &'static str, data: &'static str) -> SseFrame<'static> {
        SseFrame { id: None, event: event.as_bytes(), data: data.as_bytes() }
    }

    fn ready(head: u64) -> SseFrame<'static> {
        control("ready", format!(r#"{{"cursor":{head},"head":{head}}}"#).leak())
    }

    fn starting(after: Option<u64>) -> Position {
        let start = after.map_or(Start::Latest, |after| Start::After(Sequence(after)));
        Position::new(start, Sequence::START)
    }

    fn connected(after: u64, head: u64) -> Result<Option<StreamUpdate>, RequestError> {
        Ok(Some(StreamUpdate::Connected { after: Sequence(after), head: Sequence(head) }))
    }

    #[test]
    fn position_takes_each_event_once() {
        let heartbeat = control("heartbeat", r#"{"cursor":30,"ts":0}"#);
        let gap = control("gap", r#"{"fromCursor":20,"toCursor":40}"#);
        let error = control("error", r#"{"code":"ERR_UNAVAILABLE","cursor":9}"#);
        let received =
            StreamUpdate::Events(vec![ReceivedEvent { sequence: Sequence(11), json: "{}".into() }]);
        let ended = RequestError::Unavailable("the server ended the stream: ERR_UNAVAILABLE".to_owned());
        let ten = Some(10);
        let cases = [
            (None, ready(7), connected(7, 7), Some(7)),
            (ten, ready(25), connected(10, 25), ten),
            (ten, ready(7), connected(10, 7), ten),
            (ten, event(10), Ok(None), ten),
            (ten, event(11), Ok(Some(received)), Some(11)),
            (ten, heartbeat, Ok(Some(StreamUpdate::ScannedTo(Sequence(30)))), Some(30)),
            (Some(31), heartbeat, Ok(None), Some(31)),
            (None, heartbeat, Ok(None), None),
            (ten, gap, Ok(Some(StreamUpdate::Gap { from: Sequence(20), to: Sequence(40) })), Some(40)),
            (ten, error, Err(ended), ten),
            (ten, control("not known yet", "?"), Ok(None), ten),
        ];
        for (after, frame, want, want_after) in cases {
            let mut position = starting(after);
            assert_eq!(position.apply(&frame, Instant::now()), want, "{after:?} {frame:?}");
            assert_eq!(position.after(), want_after.map(Sequence), "{after:?} {frame:?}");
        }
    }

    /// A log that stays shorter is another one; a node that lags for a moment is not.
    #[test]
    fn position_notices_a_log_that_stays_shorter() {
        let begin = Instant::now();
        let lags = |update: Result<_, _>| matches!(update, Err(RequestError::Unavailable(_)));
        let mut position = starting(Some(0));
        assert_eq!(position.apply(&ready(50), begin), connected(0, 50));
        position.apply(&event(60), begin).unwrap();
        assert!(lags(position.apply(&ready(59), begin)) && lags(position.apply(&ready(50), begin)));
        assert_eq!(position.apply(&ready(60), begin), connected(60, 60));
        let at = |ms| begin + Duration::from_millis(ms);
        assert!([0, 100, 300, 4_999].into_iter().all(|ms| lags(position.apply(&ready(5), at(ms)))));
        let replaced = StreamUpdate::LogReplaced { head: Sequence(5) };
        assert_eq!(position.apply(&ready(5), at(5_000)), Ok(Some(replaced)));
        let mut known = Position::new(Start::After(Sequence(9)), Sequence(9));
        assert!(lags(known.apply(&ready(8), begin)), "known from before");
    }
}
