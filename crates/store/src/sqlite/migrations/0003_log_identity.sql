-- Which log this is: clients compare it with the log that their cursors are from. The epoch changes when the log may lack
-- events that clients have seen.
CREATE TABLE log_identity (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    log_id TEXT NOT NULL,
    epoch TEXT NOT NULL
);
INSERT INTO log_identity (id, log_id, epoch) VALUES (1, lower(hex(randomblob(16))), lower(hex(randomblob(4))));
