-- The bodies of messages, beside their events.
CREATE TABLE message_bodies (
    sequence INTEGER NOT NULL,
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (sequence)
);
