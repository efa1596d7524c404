//! The end of an API key, revoked or expired: what was set up with it ends, too.

use uuid::Uuid;

use super::ApiKey;
use super::last_admin::OtherAdmin;
use super::manage::{Issuer, WriteKeyResponse, audit, existing};
use crate::kernel::{
    Command, CommandContext, CommandError, Comparison, Query, RecordQuery, Reply, Success, Timestamp,
};
use crate::reactions::StoredReaction;
use crate::reactions::counter::{ReactionCounter, put_changed as put_changed_rule};
use crate::webhooks::Subscription;
use crate::webhooks::change::{self, put_changed};

/// Who ends a key when it expires, as the audit trail names it.
const SYSTEM: &str = "system";

/// A key that ends.
struct EndingKey {
    key_id: String,
    /// The subscriptions of its owner as they were shortly before, so that what the command needs is read at once.
    subscriptions: Vec<Uuid>,
}

impl EndingKey {
    fn new(key_id: &str, subscriptions: &[Subscription]) -> Self {
        let subscriptions = subscriptions.iter().map(|subscription| subscription.id).collect();
        Self { key_id: key_id.to_owned(), subscriptions }
    }

    fn reads(&self) -> impl Iterator<Item = Query> {
        let key = Query::one::<ApiKey>(ApiKey::key_of(&self.key_id));
        let of_subscriptions = self.subscriptions.iter().flat_map(|id| change::own_reads(*id));
        [key].into_iter().chain(of_subscriptions)
    }

    fn rules(key: &ApiKey) -> RecordQuery {
        StoredReaction::of_owner(&key.owner()).is_if_given("tenant_id", key.tenant_id.as_ref())
    }

    /// Disables the webhook subscriptions and the rules that were made or last changed with the key.
    fn disable(&self, ctx: &mut CommandContext<'_>, key: &ApiKey) -> Result<(), CommandError> {
        let is_of_key = |key_id: Option<&String>| key_id == Some(&self.key_id);
        ctx.load(vec![Query::Many(subscriptions(key)), Query::Many(Self::rules(key))])?;
        let rules = ctx.find::<StoredReaction>(Self::rules(key))?;
        ctx.load(rules.iter().map(|rule| ReactionCounter::read(&rule.subscription.tenant_id)).collect())?;
        for mut subscription in ctx.find::<Subscription>(subscriptions(key))? {
            if subscription.enabled && is_of_key(subscription.key_id.as_ref()) {
                subscription.enabled = false;
                put_changed(ctx, &mut subscription)?;
            }
        }
        for mut rule in rules {
            if rule.subscription.enabled && is_of_key(rule.key_id.as_ref()) {
                rule.subscription.enabled = false;
                put_changed_rule(ctx, &mut rule)?;
            }
        }
        Ok(())
    }
}

/// The subscriptions among which those of a key are.
pub fn subscriptions(key: &ApiKey) -> RecordQuery {
    Subscription::of_owner(&key.owner()).is_if_given("tenant_id", key.tenant_id.as_ref())
}

/// Revokes a key, and disables what was set up with it.
pub struct RevokeKey {
    issuer: Issuer,
    ending: EndingKey,
    other_admin: OtherAdmin,
}

impl RevokeKey {
    /// The end of the key. `subscriptions` are those of its owner, as far as they are known.
    pub fn new(issuer: Issuer, key_id: &str, subscriptions: &[Subscription]) -> Self {
        Self { issuer, ending: EndingKey::new(key_id, subscriptions), other_admin: OtherAdmin::default() }
    }

    /// The same command, refused if it ends the last key that manages others.
    #[must_use]
    pub fn unless_last_admin(self, other_admin: OtherAdmin) -> Self {
        Self { other_admin, ..self }
    }
}

impl Command for RevokeKey {
    fn reads(&self) -> Vec<Query> {
        self.ending.reads().chain(self.other_admin.read()).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let mut key = existing(ctx, &self.issuer, &self.ending.key_id)?;
        self.other_admin.check(ctx, &key)?;
        self.ending.disable(ctx, &key)?;
        key.disabled_at.get_or_insert(ctx.now);
        ctx.put(&key);
        audit(ctx, self.issuer.name(), "key_revoke", &key);
        Ok(WriteKeyResponse::reply(ctx, Success::Ok, &key, None))
    }
}

/// Disables what was set up with a key that has expired. Replies with the number of keys that ended: one, or none if the key was
/// changed meanwhile.
pub struct ExpireKey(EndingKey);

impl ExpireKey {
    /// The most keys that are read at once.
    pub const BATCH: usize = 64;

    /// The keys that have expired, and with which something may be set up.
    pub fn due(now: Timestamp) -> RecordQuery {
        RecordQuery::all::<ApiKey>("pending_expiry", Self::BATCH).only(
            "pending_expiry",
            Comparison::AtMost,
            now,
        )
    }

    /// The end of a key. `subscriptions` are those of its owner.
    pub fn new(key: &ApiKey, subscriptions: &[Subscription]) -> Self {
        Self(EndingKey::new(&key.key_id, subscriptions))
    }
}

impl Command for ExpireKey {
    fn reads(&self) -> Vec<Query> {
        self.0.reads().collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let found = ctx.get::<ApiKey>(ApiKey::key_of(&self.0.key_id))?;
        let is_due = |key: &ApiKey| key.pending_expiry().is_some_and(|end| end <= ctx.now);
        let Some(mut key) = found.filter(is_due) else { return Ok(Reply::new(Success::Ok, &0)) };
        self.0.disable(ctx, &key)?;
        key.has_ended = true;
        ctx.put(&key);
        audit(ctx, SYSTEM, "key_expire", &key);
        Ok(Reply::new(Success::Ok, &1))
    }
}
