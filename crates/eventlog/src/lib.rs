//! The event log as a stream: queries, the newest events in memory, followers with a cursor, shared
//! rendering, and streams of events to readers.
//!
//! Nothing here depends on a database or a transport. Whatever holds a log implements [`Log`].

mod fanout;
mod follow;
mod log_position;
mod log_stream;
mod message_bodies;
mod open_keys;
mod query;
mod recent_events;

pub use fanout::{Fanout, FrameEncoder, Frames};
pub use follow::{Follower, Log, PageFuture};
pub use log_position::{LastEventId, LogPosition, ReaderPosition, ResetReason};
pub use log_stream::{Backlog, LogStream, StreamHub, StreamItem, StreamStart, Subscriber};
pub use message_bodies::{BodiesFuture, MessageBodies};
pub use open_keys::{OpenKey, OpenKeys};
pub use query::{
    Cut, DamagedEvents, EventFilter, EventPage, EventQuery, LaterEvent, LoggedEvent, MAX_PAGE_BYTES,
    PageBuilder, ReadError,
};
pub use recent_events::{MAX_RECENT_BYTES, RecentEvents, Watermark};
