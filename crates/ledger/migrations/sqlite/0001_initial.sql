-- seq is one sequence over all tables: the order in which things were recorded. It may have
-- gaps. Times are microseconds since 1970-01-01T00:00:00Z.
CREATE TABLE sequence (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    last INTEGER NOT NULL
) STRICT;

INSERT INTO sequence (id, last) VALUES (1, 0);

CREATE TABLE decisions (
    seq INTEGER NOT NULL PRIMARY KEY,
    decision_id BLOB NOT NULL UNIQUE CHECK (length(decision_id) = 16),
    transaction_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    event_time INTEGER NOT NULL,
    decided_at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    status TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    score REAL NOT NULL,
    record TEXT NOT NULL,
    response TEXT NOT NULL
) STRICT;

CREATE INDEX decisions_transaction_id ON decisions (transaction_id);
CREATE INDEX decisions_account_id ON decisions (account_id);
CREATE INDEX decisions_event_time ON decisions (event_time);
CREATE INDEX decisions_decided_at ON decisions (decided_at);
CREATE INDEX decisions_outcome ON decisions (outcome);

CREATE TRIGGER decisions_forbid_update BEFORE UPDATE ON decisions
BEGIN
    SELECT RAISE(ABORT, 'decisions are append-only');
END;

CREATE TRIGGER decisions_forbid_delete BEFORE DELETE ON decisions
BEGIN
    SELECT RAISE(ABORT, 'decisions are append-only');
END;

CREATE TABLE labels (
    seq INTEGER NOT NULL PRIMARY KEY,
    transaction_id TEXT NOT NULL,
    decision_id BLOB CHECK (length(decision_id) = 16),
    label TEXT NOT NULL,
    source TEXT NOT NULL,
    effective_at INTEGER NOT NULL,
    reversed INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL
) STRICT;

CREATE INDEX labels_transaction_id ON labels (transaction_id);

CREATE TRIGGER labels_forbid_update BEFORE UPDATE ON labels
BEGIN
    SELECT RAISE(ABORT, 'labels are append-only');
END;

CREATE TRIGGER labels_forbid_delete BEFORE DELETE ON labels
BEGIN
    SELECT RAISE(ABORT, 'labels are append-only');
END;

-- Transactions that were only observed, never decided. They may be pruned.
CREATE TABLE events (
    seq INTEGER NOT NULL PRIMARY KEY,
    transaction_id TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    event_time INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;

CREATE INDEX events_account_id ON events (account_id);
CREATE INDEX events_event_time ON events (event_time);

CREATE TRIGGER events_forbid_update BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
