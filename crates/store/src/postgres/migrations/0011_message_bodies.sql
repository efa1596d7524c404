-- The bodies of messages, beside their events.
CREATE TABLE message_bodies (
    sequence bigint NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (sequence)
);
