//! Counters: they number changes of subscriptions, deliveries, and entries of the dead-letter queue.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::{CommandContext, CommandError, DomainError, Key, Query, TenantId, record, wire_enum};

/// The most subscriptions of a store: each has a follower of its own.
pub const MAX_SUBSCRIPTIONS: u64 = 5_000;
/// The most subscriptions of a tenant, so that none takes all of a store.
pub const MAX_TENANT_SUBSCRIPTIONS: u64 = 2_500;

wire_enum! {
    /// What is counted.
    pub enum CounterKind {
        /// Changes of subscriptions.
        Revisions = "revisions",
        /// Deliveries.
        Deliveries = "deliveries",
        /// What could not be delivered.
        DeadLetters = "dead_letters",
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
    /// How many there are of each tenant: of changes, the subscriptions. What an import of a part of a store brought is not counted.
    #[serde(default)]
    pub kept: BTreeMap<TenantId, u64>,
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

    /// The counter; 0 if nothing was counted yet.
    ///
    /// # Errors
    /// [`CommandError::Load`] if it was not loaded.
    pub fn load(ctx: &CommandContext<'_>, counted: CounterKind) -> Result<Self, CommandError> {
        let found = ctx.get(Self::key_of(counted))?;
        Ok(found.unwrap_or_else(|| Self {
            name: counted.as_str().to_owned(),
            last: 0,
            open: 0,
            kept: BTreeMap::new(),
        }))
    }

    /// Gives the next number.
    pub fn advance(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Counts one more of a tenant.
    pub(super) fn keep(&mut self, tenant: &TenantId) {
        *self.kept.entry(tenant.clone()).or_default() += 1;
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
pub(super) fn count_one_more(ctx: &mut CommandContext<'_>, tenant: &TenantId) -> Result<(), CommandError> {
    let mut counter = WebhookCounter::load(ctx, CounterKind::Revisions)?;
    let of_tenant = counter.kept.get(tenant).copied().unwrap_or(0);
    for (count, max, whose) in
        [(counter.open, MAX_SUBSCRIPTIONS, "a store"), (of_tenant, MAX_TENANT_SUBSCRIPTIONS, "a tenant")]
    {
        if count >= max {
            let message = format!("{whose} has at most {max} webhook subscriptions; delete some");
            return Err(DomainError::out_of_bounds("subscriptions", message, count).with("max", max).into());
        }
    }
    counter.open += 1;
    counter.keep(tenant);
    ctx.put(&counter);
    Ok(())
}

/// Counts a subscription that is deleted.
///
/// # Errors
/// [`CommandError::Load`] if the counter was not loaded.
pub(super) fn count_one_less(ctx: &mut CommandContext<'_>, tenant: &TenantId) -> Result<(), CommandError> {
    let mut counter = WebhookCounter::load(ctx, CounterKind::Revisions)?;
    counter.open = counter.open.saturating_sub(1);
    match counter.kept.get(tenant) {
        Some(2..) => drop(counter.kept.entry(tenant.clone()).and_modify(|kept| *kept -= 1)),
        _ => drop(counter.kept.remove(tenant)),
    }
    ctx.put(&counter);
    Ok(())
}

record!(WebhookCounter in "webhook_counters": [name]);
