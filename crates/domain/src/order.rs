//! Ordering something from the bar.

use crate::{
    act::{self, Act, Done},
    actor::ActorInRoom,
    command::{Command, Halt, Moment, Reply},
    event::payload::OrderChanged,
    fields::Fields,
    moderation::{Action, Source},
    policy::Capability,
    record::Query,
    refusal::Refusal,
};

const MAX_ITEM_CHARS: usize = 200;

struct Wish {
    item_id: String,
    size: String,
    cause: Option<String>,
}

impl Wish {
    fn read(fields: &Fields) -> Result<Self, Refusal> {
        let item = fields.required_text("itemId")?;
        let size = fields.trimmed_text("size")?;
        Ok(Self {
            item_id: act::bounded_text("itemId", Some(item), MAX_ITEM_CHARS)?.unwrap_or_default(),
            size: act::bounded_text("size", size, MAX_ITEM_CHARS)?.unwrap_or_else(|| "regular".to_owned()),
            cause: act::causation(fields)?,
        })
    }
}

/// `POST /v1/commands/order`: an actor orders something.
pub struct Order {
    act: Act,
    wish: Result<Wish, Refusal>,
}

impl Order {
    /// Reads the body.
    ///
    /// # Errors
    /// What identifies the actor does not hold; other fields are refused when their turn comes.
    pub fn read(fields: &Fields) -> Result<Self, Refusal> {
        let act = Act::read(fields, "order", Capability::Order)?;
        Ok(Self { act, wish: Wish::read(fields) })
    }

    /// Who orders.
    pub fn actor(&self) -> &ActorInRoom {
        &self.act.actor
    }
}

impl Command for Order {
    fn reads(&self) -> Vec<Query> {
        self.act.reads()
    }

    fn decide(&self, moment: &mut Moment<'_>) -> Result<Reply, Halt> {
        self.act.permit(moment)?;
        let wish = self.wish.as_ref().map_err(Clone::clone)?;
        let action = Action { label: self.act.label, text: None, source: Source::Api };
        moment.moderate(&self.act.actor, &action)?;
        let payload = OrderChanged { item_id: wish.item_id.clone(), size: wish.size.clone(), reaction: None };
        let ordered = moment.append(&self.act.actor, &payload, wish.cause.as_deref())?;
        moment.step_appended(&ordered);
        self.act.finish(moment, ordered, Done::Busy)
    }
}
