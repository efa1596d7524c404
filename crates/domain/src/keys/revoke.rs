//! Revoking an API key: it ends, and so does what was set up with it.

use uuid::Uuid;

use super::ApiKey;
use super::manage::{Issuer, WriteKeyResponse, audit, existing};
use crate::kernel::{Command, CommandContext, CommandError, Query, RecordQuery, Reply, Success};
use crate::reactions::StoredReaction;
use crate::reactions::counter::{ReactionCounter, put_changed as put_changed_rule};
use crate::webhooks::Subscription;
use crate::webhooks::change::{self, put_changed};

/// Revokes a key, and disables the webhook subscriptions and the rules that were made or last changed with it.
pub struct RevokeKey {
    issuer: Issuer,
    key_id: String,
    subscriptions: Vec<Uuid>,
}

impl RevokeKey {
    /// The end of the key.
    pub fn new(issuer: Issuer, key_id: String) -> Self {
        Self { issuer, key_id, subscriptions: Vec::new() }
    }

    /// The same command, knowing the subscriptions of the key as they were shortly before, so that what it needs is read at
    /// once.
    #[must_use]
    pub fn expecting(mut self, subscriptions: &[Subscription]) -> Self {
        self.subscriptions = subscriptions.iter().map(|subscription| subscription.id).collect();
        self
    }

    /// The subscriptions among which those of a key are.
    pub fn subscriptions(key: &ApiKey) -> RecordQuery {
        Subscription::of_owner(&key.owner()).is_if_given("tenant_id", key.tenant_id.as_ref())
    }

    fn rules(key: &ApiKey) -> RecordQuery {
        StoredReaction::of_owner(&key.owner()).is_if_given("tenant_id", key.tenant_id.as_ref())
    }

    fn is_of_key(&self, key_id: Option<&String>) -> bool {
        key_id == Some(&self.key_id)
    }
}

impl Command for RevokeKey {
    fn reads(&self) -> Vec<Query> {
        let key = Query::one::<ApiKey>(ApiKey::key_of(&self.key_id));
        let of_subscriptions = self.subscriptions.iter().flat_map(|id| change::own_reads(*id));
        [key].into_iter().chain(of_subscriptions).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let mut key = existing(ctx, &self.issuer, &self.key_id)?;
        key.disabled_at.get_or_insert(ctx.now);
        ctx.load(vec![Query::Many(Self::subscriptions(&key)), Query::Many(Self::rules(&key))])?;
        let rules = ctx.find::<StoredReaction>(Self::rules(&key))?;
        ctx.load(rules.iter().map(|rule| ReactionCounter::read(&rule.subscription.tenant_id)).collect())?;
        for mut subscription in ctx.find::<Subscription>(Self::subscriptions(&key))? {
            if subscription.enabled && self.is_of_key(subscription.key_id.as_ref()) {
                subscription.enabled = false;
                put_changed(ctx, &mut subscription)?;
            }
        }
        for mut rule in rules {
            if rule.subscription.enabled && self.is_of_key(rule.key_id.as_ref()) {
                rule.subscription.enabled = false;
                put_changed_rule(ctx, &mut rule)?;
            }
        }
        ctx.put(&key);
        audit(ctx, &self.issuer, "key_revoke", &key);
        Ok(WriteKeyResponse::reply(ctx, Success::Ok, &key, None))
    }
}
