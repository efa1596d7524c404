-- Deliveries and entries of the dead-letter queue are kept by their numbers, and how many there are of each tenant is counted:
-- the tenant with the most makes room for new ones.
ALTER TABLE webhook_deliveries RENAME COLUMN slot TO number;
UPDATE webhook_deliveries SET number = delivery_seq WHERE number <> delivery_seq;
CREATE INDEX webhook_deliveries_by_tenant ON webhook_deliveries (tenant_id, delivery_seq);
ALTER TABLE webhook_dlq RENAME COLUMN slot TO number;
UPDATE webhook_dlq SET number = dlq_seq WHERE number <> dlq_seq;
CREATE INDEX webhook_dlq_by_tenant ON webhook_dlq (tenant_id, dlq_seq);
CREATE TEMP TABLE kept AS
    SELECT 'deliveries' AS name, tenant_id, count(*) AS kept FROM webhook_deliveries GROUP BY tenant_id
    UNION ALL SELECT 'dead_letters', tenant_id, count(*) FROM webhook_dlq GROUP BY tenant_id
    UNION ALL SELECT 'revisions', tenant_id, count(*) FROM webhook_subscriptions WHERE deleted = 0 GROUP BY tenant_id;
UPDATE webhook_counters SET json = CAST(json_set(CAST(json AS TEXT), '$.kept', json(
    (SELECT json_group_object(tenant_id, kept) FROM kept WHERE kept.name = webhook_counters.name))) AS BLOB);
DROP TABLE kept;
