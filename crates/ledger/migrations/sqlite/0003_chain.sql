-- The hash chain, promised work, idempotency keys, policies, notes, deliveries, erasure and
-- retention. What may be personal becomes nullable, which SQLite can only do to a new table.
-- Entries written before have no hash: the chain begins after `unchained_until`.
ALTER TABLE sequence ADD COLUMN head INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sequence ADD COLUMN head_hash BLOB NOT NULL CHECK (length(head_hash) = 32)
    DEFAULT X'0000000000000000000000000000000000000000000000000000000000000000';
ALTER TABLE sequence ADD COLUMN unchained_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sequence ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;
UPDATE sequence SET unchained_until = last;

ALTER TABLE decisions RENAME TO decisions_before;
CREATE TABLE decisions (
    seq INTEGER NOT NULL PRIMARY KEY,
    decision_id BLOB NOT NULL UNIQUE CHECK (length(decision_id) = 16),
    event_time INTEGER NOT NULL,
    decided_at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    status TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    score REAL NOT NULL,
    policy_sha256 TEXT,
    package_sha256 TEXT,
    audited INTEGER NOT NULL,
    transaction_id TEXT,
    account_id TEXT,
    record TEXT,
    response TEXT,
    hash BLOB CHECK (length(hash) = 32),
    digest BLOB CHECK (length(digest) = 32),
    salt BLOB CHECK (length(salt) = 32)
) STRICT;

INSERT INTO decisions (seq, decision_id, transaction_id, account_id, event_time, decided_at, outcome, status,
    decided_by, score, record, response, audited)
SELECT seq, decision_id, transaction_id, account_id, event_time, decided_at, outcome, status,
    decided_by, score, record, response, 0
FROM decisions_before;
DROP TABLE decisions_before;

CREATE INDEX decisions_transaction_id ON decisions (transaction_id);
CREATE INDEX decisions_account_id ON decisions (account_id);
CREATE INDEX decisions_event_time ON decisions (event_time);
CREATE INDEX decisions_decided_at ON decisions (decided_at);
CREATE INDEX decisions_outcome ON decisions (outcome);

ALTER TABLE completions RENAME TO completions_before;
CREATE TABLE completions (
    seq INTEGER NOT NULL PRIMARY KEY,
    decision_id BLOB NOT NULL UNIQUE CHECK (length(decision_id) = 16),
    completed_at INTEGER NOT NULL,
    outcome TEXT,
    status TEXT,
    decided_by TEXT,
    score REAL,
    record TEXT,
    response TEXT,
    hash BLOB CHECK (length(hash) = 32),
    digest BLOB CHECK (length(digest) = 32),
    salt BLOB CHECK (length(salt) = 32)
) STRICT;

INSERT INTO completions (seq, decision_id, completed_at, record, response)
SELECT seq, decision_id, completed_at, record, response
FROM completions_before;
DROP TABLE completions_before;

CREATE INDEX completions_outcome ON completions (outcome);

ALTER TABLE labels RENAME TO labels_before;
CREATE TABLE labels (
    seq INTEGER NOT NULL PRIMARY KEY,
    decision_id BLOB CHECK (length(decision_id) = 16),
    label TEXT NOT NULL,
    source TEXT NOT NULL,
    effective_at INTEGER NOT NULL,
    reversed INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    transaction_id TEXT,
    hash BLOB CHECK (length(hash) = 32),
    digest BLOB CHECK (length(digest) = 32),
    salt BLOB CHECK (length(salt) = 32)
) STRICT;

INSERT INTO labels (seq, transaction_id, decision_id, label, source, effective_at, reversed, recorded_at)
SELECT seq, transaction_id, decision_id, label, source, effective_at, reversed, recorded_at
FROM labels_before;
DROP TABLE labels_before;

CREATE INDEX labels_transaction_id ON labels (transaction_id);
CREATE INDEX labels_decision_id ON labels (decision_id);

CREATE TABLE policies (
    seq INTEGER NOT NULL PRIMARY KEY,
    version TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    document TEXT NOT NULL,
    author TEXT NOT NULL,
    hash BLOB CHECK (length(hash) = 32),
    digest BLOB CHECK (length(digest) = 32),
    salt BLOB CHECK (length(salt) = 32)
) STRICT;

