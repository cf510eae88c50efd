-- Campaigns and whom they call. `due_at` is '' for a lead that was never tried, else when it may be tried again.
CREATE TABLE campaigns (
    id                      TEXT PRIMARY KEY,
    name                    TEXT NOT NULL,
    assistant_id            TEXT NOT NULL,
    number_id               TEXT,
    status                  TEXT NOT NULL
        CHECK (status IN ('draft', 'scheduled', 'paused', 'cancelled', 'completed')),
    status_reason           TEXT,
    system_message_template TEXT,
    schedule_start_time     TEXT NOT NULL,
    schedule_end_time       TEXT NOT NULL,
    timezone                TEXT NOT NULL,
    weekdays                TEXT NOT NULL,
    max_attempts            INTEGER NOT NULL,
    retry_minutes           INTEGER NOT NULL,
    calls_at_once           INTEGER NOT NULL,
    calls_per_minute        INTEGER NOT NULL,
    created_at              TEXT NOT NULL,
    updated_at              TEXT NOT NULL
) STRICT;
CREATE INDEX campaigns_by_age ON campaigns (created_at, id);

CREATE TABLE leads (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    campaign_id     TEXT NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    phone_number    TEXT NOT NULL,
    variables       TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('pending', 'calling', 'completed', 'failed', 'skipped')),
    outcome         TEXT,
    error           TEXT,
    call_id         TEXT,
    attempts        INTEGER NOT NULL,
    last_attempt_at TEXT,
    due_at          TEXT NOT NULL,
    created_at      TEXT NOT NULL
) STRICT;
CREATE INDEX leads_by_campaign ON leads (campaign_id, seq);
CREATE INDEX leads_by_status ON leads (campaign_id, status);
CREATE INDEX leads_pending ON leads (campaign_id, due_at, seq) WHERE status = 'pending';
CREATE INDEX leads_calling ON leads (seq) WHERE status = 'calling';

-- Which call was placed for whom: written with the lead's new state, before anything is dialled.
CREATE TABLE attempts (
    call_id     TEXT PRIMARY KEY,
    lead_id     TEXT NOT NULL REFERENCES leads (id) ON DELETE CASCADE,
    campaign_id TEXT NOT NULL,
    number      INTEGER NOT NULL,
    at          TEXT NOT NULL,
    outcome     TEXT,
    error       TEXT
) STRICT;
CREATE INDEX attempts_by_lead ON attempts (lead_id, number);
CREATE INDEX attempts_by_age ON attempts (at);
