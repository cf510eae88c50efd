-- Retries by reason, and whether a message left on a mailbox is an end. Time zones in which it must be within the window
-- to call a lead: `timezone` as somebody gave it, `zones` all that count, separated by spaces; '' is the campaign's.
ALTER TABLE campaigns ADD COLUMN retries TEXT NOT NULL DEFAULT '{}';
ALTER TABLE campaigns ADD COLUMN message_left TEXT NOT NULL DEFAULT 'completed';
ALTER TABLE leads ADD COLUMN timezone TEXT;
ALTER TABLE leads ADD COLUMN zones TEXT NOT NULL DEFAULT '';

DROP INDEX leads_pending;
CREATE INDEX leads_pending ON leads (campaign_id, zones, due_at, seq) WHERE status = 'pending';
CREATE INDEX leads_due ON leads (campaign_id, due_at) WHERE status = 'pending' AND due_at > '';
CREATE INDEX leads_called ON leads (phone_number) WHERE status = 'calling';
CREATE INDEX leads_by_number ON leads (campaign_id, phone_number);

-- Whom nobody may call, kept by `sovereign-pbx do-not-call` and the API; [dialling] do_not_call names files of them.
CREATE TABLE do_not_call (
    number   TEXT PRIMARY KEY,
    reason   TEXT NOT NULL,
    added_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
