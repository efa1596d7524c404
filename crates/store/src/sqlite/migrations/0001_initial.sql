-- The log. `json` is the whole event as it goes out; the other columns are what it is found by.
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    event_id BLOB NOT NULL,
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    type TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    mentioned_actor_id TEXT,
    json BLOB NOT NULL
);
CREATE UNIQUE INDEX events_by_id ON events (event_id);
CREATE INDEX events_by_room ON events (tenant_id, room_id, sequence);
CREATE INDEX events_by_mention ON events (mentioned_actor_id, sequence) WHERE mentioned_actor_id IS NOT NULL;

-- First answers, in the order they were given; the key's identity is a hash.
CREATE TABLE idempotency_keys (
    id INTEGER PRIMARY KEY,
    identity BLOB NOT NULL,
    request BLOB NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    correlation_id TEXT NOT NULL,
    success INTEGER NOT NULL
);
CREATE TABLE idempotency_replies (
    id INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);
-- The keys of a run that begin with the same bits, as (first 8 bytes of the identity, id) in order (see sqlite/keys.rs).
CREATE TABLE idempotency_index (
    place INTEGER PRIMARY KEY,
    entries BLOB NOT NULL
);
-- The runs that are in the index whole, and up to which id each has the keys.
CREATE TABLE idempotency_runs (
    run INTEGER PRIMARY KEY,
    last_id INTEGER NOT NULL
);

-- What became of requests. Two tables that take turns: when one is full, the other is emptied and filled anew.
CREATE TABLE traces_even (
    id INTEGER PRIMARY KEY,
    trace_id BLOB NOT NULL,
    correlation_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    route TEXT NOT NULL,
    method TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    room_id TEXT,
    actor_id TEXT,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    steps BLOB NOT NULL
);
CREATE INDEX traces_even_by_correlation ON traces_even (correlation_id);
CREATE TABLE traces_odd (
    id INTEGER PRIMARY KEY,
    trace_id BLOB NOT NULL,
    correlation_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    route TEXT NOT NULL,
    method TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    room_id TEXT,
    actor_id TEXT,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    steps BLOB NOT NULL
);
CREATE INDEX traces_odd_by_correlation ON traces_odd (correlation_id);

-- Records: key columns, the columns that lists filter or sort by, and the body as JSON.
CREATE TABLE presence (
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    active_until INTEGER,
    is_active INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (tenant_id, room_id, actor_id)
) WITHOUT ROWID;
CREATE INDEX presence_by_activity ON presence (tenant_id, room_id, is_active);
CREATE INDEX presence_by_end ON presence (active_until) WHERE active_until IS NOT NULL;

CREATE TABLE positions (
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (tenant_id, room_id, actor_id)
) WITHOUT ROWID;

CREATE TABLE permissions (
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (tenant_id, room_id, actor_id)
) WITHOUT ROWID;
CREATE INDEX permissions_by_update ON permissions (tenant_id, updated_at);

CREATE TABLE room_overrides (
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (tenant_id, room_id)
) WITHOUT ROWID;
CREATE INDEX room_overrides_by_update ON room_overrides (tenant_id, updated_at);

CREATE TABLE profiles (
    tenant_id TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (tenant_id, actor_id)
) WITHOUT ROWID;
CREATE INDEX profiles_by_update ON profiles (tenant_id, updated_at);

CREATE TABLE rooms (
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    room_type TEXT NOT NULL,
    owner_actor_id TEXT,
    updated_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (tenant_id, room_id)
) WITHOUT ROWID;
CREATE INDEX rooms_by_update ON rooms (tenant_id, updated_at);

CREATE TABLE pinned_contexts (
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    is_active INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (tenant_id, room_id, version)
) WITHOUT ROWID;

CREATE TABLE pin_heads (
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (tenant_id, room_id)
) WITHOUT ROWID;

CREATE TABLE tasks (
    task_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    state TEXT NOT NULL,
    assignee_actor_id TEXT,
    created_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (task_id)
) WITHOUT ROWID;
CREATE INDEX tasks_by_update ON tasks (tenant_id, updated_at);
CREATE INDEX tasks_by_room ON tasks (tenant_id, room_id, updated_at);
CREATE INDEX tasks_by_state ON tasks (tenant_id, room_id, state, updated_at);
CREATE INDEX tasks_by_assignee ON tasks (tenant_id, assignee_actor_id, updated_at);

CREATE TABLE task_handoffs (
    task_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (task_id, sequence)
) WITHOUT ROWID;

CREATE TABLE shared_objects (
    object_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    object_type TEXT NOT NULL,
    object_key TEXT,
    created_by TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (object_id)
) WITHOUT ROWID;
CREATE INDEX shared_objects_by_update ON shared_objects (tenant_id, updated_at);
CREATE INDEX shared_objects_by_room ON shared_objects (tenant_id, room_id, updated_at);
CREATE INDEX shared_objects_by_key ON shared_objects (tenant_id, object_key, updated_at);

