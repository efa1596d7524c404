-- The time of the store, related to the time since a boot of a machine.
CREATE TABLE clock_anchors (
    boot_id TEXT NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (boot_id)
) WITHOUT ROWID;
