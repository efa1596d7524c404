//! Retention of deliveries and of the dead-letter queue: the tenant that has the most makes room for what is new.

use super::counter::WebhookCounter;
use crate::kernel::{CommandContext, CommandError, Record, RecordQuery};

/// How many deliveries, and how many events that could not be delivered, are kept. Past it, the oldest of the tenant with the
/// most are deleted: a tenant that has no more than its equal share loses none.
pub const MAX_KEPT: u64 = 10_000;

/// Deletes the oldest records of one tenant, so that there is room for `arriving` new ones. Returns those that were deleted.
/// `order_by` is the column of their number.
///
/// # Errors
/// [`CommandError::Load`] until they were loaded.
pub(super) fn make_room<R: Record>(
    ctx: &mut CommandContext<'_>,
    counter: &mut WebhookCounter,
    arriving: usize,
    order_by: &'static str,
) -> Result<Vec<R>, CommandError> {
    let surplus = (counter.kept.values().sum::<u64>() + arriving as u64).saturating_sub(MAX_KEPT);
    let largest = counter.kept.iter().max_by_key(|(_, kept)| **kept);
    let Some((tenant, kept)) = largest.map(|(tenant, kept)| (tenant.clone(), *kept)) else {
        return Ok(Vec::new());
    };
    if arriving == 0 || surplus == 0 {
        return Ok(Vec::new());
    }
    let oldest = RecordQuery::all::<R>(order_by, surplus.min(kept) as usize).is("tenant_id", &tenant);
    let deleted = ctx.find::<R>(oldest)?;
    deleted.iter().for_each(|record| ctx.delete::<R>(record.key()));
    match kept.saturating_sub(deleted.len() as u64) {
        // What an import brought along is not counted.
        left if left == 0 || deleted.is_empty() => drop(counter.kept.remove(&tenant)),
        left => drop(counter.kept.insert(tenant, left)),
    }
    Ok(deleted)
}
