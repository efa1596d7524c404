//! How far the log has been followed: nothing is missed and nothing comes twice, however often connections break.

use agentcafe_domain::ids::Sequence;
use serde_json::Value;

use super::{event::Event, frame::Frame};

/// The place in the log behind which the next connection starts.
#[derive(Debug)]
pub(super) struct Progress {
    after: Option<Sequence>,
    /// The longest that the log is known to have been.
    head: Sequence,
}

/// What a frame means.
#[derive(Debug)]
pub(super) enum Meaning {
    /// Something happened that was not seen before.
    Happened(Box<Event>),
    /// The connection stands and continues what was seen.
    Continues,
    /// The connection stands and starts behind this sequence, as nothing was seen before.
    StartsAt(Sequence),
    /// The log has become shorter: it is not the one that was followed.
    OtherLog,
    /// The server left events out, or an event cannot be read: this is to be told.
    Missing(String),
    /// The server gives the connection up, for this reason.
    GivesUp(String),
    /// Nothing new, but the connection is alive.
    Alive,
}

impl Progress {
    /// Starts behind a sequence; without one, at the newest event.
    pub(super) fn starting(after: Option<Sequence>) -> Self {
        Self { after, head: Sequence::START }
    }

    /// Where to start; none: at the newest event.
    pub(super) fn after(&self) -> Option<Sequence> {
        self.after
    }

    /// Forgets all that was seen, to start at the newest event of another log.
    pub(super) fn start_over(&mut self) {
        *self = Self::starting(None);
    }

    /// Takes the next frame of a connection.
    pub(super) fn take(&mut self, frame: &Frame) -> Meaning {
        if let Some(id) = frame.id {
            return self.happened(Sequence(id), &frame.data);
        }
        let data: Value = serde_json::from_str(&frame.data).unwrap_or_default();
        let sequence = |name: &str| data[name].as_u64().map(Sequence);
        match frame.event.as_str() {
            "ready" => self.ready(sequence("cursor"), sequence("head")),
            "heartbeat" => {
                // Before `ready` said where we are, a heartbeat cannot move us on.
                self.after = self.after.map(|after| after.max(sequence("cursor").unwrap_or(after)));
                Meaning::Alive
            }
            "gap" => self.gap(sequence("fromCursor"), sequence("toCursor")),
            "error" => Meaning::GivesUp(data["code"].as_str().unwrap_or("an error").to_owned()),
            _ => Meaning::Alive,
        }
    }

    fn ready(&mut self, cursor: Option<Sequence>, head: Option<Sequence>) -> Meaning {
        let head = head.unwrap_or(self.head);
        if head < self.head {
            return Meaning::OtherLog;
        }
        self.head = head;
        match self.after {
            Some(_) => Meaning::Continues,
            None => {
                let start = cursor.unwrap_or(head);
                self.after = Some(start);
                Meaning::StartsAt(start)
            }
        }
    }

    fn happened(&mut self, sequence: Sequence, data: &str) -> Meaning {
        if self.after.is_some_and(|after| sequence <= after) {
            return Meaning::Alive;
        }
        self.after = Some(sequence);
        self.head = self.head.max(sequence);
        match serde_json::from_str(data) {
            Ok(event) => Meaning::Happened(Box::new(event)),
            Err(_) => Meaning::Missing(format!("event {sequence} cannot be read")),
        }
    }

    fn gap(&mut self, from: Option<Sequence>, to: Option<Sequence>) -> Meaning {
        let (Some(from), Some(to)) = (from, to) else { return Meaning::Alive };
        self.after = self.after.max(Some(to));
        Meaning::Missing(format!("the server left out what happened between {from} and {to}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: u64) -> Frame {
        let data = serde_json::json!({
            "sequence": sequence, "tenantId": "default", "roomId": "main", "actorId": "Nova",
            "type": "agent_entered", "timestamp": "2026-01-02T03:04:05.678Z", "payload": {},
        });
        Frame { id: Some(sequence), event: "agent_entered".to_owned(), data: data.to_string() }
    }

    fn control(event: &str, data: &str) -> Frame {
        Frame { id: None, event: event.to_owned(), data: data.to_owned() }
    }

    fn told(meaning: &Meaning) -> String {
        match meaning {
            Meaning::Happened(event) => format!("{} {}", event.actor_id, event.kind),
            Meaning::Missing(what) => what.clone(),
            other => format!("{other:?}"),
        }
    }

    /// DESIGN 2: a follower that comes back with its cursor sees every event once.
    #[test]
    fn a_frame_is_taken_once_and_moves_the_cursor_on() {
        let ready = |head: u64| control("ready", &format!(r#"{{"cursor":{head},"head":{head}}}"#));
        let heartbeat = control("heartbeat", r#"{"cursor":30,"ts":0}"#);
        let unreadable = Frame { data: "{".to_owned(), ..event(12) };
        let gap = control("gap", r#"{"fromCursor":20,"toCursor":40}"#);
        let error = control("error", r#"{"code":"ERR_UNAVAILABLE","cursor":9}"#);
        let ten = Some(10);
        let cases = [
            (None, ready(7), "StartsAt(Sequence(7))", Some(7)),
            (ten, ready(25), "Continues", ten),
            (ten, ready(7), "Continues", ten),
            (ten, event(10), "Alive", ten),
            (ten, event(11), "Nova agent_entered", Some(11)),
            (ten, unreadable, "event 12 cannot be read", Some(12)),
            (ten, heartbeat.clone(), "Alive", Some(30)),
            (Some(31), heartbeat.clone(), "Alive", Some(31)),
            (None, heartbeat, "Alive", None),
            (ten, gap, "the server left out what happened between 20 and 40", Some(40)),
            (ten, error, "GivesUp(\"ERR_UNAVAILABLE\")", ten),
            (ten, control("tomorrow's", "?"), "Alive", ten),
        ];
        for (after, frame, want, want_after) in cases {
            let mut progress = Progress::starting(after.map(Sequence));
            assert_eq!(told(&progress.take(&frame)), want, "{after:?} {frame:?}");
            assert_eq!(progress.after(), want_after.map(Sequence), "{after:?} {frame:?}");
        }
    }

    #[test]
    fn a_log_that_became_shorter_is_another_log() {
        let mut progress = Progress::starting(None);
        progress.take(&control("ready", r#"{"cursor":5,"head":5}"#));
        progress.take(&event(6));
        assert!(matches!(progress.take(&control("ready", r#"{"cursor":6,"head":6}"#)), Meaning::Continues));
        assert!(matches!(progress.take(&control("ready", r#"{"cursor":6,"head":5}"#)), Meaning::OtherLog));
        progress.start_over();
        let restarted = progress.take(&control("ready", r#"{"cursor":2,"head":2}"#));
        assert!(matches!(restarted, Meaning::StartsAt(Sequence(2))));
    }
}
