-- seq is one sequence over all tables: the order in which things were recorded. It may have
-- gaps. Times are microseconds since 1970-01-01T00:00:00Z. The single row of `sequence` is what
-- all writers take turns on; `head` is the last entry of the chain, `floor` what retention has
-- removed up to.
CREATE TABLE sequence (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    last BIGINT NOT NULL,
    head BIGINT NOT NULL,
    head_hash BYTEA NOT NULL CHECK (length(head_hash) = 32),
    unchained_until BIGINT NOT NULL,
    floor BIGINT NOT NULL
) WITH (fillfactor = 10);

INSERT INTO sequence VALUES (1, 0, 0, decode(repeat('00', 32), 'hex'), 0, 0);

CREATE TABLE decisions (
    seq BIGINT NOT NULL PRIMARY KEY,
    decision_id UUID NOT NULL UNIQUE,
    event_time BIGINT NOT NULL,
    decided_at BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    status TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    score DOUBLE PRECISION NOT NULL,
    policy_sha256 TEXT,
    package_sha256 TEXT,
    audited BOOLEAN NOT NULL,
    transaction_id TEXT,
    account_id TEXT,
    record TEXT,
    response TEXT,
    hash BYTEA CHECK (length(hash) = 32),
    digest BYTEA CHECK (length(digest) = 32),
    salt BYTEA CHECK (length(salt) = 32)
);

CREATE INDEX decisions_transaction_id ON decisions (transaction_id, seq);
CREATE INDEX decisions_account_id ON decisions (account_id, seq);
CREATE INDEX decisions_event_time ON decisions (event_time);
CREATE INDEX decisions_decided_at ON decisions (decided_at);
CREATE INDEX decisions_outcome ON decisions (outcome, seq);

CREATE TABLE completions (
    seq BIGINT NOT NULL PRIMARY KEY,
    decision_id UUID NOT NULL UNIQUE,
    completed_at BIGINT NOT NULL,
    outcome TEXT,
    status TEXT,
    decided_by TEXT,
    score DOUBLE PRECISION,
    record TEXT,
    response TEXT,
    hash BYTEA CHECK (length(hash) = 32),
    digest BYTEA CHECK (length(digest) = 32),
    salt BYTEA CHECK (length(salt) = 32)
);

CREATE INDEX completions_outcome ON completions (outcome);

CREATE TABLE labels (
    seq BIGINT NOT NULL PRIMARY KEY,
    decision_id UUID,
    label TEXT NOT NULL,
    source TEXT NOT NULL,
    effective_at BIGINT NOT NULL,
    reversed BOOLEAN NOT NULL,
    recorded_at BIGINT NOT NULL,
    transaction_id TEXT,
    hash BYTEA CHECK (length(hash) = 32),
    digest BYTEA CHECK (length(digest) = 32),
    salt BYTEA CHECK (length(salt) = 32)
);

CREATE INDEX labels_transaction_id ON labels (transaction_id, seq);
CREATE INDEX labels_decision_id ON labels (decision_id);

CREATE TABLE policies (
    seq BIGINT NOT NULL PRIMARY KEY,
    version TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    recorded_at BIGINT NOT NULL,
    document TEXT NOT NULL,
    author TEXT NOT NULL,
    hash BYTEA CHECK (length(hash) = 32),
    digest BYTEA CHECK (length(digest) = 32),
    salt BYTEA CHECK (length(salt) = 32)
);

CREATE INDEX policies_sha256 ON policies (sha256);

-- What is remembered beside a decision, without a part in it.
CREATE TABLE notes (
    seq BIGINT NOT NULL PRIMARY KEY,
    decision_id UUID NOT NULL,
    kind TEXT NOT NULL,
    recorded_at BIGINT NOT NULL,
    record TEXT,
    hash BYTEA CHECK (length(hash) = 32),
    digest BYTEA CHECK (length(digest) = 32),
    salt BYTEA CHECK (length(salt) = 32)
);

CREATE INDEX notes_decision_id ON notes (decision_id);
CREATE INDEX notes_kind ON notes (kind, seq);
CREATE INDEX notes_recorded_at ON notes (kind, recorded_at);

