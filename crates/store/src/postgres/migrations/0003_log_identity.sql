-- Which log this is: clients compare it with the log that their cursors are from. The epoch changes when the log may lack
-- events that clients have seen.
CREATE TABLE log_identity (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    log_id text NOT NULL,
    epoch text NOT NULL
);
INSERT INTO log_identity (log_id, epoch)
VALUES (replace(gen_random_uuid()::text, '-', ''), left(gen_random_uuid()::text, 8))
