-- Times are epoch milliseconds.
CREATE TABLE IF NOT EXISTS chats (
    id TEXT NOT NULL PRIMARY KEY,
    synced_at INTEGER,    -- when a look that reached the newest message began
    refreshed_at INTEGER  -- when a look for changes began
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY,
    chat TEXT NOT NULL REFERENCES chats,
    id TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    direction TEXT,
    kind TEXT,
    status INTEGER,
    text TEXT,
    json TEXT NOT NULL,  -- as it came
    UNIQUE (chat, id)
) STRICT;
CREATE INDEX IF NOT EXISTS messages_by_time ON messages (timestamp);
CREATE INDEX IF NOT EXISTS messages_by_chat_and_time ON messages (chat, timestamp);

-- Of each text its words, by the number of the message.
CREATE VIRTUAL TABLE IF NOT EXISTS message_words USING fts5 (words);
CREATE TRIGGER IF NOT EXISTS messages_deleted AFTER DELETE ON messages BEGIN
    DELETE FROM message_words WHERE rowid = old.number;
END;

-- Messages without an id or a time of their own.
CREATE TABLE IF NOT EXISTS unreadable (
    chat TEXT NOT NULL REFERENCES chats,
    json TEXT NOT NULL,
    reason TEXT NOT NULL,
    UNIQUE (chat, json)
) STRICT;

CREATE TABLE IF NOT EXISTS checkpoints (
    chat TEXT NOT NULL PRIMARY KEY REFERENCES chats,
    checkpoint TEXT NOT NULL
) STRICT;
