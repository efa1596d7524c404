-- The one row that serialises the turns of all nodes: the last numbers given, when the last turn was, and how often
-- those tables were written to that nodes keep a picture of.
CREATE TABLE log_head (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    sequence bigint NOT NULL,
    inbox bigint NOT NULL,
    audit bigint NOT NULL,
    at_ms bigint NOT NULL,
    watched bigint[] NOT NULL
) WITH (fillfactor = 10);
INSERT INTO log_head (sequence, inbox, audit, at_ms, watched) VALUES (0, 0, 0, 0, '{}');

-- The log. `json` is the whole event as it goes out; the other columns are what it is found by.
CREATE TABLE events (
    sequence bigint PRIMARY KEY,
    event_id uuid NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    actor_id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    at_ms bigint NOT NULL,
    mentioned_actor_id text COLLATE "C",
    json text NOT NULL
);
CREATE UNIQUE INDEX events_by_id ON events (event_id);
CREATE INDEX events_by_room ON events (tenant_id, room_id, sequence);
CREATE INDEX events_by_mention ON events (mentioned_actor_id, sequence) WHERE mentioned_actor_id IS NOT NULL;

-- The last event before a moment, 0 if there is none. Moments never decrease along the log: a binary search.
CREATE FUNCTION last_event_before(moment bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint := 0;
    high bigint := (SELECT coalesce(max(sequence), 0) FROM events);
    middle bigint;
    found_sequence bigint;
    found_at bigint;
BEGIN
    WHILE low < high LOOP
        middle := low + (high - low) / 2;
        SELECT sequence, at_ms INTO found_sequence, found_at FROM events
            WHERE sequence > middle ORDER BY sequence LIMIT 1;
        IF found_at < moment THEN low := found_sequence; ELSE high := middle; END IF;
    END LOOP;
    RETURN low;
END $$;

-- First answers; the key's identity is a hash.
CREATE TABLE idempotency_keys (
    -- The order in which they came.
    id bigint GENERATED ALWAYS AS IDENTITY,
    identity bytea PRIMARY KEY,
    request bytea NOT NULL,
    expires_at_ms bigint NOT NULL,
    correlation_id text NOT NULL,
    success bigint NOT NULL,
    reply bytea NOT NULL
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at_ms);

-- What was imported into this database when it was empty.
CREATE TABLE import_origin (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    sha256 text NOT NULL,
    imported_at_ms bigint NOT NULL
);

-- What became of requests.
CREATE TABLE traces (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trace_id uuid NOT NULL,
    correlation_id text NOT NULL,
    request_id text NOT NULL,
    route text NOT NULL,
    method text NOT NULL,
    tenant_id text NOT NULL,
    room_id text,
    actor_id text,
    started_at_ms bigint NOT NULL,
    ended_at_ms bigint NOT NULL,
    succeeded boolean NOT NULL,
    steps text NOT NULL
);
CREATE INDEX traces_by_correlation ON traces (correlation_id, id);

-- Records: key columns, the columns that lists filter or sort by, and the body as JSON.
CREATE TABLE presence (
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    actor_id text COLLATE "C" NOT NULL,
    active_until bigint,
    is_active bigint NOT NULL,
    updated_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (tenant_id, room_id, actor_id)
);
CREATE INDEX presence_by_activity ON presence (tenant_id, room_id, is_active);
CREATE INDEX presence_by_end ON presence (active_until) WHERE active_until IS NOT NULL;

CREATE TABLE positions (
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    actor_id text COLLATE "C" NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (tenant_id, room_id, actor_id)
);

CREATE TABLE permissions (
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    actor_id text COLLATE "C" NOT NULL,
    updated_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (tenant_id, room_id, actor_id)
);
CREATE INDEX permissions_by_update ON permissions (tenant_id, updated_at);

CREATE TABLE room_overrides (
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    updated_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (tenant_id, room_id)
);
CREATE INDEX room_overrides_by_update ON room_overrides (tenant_id, updated_at);

CREATE TABLE profiles (
    tenant_id text COLLATE "C" NOT NULL,
    actor_id text COLLATE "C" NOT NULL,
    updated_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (tenant_id, actor_id)
);
CREATE INDEX profiles_by_update ON profiles (tenant_id, updated_at);

CREATE TABLE rooms (
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    room_type text COLLATE "C" NOT NULL,
    owner_actor_id text COLLATE "C",
    updated_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (tenant_id, room_id)
);
CREATE INDEX rooms_by_update ON rooms (tenant_id, updated_at);

CREATE TABLE pinned_contexts (
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    is_active bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (tenant_id, room_id, version)
);

CREATE TABLE pin_heads (
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (tenant_id, room_id)
);

CREATE TABLE tasks (
    task_id text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    assignee_actor_id text COLLATE "C",
    created_by text COLLATE "C" NOT NULL,
    updated_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (task_id)
);
CREATE INDEX tasks_by_update ON tasks (tenant_id, updated_at);
CREATE INDEX tasks_by_room ON tasks (tenant_id, room_id, updated_at);
CREATE INDEX tasks_by_state ON tasks (tenant_id, room_id, state, updated_at);
CREATE INDEX tasks_by_assignee ON tasks (tenant_id, assignee_actor_id, updated_at);

CREATE TABLE task_handoffs (
    task_id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (task_id, sequence)
);

CREATE TABLE shared_objects (
    object_id text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    object_type text COLLATE "C" NOT NULL,
    object_key text COLLATE "C",
    created_by text COLLATE "C" NOT NULL,
    updated_by text COLLATE "C" NOT NULL,
    updated_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (object_id)
);
CREATE INDEX shared_objects_by_update ON shared_objects (tenant_id, updated_at);
CREATE INDEX shared_objects_by_room ON shared_objects (tenant_id, room_id, updated_at);
CREATE INDEX shared_objects_by_key ON shared_objects (tenant_id, object_key, updated_at);

CREATE TABLE inbox_items (
    inbox_id text COLLATE "C" NOT NULL,
    inbox_seq bigint NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    actor_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    acked bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (inbox_id)
);
CREATE UNIQUE INDEX inbox_items_by_seq ON inbox_items (inbox_seq);
CREATE INDEX inbox_items_by_actor ON inbox_items (tenant_id, actor_id, inbox_seq);
CREATE INDEX inbox_items_unread ON inbox_items (tenant_id, actor_id, acked, inbox_seq);

CREATE TABLE unread_counts (
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    actor_id text COLLATE "C" NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (tenant_id, room_id, actor_id)
);
CREATE INDEX unread_counts_by_actor ON unread_counts (tenant_id, actor_id, room_id);

CREATE TABLE audit_entries (
    audit_seq bigint NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    operator_id text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (audit_seq)
);
CREATE INDEX audit_entries_by_tenant ON audit_entries (tenant_id, audit_seq);
CREATE INDEX audit_entries_by_room ON audit_entries (tenant_id, room_id, audit_seq);

CREATE TABLE table_sessions (
    session_id text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    owner_actor_id text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    active_until bigint,
    updated_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (session_id)
);
CREATE INDEX table_sessions_by_room ON table_sessions (tenant_id, room_id, status, updated_at);
CREATE INDEX table_sessions_by_update ON table_sessions (tenant_id, updated_at);
CREATE INDEX table_sessions_by_end ON table_sessions (active_until) WHERE active_until IS NOT NULL;

-- `expires_at` of those that never expire is the largest integer. The versions outlive the snapshots.
CREATE TABLE snapshots (
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    actor_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    expires_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (tenant_id, room_id, scope, actor_id, version)
);
CREATE INDEX snapshots_by_end ON snapshots (expires_at);

CREATE TABLE snapshot_versions (
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    actor_id text COLLATE "C" NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (tenant_id, room_id, scope, actor_id)
);

CREATE TABLE payments (
    payment_id text COLLATE "C" NOT NULL,
    paid_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (payment_id)
);

CREATE TABLE reaction_subscriptions (
    subscription_id text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C",
    source_actor_id text COLLATE "C",
    target_actor_id text COLLATE "C" NOT NULL,
    enabled bigint NOT NULL,
    created_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (subscription_id)
);
CREATE INDEX reaction_subscriptions_by_tenant ON reaction_subscriptions (tenant_id, created_at);
CREATE INDEX reaction_subscriptions_at_work ON reaction_subscriptions (enabled, tenant_id, created_at);

CREATE TABLE follower_cursors (
    name text COLLATE "C" NOT NULL,
    updated_at bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (name)
);

-- Of the nodes that share a database, which one does what must not be done twice at once.
CREATE TABLE leases (
    name text COLLATE "C" NOT NULL,
    until bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (name)
);

-- Webhooks: who is to be told, with which secret, how far they have been told. Changes are found by their revision.
CREATE TABLE webhook_subscriptions (
    id text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C",
    enabled bigint NOT NULL,
    deleted bigint NOT NULL,
    created_at bigint NOT NULL,
    revision bigint NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX webhook_subscriptions_by_revision ON webhook_subscriptions (revision);
CREATE INDEX webhook_subscriptions_by_tenant ON webhook_subscriptions (tenant_id, deleted, created_at);

CREATE TABLE webhook_secrets (
    subscription_id text COLLATE "C" NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (subscription_id)
);

CREATE TABLE webhook_progress (
    subscription_id text COLLATE "C" NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (subscription_id)
);

-- Two rings: a slot is written again when the numbers have come round.
CREATE TABLE webhook_deliveries (
    slot bigint PRIMARY KEY,
    delivery_seq bigint NOT NULL,
    subscription_id text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    success bigint NOT NULL,
    json text NOT NULL
);
CREATE INDEX webhook_deliveries_by_seq ON webhook_deliveries (delivery_seq);

CREATE TABLE webhook_dlq (
    slot bigint PRIMARY KEY,
    dlq_seq bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    subscription_id text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    json text NOT NULL
);
CREATE INDEX webhook_dlq_by_seq ON webhook_dlq (dlq_seq);
CREATE INDEX webhook_dlq_by_id ON webhook_dlq (id);

CREATE TABLE webhook_counters (
    name text COLLATE "C" NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (name)
);
