-- What reactions change of a rule has a record of its own, and the rules of a tenant are counted.
CREATE TABLE reaction_progress (
    subscription_id text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C",
    json text NOT NULL,
    PRIMARY KEY (subscription_id)
);
INSERT INTO reaction_progress
    SELECT subscription_id, tenant_id, room_id, json_build_object(
        'subscriptionId', subscription_id, 'tenantId', tenant_id, 'roomId', room_id, 'reactedTo', stored -> 'since',
        'triggerCount', rule -> 'triggerCount', 'errorCount', rule -> 'errorCount',
        'lastTriggeredAt', rule -> 'lastTriggeredAt', 'lastSourceEventId', rule -> 'lastSourceEventId',
        'lastError', rule -> 'lastError', 'updatedAt', rule -> 'updatedAt')::text
    FROM (SELECT *, stored -> 'subscription' AS rule
          FROM (SELECT *, json::json AS stored FROM reaction_subscriptions) AS each) AS both_parts;
CREATE TABLE reaction_counters (
    tenant_id text COLLATE "C" NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (tenant_id)
);