CREATE TABLE erasures (
    seq BIGINT NOT NULL PRIMARY KEY,
    account_salt BYTEA NOT NULL,
    account_digest BYTEA NOT NULL,
    reason TEXT NOT NULL,
    recorded_at BIGINT NOT NULL,
    decisions BIGINT NOT NULL,
    completions BIGINT NOT NULL,
    labels BIGINT NOT NULL,
    notes BIGINT NOT NULL,
    events BIGINT NOT NULL,
    hash BYTEA CHECK (length(hash) = 32),
    digest BYTEA CHECK (length(digest) = 32),
    salt BYTEA CHECK (length(salt) = 32)
);

-- Where the chain starts after older entries were removed.
CREATE TABLE checkpoints (
    seq BIGINT NOT NULL PRIMARY KEY,
    older_than BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    floor BIGINT NOT NULL,
    floor_hash BYTEA NOT NULL,
    kept_digest BYTEA NOT NULL,
    decisions BIGINT NOT NULL,
    completions BIGINT NOT NULL,
    labels BIGINT NOT NULL,
    notes BIGINT NOT NULL,
    hash BYTEA CHECK (length(hash) = 32),
    digest BYTEA CHECK (length(digest) = 32),
    salt BYTEA CHECK (length(salt) = 32)
);

-- What is still owed, and which instance is at it. Not part of the chain: rows come and go.
CREATE TABLE promises (
    decision_id UUID NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    promise TEXT NOT NULL,
    promised_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    owner UUID,
    lease_until BIGINT NOT NULL
);

CREATE INDEX promises_seq ON promises (seq);

-- A key without a decision is reserved; one with a decision is settled.
CREATE TABLE idempotency_keys (
    key TEXT NOT NULL PRIMARY KEY,
    fingerprint BYTEA NOT NULL CHECK (length(fingerprint) = 32),
    decision_id UUID,
    settled_at BIGINT,
    owner UUID,
    reserved_at BIGINT,
    lease_until BIGINT
);

CREATE INDEX idempotency_keys_settled_at ON idempotency_keys (settled_at);
CREATE INDEX idempotency_keys_lease_until ON idempotency_keys (lease_until)
    WHERE lease_until IS NOT NULL;
CREATE INDEX idempotency_keys_decision_id ON idempotency_keys (decision_id);

CREATE TABLE deliveries (
    id UUID NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL UNIQUE,
    decision_id UUID NOT NULL,
    endpoint TEXT NOT NULL,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    last_error TEXT,
    dead BOOLEAN NOT NULL,
    owner UUID,
    lease_until BIGINT NOT NULL
);

CREATE INDEX deliveries_next ON deliveries (endpoint, next_attempt_at) WHERE NOT dead;
CREATE INDEX deliveries_decision_id ON deliveries (decision_id);

-- Transactions that were only observed, never decided. They may be pruned.
CREATE TABLE events (
    seq BIGINT NOT NULL PRIMARY KEY,
    transaction_id TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    event_time BIGINT NOT NULL,
    record TEXT NOT NULL
);

CREATE INDEX events_account_id ON events (account_id);
CREATE INDEX events_event_time ON events (event_time);

-- Entries only lose their content, all of it at once, and only what lies at or below the floor
-- of a checkpoint can be removed.
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% are append-only', TG_TABLE_NAME;
END $$;

CREATE FUNCTION only_retire() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.seq > (SELECT floor FROM sequence) THEN
        RAISE EXCEPTION '% are append-only', TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER decisions_only_erase BEFORE UPDATE ON decisions FOR EACH ROW
WHEN (NOT (ROW (NEW.seq, NEW.decision_id, NEW.event_time, NEW.decided_at, NEW.outcome, NEW.status,
    NEW.decided_by, NEW.score, NEW.policy_sha256, NEW.package_sha256, NEW.audited,
    NEW.hash, NEW.digest)
    IS NOT DISTINCT FROM ROW (OLD.seq, OLD.decision_id, OLD.event_time, OLD.decided_at, OLD.outcome, OLD.status,
    OLD.decided_by, OLD.score, OLD.policy_sha256, OLD.package_sha256, OLD.audited,
    OLD.hash, OLD.digest)
    AND NEW.transaction_id IS NULL AND NEW.account_id IS NULL AND NEW.record IS NULL AND
    NEW.response IS NULL AND NEW.salt IS NULL))
