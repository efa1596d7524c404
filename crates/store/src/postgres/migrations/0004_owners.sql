-- Who made what exists only for its maker. What has no owner was made without an API key, or by an earlier version.
ALTER TABLE webhook_subscriptions ADD COLUMN owner text COLLATE "C";
CREATE INDEX webhook_subscriptions_by_owner ON webhook_subscriptions (tenant_id, owner, deleted, created_at)
    WHERE owner IS NOT NULL;
ALTER TABLE webhook_deliveries ADD COLUMN owner text COLLATE "C";
ALTER TABLE webhook_dlq ADD COLUMN owner text COLLATE "C";
ALTER TABLE reaction_subscriptions ADD COLUMN owner text COLLATE "C";
CREATE INDEX reaction_subscriptions_by_owner ON reaction_subscriptions (tenant_id, owner, created_at)
    WHERE owner IS NOT NULL;
ALTER TABLE traces ADD COLUMN owner text COLLATE "C"
