//! Follows the log of a café from outside: the API's event stream, taken up again wherever it broke off.
//!
//! What comes out of a [`Stream`] is every event behind its cursor, once and in order, whatever happens to connections and
//! servers in between; and news about the connection, for whoever watches it.

mod api;
mod frame;
mod progress;
mod stream;

pub use api::{Api, BadAddress, Failure, Query, STREAM};
pub use stream::{Arrived, EventStream, News, Pauses, Start, Stream};
