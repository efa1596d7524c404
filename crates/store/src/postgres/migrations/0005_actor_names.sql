-- The names of actors, by what they look like. Filled with the actors of presences and profiles.
CREATE TABLE actor_names (
    tenant_id text COLLATE "C" NOT NULL,
    skeleton_hash text COLLATE "C" NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (tenant_id, skeleton_hash)
);
