-- What is known of a call's recording as JSON: format, encrypted, duration_seconds, paused_seconds, bytes, sha256, and
-- error where it is not whole or there is none. NULL: the call was not to be recorded.
ALTER TABLE calls ADD COLUMN recording TEXT;
-- Recorded calls may be few among many, and are listed and compared with the folder.
CREATE INDEX calls_recorded ON calls (created_at, id) WHERE recording_path IS NOT NULL;
