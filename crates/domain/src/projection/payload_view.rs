//! Reads payloads of unknown shape: old and imported events have gaps.

use serde_json::{Map, Value};

use crate::kernel::{ActorId, Event, Timestamp};
use crate::presence::Status;
use crate::presence::position::{Direction, PathSegment, Point, SentPosition};

/// An event's payload, or an object within it. Whatever is missing, or not what it should be, reads as `None`.
#[derive(Clone, Copy)]
pub(super) struct PayloadView<'e>(&'e Map<String, Value>);

impl<'e> PayloadView<'e> {
    /// The payload of the event.
    pub(super) fn by(event: &'e Event) -> Self {
        Self(&event.payload)
    }

    /// The object under `key`.
    pub(super) fn part(self, key: &str) -> Option<Self> {
        self.0.get(key)?.as_object().map(Self)
    }

    /// The object under `key`, as it is.
    pub(super) fn object(self, key: &str) -> Option<Map<String, Value>> {
        self.part(key).map(|part| part.0.clone())
    }

    /// A text that is not blank, as it is.
    pub(super) fn text(self, key: &str) -> Option<String> {
        let text = self.0.get(key)?.as_str()?;
        (!text.trim().is_empty()).then(|| text.to_owned())
    }

    /// A number, to the nearest whole one; halves up.
    pub(super) fn integer(self, key: &str) -> Option<i64> {
        let number = self.0.get(key)?;
        number.as_i64().or_else(|| number.as_f64().map(|number| (number + 0.5).floor() as i64))
    }

    /// A date-time, RFC 3339.
    pub(super) fn timestamp(self, key: &str) -> Option<Timestamp> {
        Timestamp::parse(self.0.get(key)?.as_str()?)
    }

    /// An actor.
    pub(super) fn actor(self, key: &str) -> Option<ActorId> {
        ActorId::parse(self.0.get(key)?.as_str()?).ok()
    }

    /// The texts in the list under `key`; other members are passed over.
    pub(super) fn texts(self, key: &str) -> Vec<String> {
        let members = self.0.get(key).and_then(Value::as_array);
        members.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The actors in the list under `key`; other members are passed over.
    pub(super) fn actors(self, key: &str) -> Vec<ActorId> {
        self.texts(key).iter().filter_map(|text| ActorId::parse(text).ok()).collect()
    }

    /// A status, to the letter.
    pub(super) fn status(self, key: &str) -> Option<Status> {
        let wanted = self.0.get(key)?.as_str()?;
        Status::NAMES.iter().find(|(name, _)| *name == wanted).map(|(_, status)| *status)
    }

    /// The place on the grid that is nearest to `{x, y}` under `key`.
    pub(super) fn place(self, key: &str) -> Option<Point> {
        let part = self.part(key)?.0;
        let coordinate = |key: &str| part.get(key)?.as_f64();
        Some(Point::nearest(SentPosition { x: coordinate("x")?, y: coordinate("y")? }))
    }

    /// How many steps were taken; at least one.
    pub(super) fn steps(self) -> i64 {
        self.integer("steps").unwrap_or(1).max(1)
    }

    /// Which way, and how far.
    pub(super) fn leg(self) -> Option<PathSegment> {
        let wanted = self.0.get("direction")?.as_str()?;
        let (_, direction) = *Direction::NAMES.iter().find(|(name, _)| *name == wanted)?;
        Some(PathSegment { direction, steps: self.steps() })
    }

    /// Sets `known` to the member under `key`: null and blank empty it, an invalid one keeps it.
    pub(super) fn change<T>(self, known: &mut Option<T>, key: &str, read: fn(Self, &str) -> Option<T>) {
        let emptied = match self.0.get(key) {
            None => return,
            Some(Value::Null) => true,
            Some(Value::String(text)) => text.trim().is_empty(),
            Some(_) => false,
        };
        if emptied {
            *known = None;
        } else if let Some(payload) = read(self, key) {
            *known = Some(payload);
        }
    }
}
