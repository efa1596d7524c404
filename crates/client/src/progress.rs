//! How far the log has been followed: nothing is missed and nothing comes twice, however often connections break.

use std::time::Duration;

use agentcafe_domain::kernel::ids::Sequence;
use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    frame::Frame,
    stream::{Arrived, Start},
};

/// So many connections in a row, over so long a time, must find the log shorter than it was before it counts as another one:
/// a node of the same café may be behind others for a moment.
const DOUBTS: u32 = 3;
/// That time.
const DOUBT_TIME: Duration = Duration::from_secs(5);

/// The place in the log behind which the next connection starts.
#[derive(Debug)]
pub(crate) struct Progress {
    after: Option<Sequence>,
    /// The longest that the log is known to have been.
    head: Sequence,
    /// How many connections in a row found it shorter, and since when.
    doubts: Option<(u32, Instant)>,
}

/// What a frame means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meaning {
    /// Something happened that was not seen before.
    Happened(Arrived),
    /// The connection stands, behind this sequence, on a log that is so long.
    Stands {
        /// Where it goes on.
        after: Sequence,
        /// How long the log is.
        head: Sequence,
    },
    /// The log is shorter than it was; this may be a node that is behind.
    Behind {
        /// How long it is here.
        head: Sequence,
    },
    /// The log has become shorter: it is not the one that was followed.
    OtherLog {
        /// How long it is.
        head: Sequence,
    },
    /// The server left out what happened behind the first, up to the second.
    Gap(Sequence, Sequence),
    /// The server gives the connection up, for this reason.
    GivesUp(String),
    /// Nothing new up to here.
    ScannedTo(Sequence),
    /// Nothing new, but the connection is alive.
    Alive,
}

impl Progress {
    /// Starts at a place in a log that was at least so long when it was last seen.
    pub(crate) fn starting(start: Start, known_head: Sequence) -> Self {
        Self { after: start.after(), head: known_head, doubts: None }
    }

    /// Where to start; none: at the newest event.
    pub(crate) fn after(&self) -> Option<Sequence> {
        self.after
    }

    /// Takes the next frame of a connection.
    pub(crate) fn take(&mut self, frame: Frame, now: Instant) -> Meaning {
        if let Some(id) = frame.id {
            return self.happened(Sequence(id), frame.data);
        }
        let data: Value = serde_json::from_str(&frame.data).unwrap_or_default();
        let sequence = |name: &str| data[name].as_u64().map(Sequence);
        match frame.event.as_str() {
            "ready" => self.ready(sequence("cursor"), sequence("head"), now),
            "heartbeat" => self.examined(sequence("cursor")),
            "gap" => self.gap(sequence("fromCursor"), sequence("toCursor")),
            "error" => Meaning::GivesUp(data["code"].as_str().unwrap_or("an error").to_owned()),
            _ => Meaning::Alive,
        }
    }

    fn ready(&mut self, cursor: Option<Sequence>, head: Option<Sequence>, now: Instant) -> Meaning {
        let head = head.unwrap_or(self.head);
        if head < self.head {
            let (count, since) = self.doubts.map_or((1, now), |(count, since)| (count + 1, since));
            self.doubts = Some((count, since));
            let is_other = count >= DOUBTS && now - since >= DOUBT_TIME;
            return if is_other { Meaning::OtherLog { head } } else { Meaning::Behind { head } };
        }
        self.doubts = None;
        self.head = head;
        let after = *self.after.get_or_insert(cursor.unwrap_or(head));
        Meaning::Stands { after, head }
    }

    /// Before `ready` said where we are, a heartbeat cannot move us on.
    fn examined(&mut self, cursor: Option<Sequence>) -> Meaning {
        let (Some(after), Some(cursor)) = (self.after, cursor) else { return Meaning::Alive };
        if cursor <= after {
            return Meaning::Alive;
        }
        self.after = Some(cursor);
        self.head = self.head.max(cursor);
        Meaning::ScannedTo(cursor)
    }

    fn happened(&mut self, sequence: Sequence, data: String) -> Meaning {
        if self.after.is_some_and(|after| sequence <= after) {
            return Meaning::Alive;
        }
        self.after = Some(sequence);
        self.head = self.head.max(sequence);
        Meaning::Happened(Arrived { sequence, json: Bytes::from(data) })
    }