CREATE TABLE inbox_items (
    inbox_id TEXT NOT NULL,
    inbox_seq INTEGER NOT NULL,
    tenant_id TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    acked INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (inbox_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX inbox_items_by_seq ON inbox_items (inbox_seq);
CREATE INDEX inbox_items_by_actor ON inbox_items (tenant_id, actor_id, inbox_seq);
CREATE INDEX inbox_items_unread ON inbox_items (tenant_id, actor_id, acked, inbox_seq);

CREATE TABLE unread_counts (
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (tenant_id, room_id, actor_id)
) WITHOUT ROWID;
CREATE INDEX unread_counts_by_actor ON unread_counts (tenant_id, actor_id, room_id);

CREATE TABLE audit_entries (
    audit_seq INTEGER NOT NULL,
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    operator_id TEXT NOT NULL,
    action TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (audit_seq)
) WITHOUT ROWID;
CREATE INDEX audit_entries_by_tenant ON audit_entries (tenant_id, audit_seq);
CREATE INDEX audit_entries_by_room ON audit_entries (tenant_id, room_id, audit_seq);

CREATE TABLE table_sessions (
    session_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    owner_actor_id TEXT NOT NULL,
    status TEXT NOT NULL,
    active_until INTEGER,
    updated_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (session_id)
) WITHOUT ROWID;
CREATE INDEX table_sessions_by_room ON table_sessions (tenant_id, room_id, status, updated_at);
CREATE INDEX table_sessions_by_update ON table_sessions (tenant_id, updated_at);
CREATE INDEX table_sessions_by_end ON table_sessions (active_until) WHERE active_until IS NOT NULL;

-- `expires_at` of those that never expire is the largest integer. The versions outlive the snapshots.
CREATE TABLE snapshots (
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (tenant_id, room_id, scope, actor_id, version)
) WITHOUT ROWID;
CREATE INDEX snapshots_by_end ON snapshots (expires_at);

CREATE TABLE snapshot_versions (
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (tenant_id, room_id, scope, actor_id)
) WITHOUT ROWID;

CREATE TABLE payments (
    payment_id TEXT NOT NULL,
    paid_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (payment_id)
) WITHOUT ROWID;

CREATE TABLE reaction_subscriptions (
    subscription_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    room_id TEXT,
    source_actor_id TEXT,
    target_actor_id TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (subscription_id)
) WITHOUT ROWID;
CREATE INDEX reaction_subscriptions_by_tenant ON reaction_subscriptions (tenant_id, created_at);
CREATE INDEX reaction_subscriptions_at_work ON reaction_subscriptions (enabled, tenant_id, created_at);

CREATE TABLE follower_cursors (
    name TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (name)
) WITHOUT ROWID;

-- Of the nodes that share a database, which one does what must not be done twice at once.
CREATE TABLE leases (
    name TEXT NOT NULL,
    until INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (name)
) WITHOUT ROWID;

-- Webhooks: who is to be told, with which secret, how far they have been told. Changes are found by their revision.
CREATE TABLE webhook_subscriptions (
    id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    room_id TEXT,
    enabled INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (id)
) WITHOUT ROWID;
CREATE INDEX webhook_subscriptions_by_revision ON webhook_subscriptions (revision);
CREATE INDEX webhook_subscriptions_by_tenant ON webhook_subscriptions (tenant_id, deleted, created_at);

CREATE TABLE webhook_secrets (
    subscription_id TEXT NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (subscription_id)
) WITHOUT ROWID;

CREATE TABLE webhook_progress (
    subscription_id TEXT NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (subscription_id)
) WITHOUT ROWID;

-- Two rings: a slot is written again when the numbers have come round.
CREATE TABLE webhook_deliveries (
    slot INTEGER PRIMARY KEY,
    delivery_seq INTEGER NOT NULL,
    subscription_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    success INTEGER NOT NULL,
    json BLOB NOT NULL
);
CREATE INDEX webhook_deliveries_by_seq ON webhook_deliveries (delivery_seq);

CREATE TABLE webhook_dlq (
    slot INTEGER PRIMARY KEY,
    dlq_seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    subscription_id TEXT NOT NULL,
    status TEXT NOT NULL,
    json BLOB NOT NULL
);
CREATE INDEX webhook_dlq_by_seq ON webhook_dlq (dlq_seq);
CREATE INDEX webhook_dlq_by_id ON webhook_dlq (id);

CREATE TABLE webhook_counters (
    name TEXT NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (name)
) WITHOUT ROWID;

-- At most one row: what was imported into this store, and the numbers that were given where it came from.
CREATE TABLE import_origin (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sha256 TEXT NOT NULL,
    imported_at_ms INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    inbox_seq INTEGER NOT NULL,
    audit_seq INTEGER NOT NULL
);

-- One row, written to see whether the store takes writes.
CREATE TABLE write_probe (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at_ms INTEGER NOT NULL
);