EXECUTE FUNCTION append_only();

CREATE TRIGGER decisions_only_retire BEFORE DELETE ON decisions FOR EACH ROW EXECUTE FUNCTION only_retire();

CREATE TRIGGER completions_only_erase BEFORE UPDATE ON completions FOR EACH ROW
WHEN (NOT (ROW (NEW.seq, NEW.decision_id, NEW.completed_at, NEW.outcome, NEW.status, NEW.decided_by,
    NEW.score, NEW.hash, NEW.digest)
    IS NOT DISTINCT FROM ROW (OLD.seq, OLD.decision_id, OLD.completed_at, OLD.outcome, OLD.status, OLD.decided_by,
    OLD.score, OLD.hash, OLD.digest)
    AND NEW.record IS NULL AND NEW.response IS NULL AND NEW.salt IS NULL))
EXECUTE FUNCTION append_only();

CREATE TRIGGER completions_only_retire BEFORE DELETE ON completions FOR EACH ROW EXECUTE FUNCTION only_retire();

CREATE TRIGGER labels_only_erase BEFORE UPDATE ON labels FOR EACH ROW
WHEN (NOT (ROW (NEW.seq, NEW.decision_id, NEW.label, NEW.source, NEW.effective_at, NEW.reversed,
    NEW.recorded_at, NEW.hash, NEW.digest)
    IS NOT DISTINCT FROM ROW (OLD.seq, OLD.decision_id, OLD.label, OLD.source, OLD.effective_at, OLD.reversed,
    OLD.recorded_at, OLD.hash, OLD.digest)
    AND NEW.transaction_id IS NULL AND NEW.salt IS NULL))
EXECUTE FUNCTION append_only();

CREATE TRIGGER labels_only_retire BEFORE DELETE ON labels FOR EACH ROW EXECUTE FUNCTION only_retire();

CREATE TRIGGER notes_only_erase BEFORE UPDATE ON notes FOR EACH ROW
WHEN (NOT (ROW (NEW.seq, NEW.decision_id, NEW.kind, NEW.recorded_at, NEW.hash, NEW.digest)
    IS NOT DISTINCT FROM ROW (OLD.seq, OLD.decision_id, OLD.kind, OLD.recorded_at, OLD.hash, OLD.digest)
    AND NEW.record IS NULL AND NEW.salt IS NULL))
EXECUTE FUNCTION append_only();

CREATE TRIGGER notes_only_retire BEFORE DELETE ON notes FOR EACH ROW EXECUTE FUNCTION only_retire();

CREATE TRIGGER policies_append_only BEFORE UPDATE OR DELETE ON policies FOR EACH ROW
EXECUTE FUNCTION append_only();

CREATE TRIGGER erasures_append_only BEFORE UPDATE OR DELETE ON erasures FOR EACH ROW
EXECUTE FUNCTION append_only();

CREATE TRIGGER checkpoints_append_only BEFORE UPDATE OR DELETE ON checkpoints FOR EACH ROW
EXECUTE FUNCTION append_only();

CREATE TRIGGER events_no_update BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION append_only();

CREATE TRIGGER decisions_no_truncate BEFORE TRUNCATE ON decisions EXECUTE FUNCTION append_only();
CREATE TRIGGER completions_no_truncate BEFORE TRUNCATE ON completions EXECUTE FUNCTION append_only();
CREATE TRIGGER labels_no_truncate BEFORE TRUNCATE ON labels EXECUTE FUNCTION append_only();
CREATE TRIGGER notes_no_truncate BEFORE TRUNCATE ON notes EXECUTE FUNCTION append_only();
CREATE TRIGGER policies_no_truncate BEFORE TRUNCATE ON policies EXECUTE FUNCTION append_only();
CREATE TRIGGER erasures_no_truncate BEFORE TRUNCATE ON erasures EXECUTE FUNCTION append_only();
CREATE TRIGGER checkpoints_no_truncate BEFORE TRUNCATE ON checkpoints EXECUTE FUNCTION append_only();
