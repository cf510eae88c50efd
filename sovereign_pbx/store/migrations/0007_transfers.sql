-- Attempts to put the caller through, in order: where to, how, when, and what came of it (JSON).
ALTER TABLE calls ADD COLUMN transfers TEXT NOT NULL DEFAULT '[]';
