-- The index of messages and words. It follows from the log: it is written behind it, and can be emptied.
CREATE TABLE search_state (
    identity text COLLATE "C" NOT NULL,
    cursor bigint NOT NULL,
    PRIMARY KEY (identity)
);
CREATE TABLE search_documents (
    sequence bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    actor_id text COLLATE "C",
    thread_id text COLLATE "C",
    reply_to text COLLATE "C",
    words tsvector NOT NULL,
    PRIMARY KEY (sequence)
);
CREATE INDEX search_documents_by_id ON search_documents (tenant_id, id, sequence);
CREATE INDEX search_documents_by_thread ON search_documents (tenant_id, thread_id, sequence) WHERE thread_id IS NOT NULL;
CREATE INDEX search_documents_by_reply ON search_documents (tenant_id, reply_to, sequence) WHERE reply_to IS NOT NULL;
-- A search also reads what is not in the index itself yet, one by one.
CREATE INDEX search_documents_by_word ON search_documents USING gin (words) WITH (gin_pending_list_limit = 256);
