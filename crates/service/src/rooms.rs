//! Rooms: their records, what is pinned in them, and an agent's first look at one.

mod bootstrap;
mod list;
mod pin;
mod upsert;

pub use bootstrap::{ActorView, Bootstrap, ReadBootstrap, RoomView};
pub use list::{GetRoom, ListRooms, OneRoom, RoomsAnswer};
pub use pin::{ListPinned, PinHistory, PinnedInRoom, ReadPinned};