    fn gap(&mut self, from: Option<Sequence>, to: Option<Sequence>) -> Meaning {
        let (Some(from), Some(to)) = (from, to) else { return Meaning::Alive };
        self.after = self.after.max(Some(to));
        Meaning::Gap(from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: u64) -> Frame {
        Frame { id: Some(sequence), event: "agent_entered".to_owned(), data: "{}".to_owned() }
    }

    fn control(event: &str, data: &str) -> Frame {
        Frame { id: None, event: event.to_owned(), data: data.to_owned() }
    }

    fn ready(head: u64) -> Frame {
        control("ready", &format!(r#"{{"cursor":{head},"head":{head}}}"#))
    }

    fn starting(after: Option<u64>) -> Progress {
        let start = after.map_or(Start::Latest, |after| Start::After(Sequence(after)));
        Progress::starting(start, Sequence::START)
    }

    fn stands(after: u64, head: u64) -> Meaning {
        Meaning::Stands { after: Sequence(after), head: Sequence(head) }
    }

    /// DESIGN 2: a follower that comes back with its cursor sees every event once.
    #[test]
    fn a_frame_is_taken_once_and_moves_the_cursor_on() {
        let heartbeat = control("heartbeat", r#"{"cursor":30,"ts":0}"#);
        let gap = control("gap", r#"{"fromCursor":20,"toCursor":40}"#);
        let error = control("error", r#"{"code":"ERR_UNAVAILABLE","cursor":9}"#);
        let happened =
            |sequence| Meaning::Happened(Arrived { sequence: Sequence(sequence), json: Bytes::from("{}") });
        let ten = Some(10);
        let cases = [
            (None, ready(7), stands(7, 7), Some(7)),
            (ten, ready(25), stands(10, 25), ten),
            (ten, ready(7), stands(10, 7), ten),
            (ten, event(10), Meaning::Alive, ten),
            (ten, event(11), happened(11), Some(11)),
            (ten, heartbeat.clone(), Meaning::ScannedTo(Sequence(30)), Some(30)),
            (Some(31), heartbeat.clone(), Meaning::Alive, Some(31)),
            (None, heartbeat, Meaning::Alive, None),
            (ten, gap, Meaning::Gap(Sequence(20), Sequence(40)), Some(40)),
            (ten, error, Meaning::GivesUp("ERR_UNAVAILABLE".to_owned()), ten),
            (ten, control("tomorrow's", "?"), Meaning::Alive, ten),
        ];
        for (after, frame, want, want_after) in cases {
            let mut progress = starting(after);
            assert_eq!(progress.take(frame.clone(), Instant::now()), want, "{after:?} {frame:?}");
            assert_eq!(progress.after(), want_after.map(Sequence), "{after:?} {frame:?}");
        }
    }

    /// RULINGS M6: a log that became shorter is another one; but a node that is behind for a moment is not.
    #[test]
    fn a_log_that_stays_shorter_is_another_one() {
        let begin = Instant::now();
        let mut progress = starting(Some(0));
        assert_eq!(progress.take(ready(50), begin), stands(0, 50));
        progress.take(event(60), begin);
        for shorter in [59, 50, 60] {
            let behind = Meaning::Behind { head: Sequence(shorter) };
            let want = if shorter < 60 { behind } else { stands(60, 60) };
            assert_eq!(progress.take(ready(shorter), begin), want);
        }
        let at = |ms| begin + Duration::from_millis(ms);
        let meanings = [0, 100, 300, 4_999, 5_000].map(|ms| progress.take(ready(5), at(ms)));
        let (behind, other) =
            (Meaning::Behind { head: Sequence(5) }, Meaning::OtherLog { head: Sequence(5) });
        assert_eq!(meanings, [behind.clone(), behind.clone(), behind.clone(), behind, other]);
        let mut known = Progress::starting(Start::After(Sequence(9)), Sequence(9));
        assert_eq!(known.take(ready(8), begin), Meaning::Behind { head: Sequence(8) }, "known from before");
    }
}
