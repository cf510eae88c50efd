-- Signs the report of a call whose assistant is saved nowhere, should the daemon be killed before the report is written;
-- '' again with the report.
ALTER TABLE calls ADD COLUMN webhook_secret TEXT NOT NULL DEFAULT '';
