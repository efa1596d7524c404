//! The check of an actor's action against what it did before, as commands see it; moderation implements it.

use crate::kernel::actor::ActorInRoom;
use crate::kernel::error::DomainError;
use crate::kernel::wire_enum::wire_enum;

wire_enum! {
    /// What makes an actor act.
    pub enum ActionSource {
        /// A request.
        Api = "api",
        /// A rule that answers an event.
        Reaction = "reaction",
    }
}

/// An action that is checked.
#[derive(Clone, Copy, Debug)]
pub struct GuardedAction<'a> {
    /// Its label, as refusals name it.
    pub label: &'a str,
    /// What is said, if it is speech.
    pub text: Option<&'a str>,
    /// What makes the actor act.
    pub source: ActionSource,
}

/// Checks the actions of one command. An allowed action counts once its command has succeeded.
pub trait ActionGuard {
    /// Checks whether the actor may act now.
    ///
    /// # Errors
    /// `ERR_MODERATION_BLOCKED`.
    fn check(&mut self, actor: &ActorInRoom, action: &GuardedAction<'_>) -> Result<(), DomainError>;
}
