//! Ordering something from the bar.

use crate::{
    actor_command::{self, Action, ActorCommand, PresenceEffect},
    kernel::{
        actor::ActorInRoom,
        command::{CommandContext, CommandError},
        error::DomainError,
        event::{EmittedEvent, payloads},
        fields::Fields,
    },
    permissions::Capability,
};

/// The longest name of an item or a size, in characters.
pub(crate) const MAX_ITEM_CHARS: usize = 200;

payloads! {
    /// An actor ordered something.
    OrderChanged { item_id: String, size: String }
}

/// `POST /v1/commands/order`: an actor orders something.
pub type Order = ActorCommand<Wish>;

/// What the body of an order says.
pub struct Wish {
    item_id: String,
    size: String,
    cause: Option<String>,
}

impl Wish {
    /// A wish because of something that happened.
    pub(crate) fn answering(item_id: String, size: String, cause: String) -> Self {
        Self { item_id, size, cause: Some(cause) }
    }

    fn of_body(fields: &Fields) -> Result<Self, DomainError> {
        let item = fields.required_text("itemId")?;
        let size = fields.trimmed_text("size")?;
        Ok(Self {
            item_id: actor_command::bounded_text("itemId", Some(item), MAX_ITEM_CHARS)?.unwrap_or_default(),
            size: actor_command::bounded_text("size", size, MAX_ITEM_CHARS)?
                .unwrap_or_else(|| "regular".to_owned()),
            cause: actor_command::causation(fields)?,
        })
    }
}

impl Order {
    /// Reads the body.
    ///
    /// # Errors
    /// What identifies the actor does not hold; other fields are refused when their turn comes.
    pub fn read(fields: &Fields) -> Result<Self, DomainError> {
        Self::of(fields, "order", Capability::Order, || Wish::of_body(fields))
    }
}

impl Action for Wish {
    const PRESENCE_EFFECT: PresenceEffect = PresenceEffect::Busy;

    fn perform(
        &self,
        actor: &ActorInRoom,
        ctx: &mut CommandContext<'_>,
    ) -> Result<EmittedEvent, CommandError> {
        let payload = OrderChanged { item_id: self.item_id.clone(), size: self.size.clone() };
        ctx.append(actor, &payload, self.cause.as_deref())
    }
}
