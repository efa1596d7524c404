-- The time of the store, related to the time since a boot of a machine.
CREATE TABLE clock_anchors (
    boot_id text COLLATE "C" NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (boot_id)
);
