//! The positions of actors: one model for moves, intents and the projection. The room is a grid; x grows east, y grows south.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::{ActorId, RoomId, TenantId, record, wire_enum};

/// The largest x of the grid; the smallest is 0.
pub const MAX_X: i64 = 19;
/// The largest y of the grid; the smallest is 0.
pub const MAX_Y: i64 = 11;
/// The position of an actor that has none.
pub const SPAWN: Point = Point { x: 10, y: 6 };
/// The most steps of one move.
pub const MAX_STEPS: i64 = 50;

/// The tables of the room and their positions.
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

/// The requested position of an actor that enters, on the grid or beside it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SentPosition {
    /// East.
    pub x: f64,
    /// South.
    pub y: f64,
}

wire_enum! {
    /// One of the four ways to go.
    #[derive(JsonSchema)]
    pub enum Direction {
        /// North: y shrinks.
        N = "N",
        /// South: y grows.
        S = "S",
        /// East: x grows.
        E = "E",
        /// West: x shrinks.
        W = "W",
    }
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

    /// The point after a leg; it does not leave the grid.
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

/// The position of an actor in a room. An actor without this record is at [`SPAWN`].
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

record!(Position in "positions": [tenant_id, room_id, actor_id]);
