-- What reactions change of a rule has a record of its own, and the rules of a tenant are counted.
CREATE TABLE reaction_progress (
    subscription_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    room_id TEXT,
    json BLOB NOT NULL,
    PRIMARY KEY (subscription_id)
) WITHOUT ROWID;
INSERT INTO reaction_progress
    SELECT subscription_id, tenant_id, room_id, CAST(json_object(
        'subscriptionId', subscription_id, 'tenantId', tenant_id, 'roomId', room_id, 'reactedTo', stored ->> '$.since',
        'triggerCount', rule ->> '$.triggerCount', 'errorCount', rule ->> '$.errorCount',
        'lastTriggeredAt', rule ->> '$.lastTriggeredAt', 'lastSourceEventId', rule ->> '$.lastSourceEventId',
        'lastError', rule ->> '$.lastError', 'updatedAt', rule ->> '$.updatedAt') AS BLOB)
    FROM (SELECT *, stored -> '$.subscription' AS rule
          FROM (SELECT *, CAST(json AS TEXT) AS stored FROM reaction_subscriptions));
CREATE TABLE reaction_counters (
    tenant_id TEXT NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (tenant_id)
) WITHOUT ROWID;
