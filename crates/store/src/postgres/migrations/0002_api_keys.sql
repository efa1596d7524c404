-- API keys, and apart from them when each was last used: nodes keep keys in memory until one changes.
CREATE TABLE api_keys (
    key_id text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C",
    created_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (key_id)
);
CREATE INDEX api_keys_by_creation ON api_keys (created_at, key_id);

CREATE TABLE api_key_uses (
    key_id text COLLATE "C" NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (key_id)
);

-- Tickets for streams that were not used yet.
CREATE TABLE stream_tickets (
    ticket_hash text COLLATE "C" NOT NULL,
    expires_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (ticket_hash)
);
CREATE INDEX stream_tickets_by_expiry ON stream_tickets (expires_at, ticket_hash);
