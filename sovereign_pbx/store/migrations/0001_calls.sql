-- Calls and what belongs to them. Times are ISO 8601 UTC text with milliseconds, so that they sort as text.
CREATE TABLE calls (
    id               TEXT PRIMARY KEY,
    direction        TEXT NOT NULL,
    status           TEXT NOT NULL,
    caller_phone     TEXT,
    assistant_phone  TEXT,
    number_id        TEXT,
    assistant_id     TEXT,
    assistant_name   TEXT,
    business_name    TEXT,
    created_at       TEXT NOT NULL,
    started_at       TEXT,
    ended_at         TEXT,
    duration_seconds INTEGER,
    end_reason       TEXT,
    error            TEXT,
    summary          TEXT,
    analysis_result  TEXT,
    recording_path   TEXT,
    assistant        TEXT NOT NULL,
    statistics       TEXT NOT NULL,
    updated_at       TEXT NOT NULL
) STRICT;
CREATE INDEX calls_by_age ON calls (created_at, id);
CREATE INDEX calls_by_status ON calls (status, created_at);
-- What a daemon that was killed left behind: a handful of rows among millions.
CREATE INDEX calls_unfinished ON calls (created_at)
    WHERE ended_at IS NULL OR (summary IS NULL AND started_at IS NOT NULL);

CREATE TABLE messages (
    seq          INTEGER PRIMARY KEY,
    call_id      TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    at           TEXT NOT NULL,
    role         TEXT NOT NULL,
    content      TEXT NOT NULL,
    tool_calls   TEXT NOT NULL,
    tool_call_id TEXT,
    interrupted  INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_by_call ON messages (call_id, seq);

CREATE TABLE turns (
    call_id          TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    number           INTEGER NOT NULL,
    said             TEXT NOT NULL,
    heard            TEXT NOT NULL,
    started_at       REAL NOT NULL,
    speech_ended_at  REAL,
    reply_started_at REAL,
    ended_at         REAL NOT NULL,
    interrupted      INTEGER NOT NULL,
    timing           TEXT,
    usage            TEXT NOT NULL,
    PRIMARY KEY (call_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    seq     INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    at      TEXT NOT NULL,
    name    TEXT NOT NULL,
    "values" TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_call ON events (call_id, seq);

-- A call cannot be deleted while webhooks of it remain: what was promised outlives a careless clean-up.
CREATE TABLE outbox (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook_id TEXT NOT NULL UNIQUE,
    call_id    TEXT NOT NULL REFERENCES calls (id),
    event      TEXT NOT NULL,
    url        TEXT NOT NULL,
    origin     TEXT NOT NULL,
    body       BLOB NOT NULL,
    secret     TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts   INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    due_at     TEXT NOT NULL,
    done_at    TEXT,
    last_error TEXT
) STRICT;
CREATE INDEX outbox_by_call ON outbox (call_id, seq);
CREATE INDEX outbox_pending_by_call ON outbox (call_id, seq) WHERE state = 'pending';
CREATE INDEX outbox_pending_by_due ON outbox (due_at) WHERE state = 'pending';
-- Covers what health and metrics ask every few seconds: how many wait, and since when.
CREATE INDEX outbox_pending_by_age ON outbox (created_at) WHERE state = 'pending';
CREATE INDEX outbox_dead ON outbox (seq) WHERE state = 'dead';
