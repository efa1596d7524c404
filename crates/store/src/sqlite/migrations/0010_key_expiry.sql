-- When a key expires, until what was set up with it was disabled because of that.
ALTER TABLE api_keys ADD COLUMN pending_expiry INTEGER;
UPDATE api_keys SET pending_expiry = CAST(round(unixepoch(CAST(json AS TEXT) ->> '$.expiresAt', 'subsec') * 1000) AS INTEGER)
    WHERE CAST(json AS TEXT) ->> '$.disabledAt' IS NULL;
CREATE INDEX api_keys_by_expiry ON api_keys (pending_expiry, key_id) WHERE pending_expiry IS NOT NULL;