CREATE INDEX policies_sha256 ON policies (sha256);

-- What is remembered beside a decision, without a part in it.
CREATE TABLE notes (
    seq INTEGER NOT NULL PRIMARY KEY,
    decision_id BLOB NOT NULL CHECK (length(decision_id) = 16),
    kind TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    record TEXT,
    hash BLOB CHECK (length(hash) = 32),
    digest BLOB CHECK (length(digest) = 32),
    salt BLOB CHECK (length(salt) = 32)
) STRICT;

CREATE INDEX notes_decision_id ON notes (decision_id);
CREATE INDEX notes_kind ON notes (kind);
CREATE INDEX notes_recorded_at ON notes (kind, recorded_at);

CREATE TABLE erasures (
    seq INTEGER NOT NULL PRIMARY KEY,
    account_salt BLOB NOT NULL,
    account_digest BLOB NOT NULL,
    reason TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    decisions INTEGER NOT NULL,
    completions INTEGER NOT NULL,
    labels INTEGER NOT NULL,
    notes INTEGER NOT NULL,
    events INTEGER NOT NULL,
    hash BLOB CHECK (length(hash) = 32),
    digest BLOB CHECK (length(digest) = 32),
    salt BLOB CHECK (length(salt) = 32)
) STRICT;

-- Where the chain starts after older entries were removed.
CREATE TABLE checkpoints (
    seq INTEGER NOT NULL PRIMARY KEY,
    older_than INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    floor_hash BLOB NOT NULL,
    kept_digest BLOB NOT NULL,
    decisions INTEGER NOT NULL,
    completions INTEGER NOT NULL,
    labels INTEGER NOT NULL,
    notes INTEGER NOT NULL,
    hash BLOB CHECK (length(hash) = 32),
    digest BLOB CHECK (length(digest) = 32),
    salt BLOB CHECK (length(salt) = 32)
) STRICT;

-- What is still owed, and which instance is at it. Not part of the chain: rows come and go.
CREATE TABLE promises (
    decision_id BLOB NOT NULL CHECK (length(decision_id) = 16) PRIMARY KEY,
    seq INTEGER NOT NULL,
    promise TEXT NOT NULL,
    promised_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    owner BLOB,
    lease_until INTEGER NOT NULL
) STRICT;

CREATE INDEX promises_seq ON promises (seq);

-- A key without a decision is reserved; one with a decision is settled.
CREATE TABLE idempotency_keys (
    key TEXT NOT NULL PRIMARY KEY,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    decision_id BLOB,
    settled_at INTEGER,
    owner BLOB,
    reserved_at INTEGER,
    lease_until INTEGER
) STRICT;

CREATE INDEX idempotency_keys_settled_at ON idempotency_keys (settled_at);
CREATE INDEX idempotency_keys_lease_until ON idempotency_keys (lease_until)
    WHERE lease_until IS NOT NULL;
CREATE INDEX idempotency_keys_decision_id ON idempotency_keys (decision_id);

CREATE TABLE deliveries (
    id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
    seq INTEGER NOT NULL UNIQUE,
    decision_id BLOB NOT NULL CHECK (length(decision_id) = 16),
    endpoint TEXT NOT NULL,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    last_error TEXT,
    dead INTEGER NOT NULL,
    owner BLOB,
    lease_until INTEGER NOT NULL
) STRICT;

CREATE INDEX deliveries_next ON deliveries (endpoint, next_attempt_at) WHERE NOT dead;
CREATE INDEX deliveries_decision_id ON deliveries (decision_id);

-- Entries only lose their content, all of it at once, and only what lies at or below the floor
-- of a checkpoint can be removed.
CREATE TRIGGER decisions_only_erase BEFORE UPDATE ON decisions
WHEN NOT (NEW.seq IS OLD.seq AND NEW.decision_id IS OLD.decision_id AND
    NEW.event_time IS OLD.event_time AND NEW.decided_at IS OLD.decided_at AND
    NEW.outcome IS OLD.outcome AND NEW.status IS OLD.status AND
    NEW.decided_by IS OLD.decided_by AND NEW.score IS OLD.score AND
    NEW.policy_sha256 IS OLD.policy_sha256 AND NEW.package_sha256 IS OLD.package_sha256 AND
    NEW.audited IS OLD.audited AND NEW.hash IS OLD.hash AND NEW.digest IS OLD.digest
    AND NEW.transaction_id IS NULL AND NEW.account_id IS NULL AND NEW.record IS NULL AND
    NEW.response IS NULL AND NEW.salt IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'decisions are append-only');
