//! Ordering something from the bar.

use crate::actor_command::{Action, ActorCommand, PresenceEffect};
use crate::kernel::{
    ActorInRoom, CAUSATION_ID, CommandContext, CommandError, DomainError, EmittedEvent, Field, Fields, Rules,
    payloads,
};
use crate::permissions::Capability;

/// The longest name of an item or a size, in characters.
const MAX_ITEM_CHARS: usize = 200;
/// What is ordered.
pub(crate) const ITEM_ID: Field =
    Field::new("itemId", "What the actor orders.", "espresso").up_to(MAX_ITEM_CHARS);
/// How large it is.
pub(crate) const SIZE: Field =
    Field::new("size", "The size of the order. Default: regular.", "small").up_to(MAX_ITEM_CHARS);

payloads! {
    /// An actor ordered something.
    OrderChanged {
        /// What it ordered.
        item_id: String,
        /// The size of the order.
        size: String,
    }
}

/// `POST /v1/commands/order`: an actor orders something.
pub type Order = ActorCommand<OrderAction>;

/// The fields of the body of an order.
pub struct OrderAction {
    item_id: String,
    size: String,
    cause: Option<String>,
}

impl OrderAction {
    /// The order of a reaction.
    pub(crate) fn of_reaction(item_id: String, size: String, cause: String) -> Self {
        Self { item_id, size, cause: Some(cause) }
    }
}

impl Action for OrderAction {
    const LABEL: &'static str = "order";
    const KEY_SCOPE: &'static str = "/v1/commands/order";
    const CAPABILITY: Capability = Capability::Order;
    const PRESENCE_EFFECT: PresenceEffect = PresenceEffect::Busy;

    fn read(fields: &Fields, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self {
            item_id: fields.required_text(ITEM_ID)?,
            size: fields.trimmed_text(SIZE)?.unwrap_or_else(|| "regular".to_owned()),
            cause: fields.trimmed_text(CAUSATION_ID)?,
        })
    }

    fn perform(
        &self,
        actor: &ActorInRoom,
        ctx: &mut CommandContext<'_>,
    ) -> Result<EmittedEvent, CommandError> {
        let payload = OrderChanged { item_id: self.item_id.clone(), size: self.size.clone() };
        ctx.append(actor, &payload, self.cause.as_deref())
    }
}
