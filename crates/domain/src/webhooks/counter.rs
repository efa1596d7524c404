//! Counters: they number changes of subscriptions, deliveries, and entries of the dead-letter queue.

use serde::{Deserialize, Serialize};

use crate::kernel::{Cell, Code, CommandContext, CommandError, DomainError, Key, Query, Record, Table};

/// The most subscriptions of a café: each has a follower of its own.
pub const MAX_SUBSCRIPTIONS: u64 = 5_000;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterKind {
    /// Changes of subscriptions.
    Revisions,
    /// Deliveries.
    Deliveries,
    /// What could not be delivered.
    DeadLetters,
}

impl CounterKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Revisions => "revisions",
            Self::Deliveries => "deliveries",
            Self::DeadLetters => "dead_letters",
        }
    }
}

/// How far has been counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookCounter {
    name: String,
    /// The last number given.
    pub last: u64,
    /// How many are open: of what could not be delivered, those that are not resolved; of changes, the subscriptions there are.
    pub open: u64,
}

impl WebhookCounter {
    /// The key of a counter.
    pub fn key_of(counted: CounterKind) -> Key {
        vec![counted.as_str().into()]
    }

    /// What [`WebhookCounter::load`] reads.
    pub fn read(counted: CounterKind) -> Query {
        Query::one::<Self>(Self::key_of(counted))
    }

    /// The counter as it stands; at 0 if nothing was counted yet.
    ///
    /// # Errors
    /// [`CommandError::Load`] if it was not loaded.
    pub fn load(ctx: &CommandContext<'_>, counted: CounterKind) -> Result<Self, CommandError> {
        let found = ctx.get(Self::key_of(counted))?;
        Ok(found.unwrap_or_else(|| Self { name: counted.as_str().to_owned(), last: 0, open: 0 }))
    }

    /// Gives the next number.
    pub fn advance(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

/// The number of the next change of a subscription.
///
/// # Errors
/// [`CommandError::Load`] if the counter was not loaded.
pub(super) fn next_revision(ctx: &mut CommandContext<'_>) -> Result<u64, CommandError> {
    let mut counter = WebhookCounter::load(ctx, CounterKind::Revisions)?;
    let revision = counter.advance();
    ctx.put(&counter);
    Ok(revision)
}

/// Counts a subscription that is made.
///
/// # Errors
/// `ERR_OUT_OF_BOUNDS {field, max, value}` if there are too many; [`CommandError::Load`] if the counter was not loaded.
pub(super) fn count_one_more(ctx: &mut CommandContext<'_>) -> Result<(), CommandError> {
    let mut counter = WebhookCounter::load(ctx, CounterKind::Revisions)?;
    if counter.open >= MAX_SUBSCRIPTIONS {
        return Err(DomainError::new(Code::OutOfBounds)
            .saying(format!("a café has at most {MAX_SUBSCRIPTIONS} webhook subscriptions; delete some"))
            .with("field", "subscriptions")
            .with("max", MAX_SUBSCRIPTIONS)
            .with("value", counter.open)
            .into());
    }
    counter.open += 1;
    ctx.put(&counter);
    Ok(())
}

/// Counts a subscription that is deleted.
///
/// # Errors
/// [`CommandError::Load`] if the counter was not loaded.
pub(super) fn count_one_less(ctx: &mut CommandContext<'_>) -> Result<(), CommandError> {
    let mut counter = WebhookCounter::load(ctx, CounterKind::Revisions)?;
    counter.open = counter.open.saturating_sub(1);
    ctx.put(&counter);
    Ok(())
}

impl Record for WebhookCounter {
    const TABLE: &'static Table = &Table { name: "webhook_counters", key: &["name"], columns: &[] };

    fn key(&self) -> Key {
        vec![self.name.as_str().into()]
    }

    fn columns(&self) -> Vec<Cell> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kernel::Rules;
    use crate::scene::{Scene, body};
    use crate::webhooks::Subscription;
    use crate::webhooks::change::DeleteSubscription;
    use crate::webhooks::subscribe::CreateSubscription;

    /// There are so many subscriptions and no more, and a deleted one makes room.
    #[test]
    fn subscriptions_are_bounded() {
        let mut scene = Scene::new();
        let counter =
            |open| WebhookCounter { name: CounterKind::Revisions.as_str().to_owned(), last: 9, open };
        scene.put(&counter(MAX_SUBSCRIPTIONS - 1));
        let subscribe = || {
            let wanted = body(&json!({ "targetUrl": "https://example.com/hook" }));
            CreateSubscription::read(&wanted, &Rules::default(), [7; 32]).unwrap()
        };
        assert!(scene.decide(&subscribe()).is_ok());
        let error = scene.decide(&subscribe()).unwrap_err();
        assert_eq!((error.code, &error.details["max"]), (Code::OutOfBounds, &json!(MAX_SUBSCRIPTIONS)));
        let made = scene.all::<Subscription>().remove(0);
        assert!(scene.decide(&DeleteSubscription::new(made)).is_ok());
        assert!(scene.decide(&subscribe()).is_ok());
    }
}