END;

CREATE TRIGGER decisions_only_retire BEFORE DELETE ON decisions
WHEN OLD.seq > (SELECT floor FROM sequence)
BEGIN
    SELECT RAISE(ABORT, 'decisions are append-only');
END;

CREATE TRIGGER completions_only_erase BEFORE UPDATE ON completions
WHEN NOT (NEW.seq IS OLD.seq AND NEW.decision_id IS OLD.decision_id AND
    NEW.completed_at IS OLD.completed_at AND NEW.outcome IS OLD.outcome AND
    NEW.status IS OLD.status AND NEW.decided_by IS OLD.decided_by AND
    NEW.score IS OLD.score AND NEW.hash IS OLD.hash AND NEW.digest IS OLD.digest
    AND NEW.record IS NULL AND NEW.response IS NULL AND NEW.salt IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'completions are append-only');
END;

CREATE TRIGGER completions_only_retire BEFORE DELETE ON completions
WHEN OLD.seq > (SELECT floor FROM sequence)
BEGIN
    SELECT RAISE(ABORT, 'completions are append-only');
END;

CREATE TRIGGER labels_only_erase BEFORE UPDATE ON labels
WHEN NOT (NEW.seq IS OLD.seq AND NEW.decision_id IS OLD.decision_id AND
    NEW.label IS OLD.label AND NEW.source IS OLD.source AND
    NEW.effective_at IS OLD.effective_at AND NEW.reversed IS OLD.reversed AND
    NEW.recorded_at IS OLD.recorded_at AND NEW.hash IS OLD.hash AND NEW.digest IS OLD.digest
    AND NEW.transaction_id IS NULL AND NEW.salt IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'labels are append-only');
END;

CREATE TRIGGER labels_only_retire BEFORE DELETE ON labels
WHEN OLD.seq > (SELECT floor FROM sequence)
BEGIN
    SELECT RAISE(ABORT, 'labels are append-only');
END;

CREATE TRIGGER notes_only_erase BEFORE UPDATE ON notes
WHEN NOT (NEW.seq IS OLD.seq AND NEW.decision_id IS OLD.decision_id AND NEW.kind IS OLD.kind AND
    NEW.recorded_at IS OLD.recorded_at AND NEW.hash IS OLD.hash AND NEW.digest IS OLD.digest
    AND NEW.record IS NULL AND NEW.salt IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'notes are append-only');
END;

CREATE TRIGGER notes_only_retire BEFORE DELETE ON notes
WHEN OLD.seq > (SELECT floor FROM sequence)
BEGIN
    SELECT RAISE(ABORT, 'notes are append-only');
END;

CREATE TRIGGER policies_forbid_update BEFORE UPDATE ON policies
BEGIN
    SELECT RAISE(ABORT, 'policies are append-only');
END;

CREATE TRIGGER policies_forbid_delete BEFORE DELETE ON policies
BEGIN
    SELECT RAISE(ABORT, 'policies are append-only');
END;

CREATE TRIGGER erasures_forbid_update BEFORE UPDATE ON erasures
BEGIN
    SELECT RAISE(ABORT, 'erasures are append-only');
END;

CREATE TRIGGER erasures_forbid_delete BEFORE DELETE ON erasures
BEGIN
    SELECT RAISE(ABORT, 'erasures are append-only');
END;

CREATE TRIGGER checkpoints_forbid_update BEFORE UPDATE ON checkpoints
BEGIN
    SELECT RAISE(ABORT, 'checkpoints are append-only');
END;

CREATE TRIGGER checkpoints_forbid_delete BEFORE DELETE ON checkpoints
BEGIN
    SELECT RAISE(ABORT, 'checkpoints are append-only');
END;
