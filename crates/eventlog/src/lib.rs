//! The event log as a stream: queries, the newest events in memory, followers with a cursor, shared
//! rendering, and streams of events to readers.
//!
//! Nothing here knows a database or a transport. Whatever holds a log implements [`Log`].

mod event_stream;
mod fanout;
mod follow;
mod query;
mod recent_events;

pub use event_stream::{Backlog, EventStream, StreamHub, StreamItem, StreamStart, Subscriber};
pub use fanout::{Fanout, FrameEncoder, Frames};
pub use follow::{Follower, Log, PageFuture};
pub use query::{EventFilter, EventPage, EventQuery, LoggedEvent, MAX_PAGE_BYTES, ReadError};
pub use recent_events::{MAX_RECENT_BYTES, RecentEvents, Watermark};
