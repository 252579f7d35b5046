-- Times are epoch milliseconds, but for the lease.
CREATE TABLE IF NOT EXISTS chats (
    id text PRIMARY KEY,
    synced_at bigint,     -- when a look that reached the newest message began
    refreshed_at bigint,  -- when a look for changes began
    claim bigint NOT NULL DEFAULT 0,  -- how often the chat was claimed: each claim has a number of its own
    holder text,          -- which process reads the chat
    lease_until timestamptz
);

CREATE TABLE IF NOT EXISTS messages (
    chat text NOT NULL REFERENCES chats,
    id text NOT NULL,
    timestamp bigint NOT NULL,
    direction text,
    kind text,
    status bigint,
    text text,
    json text NOT NULL,   -- as it came; `json::jsonb` to ask for its fields
    words tsvector NOT NULL,
    PRIMARY KEY (chat, id)
);
CREATE INDEX IF NOT EXISTS messages_by_time ON messages (timestamp);
CREATE INDEX IF NOT EXISTS messages_by_chat_and_time ON messages (chat, timestamp);
CREATE INDEX IF NOT EXISTS messages_by_words ON messages USING gin (words);

-- Messages without an id or a time of their own.
CREATE TABLE IF NOT EXISTS unreadable (
    chat text NOT NULL REFERENCES chats,
    json text NOT NULL,
    reason text NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS unreadable_once ON unreadable (chat, md5(json));

CREATE TABLE IF NOT EXISTS checkpoints (
    chat text PRIMARY KEY REFERENCES chats,
    checkpoint text NOT NULL
);
