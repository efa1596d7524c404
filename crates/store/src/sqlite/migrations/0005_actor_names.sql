-- The names of actors, by what they look like. Filled with the actors of presences and profiles.
CREATE TABLE actor_names (
    tenant_id TEXT NOT NULL,
    skeleton_hash TEXT NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (tenant_id, skeleton_hash)
) WITHOUT ROWID;
