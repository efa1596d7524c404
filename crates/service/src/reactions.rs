//! Reactions: the rules by which actors react to events.

mod get;
mod list;
mod write;

pub use get::{GetReaction, OneReaction};
pub use list::{ListReactions, ReactionList};
pub use write::{CreateReaction, RemoveReaction, UpdateReaction};
