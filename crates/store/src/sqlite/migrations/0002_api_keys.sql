-- API keys, and apart from them when each was last used: nodes keep keys in memory until one changes.
CREATE TABLE api_keys (
    key_id TEXT NOT NULL,
    tenant_id TEXT,
    created_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (key_id)
) WITHOUT ROWID;
CREATE INDEX api_keys_by_creation ON api_keys (created_at, key_id);

CREATE TABLE api_key_uses (
    key_id TEXT NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (key_id)
) WITHOUT ROWID;

-- Tickets for streams that were not used yet.
CREATE TABLE stream_tickets (
    ticket_hash TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (ticket_hash)
) WITHOUT ROWID;
CREATE INDEX stream_tickets_by_expiry ON stream_tickets (expires_at, ticket_hash);
