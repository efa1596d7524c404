-- The index of messages and words of an embedded store, in a file of its own. It follows from the log.
CREATE TABLE search_state (identity TEXT NOT NULL, cursor INTEGER NOT NULL);
CREATE TABLE search_documents (
    sequence INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    id TEXT NOT NULL,
    actor_id TEXT,
    thread_id TEXT,
    reply_to TEXT
);
CREATE INDEX search_documents_by_id ON search_documents (tenant_id, id);
CREATE INDEX search_documents_by_thread ON search_documents (tenant_id, thread_id) WHERE thread_id IS NOT NULL;
CREATE INDEX search_documents_by_reply ON search_documents (tenant_id, reply_to) WHERE reply_to IS NOT NULL;
-- Texts come as words that are separated by blanks.
CREATE VIRTUAL TABLE search_words USING fts5 (
    words, content = '', contentless_delete = 1, tokenize = 'ascii', prefix = '3'
);
