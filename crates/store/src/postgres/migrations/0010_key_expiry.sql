-- When a key expires, until what was set up with it was disabled because of that.
ALTER TABLE api_keys ADD COLUMN pending_expiry bigint;
UPDATE api_keys SET pending_expiry = round(extract(epoch FROM (json::jsonb ->> 'expiresAt')::timestamptz) * 1000)
    WHERE json::jsonb ->> 'disabledAt' IS NULL;
CREATE INDEX api_keys_by_expiry ON api_keys (pending_expiry, key_id) WHERE pending_expiry IS NOT NULL;
