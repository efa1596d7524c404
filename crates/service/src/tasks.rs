//! Tasks: listing, reading, creating, changing and handing over.

mod get;
mod handoffs;
mod list;
mod write;

pub use get::{GetTask, OneTask};
pub use handoffs::{HandoffsEnd, ListHandoffs};
pub use list::{ListTasks, TaskList};
pub use write::{HandOffTask, UpdateTask};
