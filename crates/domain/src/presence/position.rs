//! The positions of actors: one model for moves, intents and the projection. The room is a grid; x grows east, y grows south.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::{ActorId, Cell, Key, Record, RoomId, Table, TenantId};

/// The largest x of the grid; the smallest is 0.
pub const MAX_X: i64 = 19;
/// The largest y of the grid; the smallest is 0.
pub const MAX_Y: i64 = 11;
/// Where an actor stands that never said where it is.
pub const SPAWN: Point = Point { x: 10, y: 6 };
/// The most steps of one move.
pub const MAX_STEPS: i64 = 50;

/// The tables that one can sit at.
pub const TABLES: [(&str, Point); 8] = [
    ("table_1", Point { x: 2, y: 2 }),
    ("table_2", Point { x: 6, y: 2 }),
    ("table_3", Point { x: 10, y: 2 }),
    ("table_4", Point { x: 14, y: 2 }),
    ("table_5", Point { x: 2, y: 6 }),
    ("table_6", Point { x: 6, y: 6 }),
    ("table_7", Point { x: 10, y: 6 }),
    ("table_8", Point { x: 14, y: 6 }),
];

/// A place on the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// East, 0 to [`MAX_X`].
    pub x: i64,
    /// South, 0 to [`MAX_Y`].
    pub y: i64,
}

/// Where a client says that its actor enters, on the grid or beside it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentPosition {
    /// East.
    pub x: f64,
    /// South.
    pub y: f64,
}

/// One of the four ways to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// North: y shrinks.
    N,
    /// South: y grows.
    S,
    /// East: x grows.
    E,
    /// West: x shrinks.
    W,
}

impl Direction {
    /// The names of the directions, in the order of the documentation.
    pub const NAMES: [(&str, Self); 4] = [("N", Self::N), ("S", Self::S), ("E", Self::E), ("W", Self::W)];
}

/// A straight part of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathSegment {
    /// Which way.
    pub direction: Direction,
    /// How far; at least 1.
    pub steps: i64,
}

impl Point {
    /// Whether the place is on the grid.
    pub const fn is_on_grid(self) -> bool {
        self.x >= 0 && self.x <= MAX_X && self.y >= 0 && self.y <= MAX_Y
    }

    /// The nearest place on the grid to what a client sent.
    pub fn nearest(sent: SentPosition) -> Self {
        let coordinate = |sent: f64, max: i64| (sent.round() as i64).clamp(0, max);
        Self { x: coordinate(sent.x, MAX_X), y: coordinate(sent.y, MAX_Y) }
    }

    /// Where one stands after a leg; walls stop.
    #[must_use]
    pub fn after(self, leg: PathSegment) -> Self {
        let (x, y) = match leg.direction {
            Direction::N => (self.x, self.y.saturating_sub(leg.steps)),
            Direction::S => (self.x, self.y.saturating_add(leg.steps)),
            Direction::E => (self.x.saturating_add(leg.steps), self.y),
            Direction::W => (self.x.saturating_sub(leg.steps), self.y),
        };
        Self { x: x.clamp(0, MAX_X), y: y.clamp(0, MAX_Y) }
    }

    /// The way to `target`: east or west first, then north or south; no leg for no distance.
    pub fn path_to(self, target: Self) -> Vec<PathSegment> {
        let leg = |distance: i64, forth, back| {
            let direction = if distance > 0 { forth } else { back };
            (distance != 0).then_some(PathSegment { direction, steps: distance.abs() })
        };
        let horizontal = leg(target.x - self.x, Direction::E, Direction::W);
        let vertical = leg(target.y - self.y, Direction::S, Direction::N);
        horizontal.into_iter().chain(vertical).collect()
    }
}

/// Where an actor stands in a room. An actor without this record stands at [`SPAWN`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The actor.
    pub actor_id: ActorId,
    /// The place.
    pub point: Point,
}

impl Record for Position {
    const TABLE: &'static Table =
        &Table { name: "positions", key: &["tenant_id", "room_id", "actor_id"], columns: &[] };

    fn key(&self) -> Key {
        vec![(&self.tenant_id).into(), (&self.room_id).into(), (&self.actor_id).into()]
    }

    fn columns(&self) -> Vec<Cell> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At most two legs, horizontal first; walking them ends at the target.
    #[test]
    fn a_path_leads_to_its_target() {
        let cases = [
            (SPAWN, SPAWN, vec![]),
            (SPAWN, Point { x: 2, y: 2 }, vec![(Direction::W, 8), (Direction::N, 4)]),
            (Point { x: 0, y: 0 }, Point { x: 0, y: 11 }, vec![(Direction::S, 11)]),
            (Point { x: 5, y: 5 }, Point { x: 0, y: 5 }, vec![(Direction::W, 5)]),
        ];
        for (from, target, want) in cases {
            let path = from.path_to(target);
            let legs: Vec<_> = path.iter().map(|leg| (leg.direction, leg.steps)).collect();
            assert_eq!(legs, want);
            assert_eq!(path.into_iter().fold(from, Point::after), target);
        }
    }

    /// Moves are held on the grid, and zero is a valid coordinate.
    #[test]
    fn walls_stop_a_move() {
        let far = |direction| SPAWN.after(PathSegment { direction, steps: MAX_STEPS });
        assert_eq!(far(Direction::W), Point { x: 0, y: 6 });
        assert_eq!(far(Direction::E), Point { x: MAX_X, y: 6 });
        assert_eq!(far(Direction::N), Point { x: 10, y: 0 });
        assert_eq!(far(Direction::S), Point { x: 10, y: MAX_Y });
    }
}
