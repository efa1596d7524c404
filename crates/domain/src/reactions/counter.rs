//! The counter of a tenant's rules: how many there are, and how often they were changed.

use serde::{Deserialize, Serialize};

use super::{MAX_SUBSCRIPTIONS, ReactionProgress, StoredReaction};
use crate::kernel::{CommandContext, CommandError, DomainError, Key, Query, TenantId, record};

/// Counts the rules of a tenant. Every change of a rule writes it, so it tells caches which tenant's rules have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReactionCounter {
    tenant_id: TenantId,
    /// How many there are. None: not counted since an import, or since an earlier version.
    rules: Option<usize>,
    /// How often one of them was created, changed or deleted.
    pub changes: u64,
}

impl ReactionCounter {
    /// The key of a tenant's counter.
    pub fn key_of(tenant: &TenantId) -> Key {
        vec![tenant.as_str().into()]
    }

    /// What counting a change of a tenant's rules loads.
    pub fn read(tenant: &TenantId) -> Query {
        Query::one::<Self>(Self::key_of(tenant))
    }

    fn load(ctx: &CommandContext<'_>, tenant: &TenantId) -> Result<Self, CommandError> {
        let found = ctx.get(Self::key_of(tenant))?;
        Ok(found.unwrap_or_else(|| Self { tenant_id: tenant.clone(), rules: None, changes: 0 }))
    }

    fn put(mut self, ctx: &mut CommandContext<'_>) {
        self.changes += 1;
        ctx.put(&self);
    }
}

/// Writes a new rule.
///
/// # Errors
/// `ERR_OUT_OF_BOUNDS {field, max, value}` if its tenant has too many; [`CommandError::Load`] if the counter was not loaded.
pub(super) fn put_new(ctx: &mut CommandContext<'_>, rule: &StoredReaction) -> Result<(), CommandError> {
    let tenant = &rule.subscription.tenant_id;
    let mut counter = ReactionCounter::load(ctx, tenant)?;
    let others = match counter.rules {
        Some(counted) => counted,
        None => ctx.find::<StoredReaction>(StoredReaction::of_tenant(tenant))?.len(),
    };
    check_limit("a tenant", others, MAX_SUBSCRIPTIONS)?;
    counter.rules = Some(others + 1);
    counter.put(ctx);
    ctx.put(rule);
    Ok(())
}

/// Refuses one more rule of somebody who has `others`, and may have `max`.
///
/// # Errors
/// `ERR_OUT_OF_BOUNDS {field, max, value}`.
pub(super) fn check_limit(whose: &str, others: usize, max: usize) -> Result<(), DomainError> {
    if others < max {
        return Ok(());
    }
    let message = format!("{whose} has at most {max} reaction subscriptions");
    Err(DomainError::out_of_bounds("subscriptions", message, others + 1).with("max", max))
}

/// Writes a rule that was changed.
///
/// # Errors
/// [`CommandError::Load`] if the counter was not loaded.
pub(crate) fn put_changed(
    ctx: &mut CommandContext<'_>,
    rule: &mut StoredReaction,
) -> Result<(), CommandError> {
    ReactionCounter::load(ctx, &rule.subscription.tenant_id)?.put(ctx);
    rule.revision += 1;
    rule.subscription.updated_at = ctx.now;
    ctx.put(rule);
    Ok(())
}

/// Deletes a rule and its progress.
///
/// # Errors
/// [`CommandError::Load`] if the counter was not loaded.
pub(super) fn delete(ctx: &mut CommandContext<'_>, rule: &StoredReaction) -> Result<(), CommandError> {
    let mut counter = ReactionCounter::load(ctx, &rule.subscription.tenant_id)?;
    counter.rules = counter.rules.map(|rules| rules.saturating_sub(1));
    counter.put(ctx);
    ctx.delete::<StoredReaction>(StoredReaction::key_of(rule.subscription.id));
    ctx.delete::<ReactionProgress>(StoredReaction::key_of(rule.subscription.id));
    Ok(())
}

record!(ReactionCounter in "reaction_counters": [tenant_id]);
