-- What was written after a decision had been answered: the report that its analysis promised.
-- The decision itself stays as it was; `response` is the answer with the report in it.
CREATE TABLE completions (
    seq INTEGER NOT NULL PRIMARY KEY,
    decision_id BLOB NOT NULL UNIQUE CHECK (length(decision_id) = 16),
    completed_at INTEGER NOT NULL,
    record TEXT NOT NULL,
    response TEXT NOT NULL
) STRICT;

CREATE TRIGGER completions_forbid_update BEFORE UPDATE ON completions
BEGIN
    SELECT RAISE(ABORT, 'completions are append-only');
END;

CREATE TRIGGER completions_forbid_delete BEFORE DELETE ON completions
BEGIN
    SELECT RAISE(ABORT, 'completions are append-only');
END;
