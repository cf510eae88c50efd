-- Keys of requests that must not be carried out twice, with what came of them ('' while that is not known).
CREATE TABLE claims (
    key     TEXT PRIMARY KEY,
    body    TEXT NOT NULL,
    call_id TEXT NOT NULL,
    at      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX claims_by_age ON claims (at);

-- GET /calls by assistant, number, direction or campaign: among 100 000 calls 65 to 135 ms without them, 4 with them.
CREATE INDEX calls_by_assistant ON calls (assistant_id, created_at, id);
CREATE INDEX calls_by_number ON calls (number_id, created_at, id);
CREATE INDEX calls_by_direction ON calls (direction, created_at, id);
CREATE INDEX attempts_by_campaign ON attempts (campaign_id, call_id);
