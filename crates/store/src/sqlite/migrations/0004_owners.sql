-- Who made what exists only for its maker. What has no owner was made without an API key, or by an earlier version.
ALTER TABLE webhook_subscriptions ADD COLUMN owner TEXT;
CREATE INDEX webhook_subscriptions_by_owner ON webhook_subscriptions (tenant_id, owner, deleted, created_at)
    WHERE owner IS NOT NULL;
ALTER TABLE webhook_deliveries ADD COLUMN owner TEXT;
ALTER TABLE webhook_dlq ADD COLUMN owner TEXT;
ALTER TABLE reaction_subscriptions ADD COLUMN owner TEXT;
CREATE INDEX reaction_subscriptions_by_owner ON reaction_subscriptions (tenant_id, owner, created_at)
    WHERE owner IS NOT NULL;
ALTER TABLE traces_even ADD COLUMN owner TEXT;
ALTER TABLE traces_odd ADD COLUMN owner TEXT;
