//! The log: pages of it, long polls, and streams.

mod filter;
mod follow;
mod list;
mod mentions;
mod poll;
mod timeline;

pub use follow::{FollowEvents, LogStream, LogSubscriber};
pub use list::{ListEvents, PageEnd};
pub use mentions::ListMentions;
pub use poll::{PollEnd, PollEvents};
pub use timeline::{ReadTimeline, TimelineEnd};

pub(crate) use filter::types;
