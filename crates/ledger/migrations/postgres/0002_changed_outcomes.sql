-- Decisions whose completion changed their outcome, so that those of one outcome are found in
-- order without reading all others. It only repeats what decisions and completions say.
CREATE TABLE changed_outcomes (
    seq BIGINT NOT NULL PRIMARY KEY,
    outcome TEXT NOT NULL
);

CREATE INDEX changed_outcomes_outcome ON changed_outcomes (outcome, seq);
DROP INDEX completions_outcome;

INSERT INTO changed_outcomes (seq, outcome)
SELECT d.seq, c.outcome FROM completions c JOIN decisions d ON d.decision_id = c.decision_id
WHERE c.outcome <> d.outcome;

CREATE FUNCTION completions_change_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changed_outcomes (seq, outcome)
    SELECT d.seq, c.outcome FROM written c JOIN decisions d ON d.decision_id = c.decision_id
    WHERE c.outcome <> d.outcome
    ON CONFLICT (seq) DO UPDATE SET outcome = excluded.outcome;
    RETURN NULL;
END $$;

-- A decision that had to wait in memory can be recorded after its completion. A final one keeps
-- its outcome whenever it is recorded.
CREATE FUNCTION decisions_change_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changed_outcomes (seq, outcome)
    SELECT NEW.seq, c.outcome FROM completions c
    WHERE c.decision_id = NEW.decision_id AND c.outcome <> NEW.outcome
    ON CONFLICT (seq) DO UPDATE SET outcome = excluded.outcome;
    RETURN NULL;
END $$;

CREATE FUNCTION completions_forget_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM changed_outcomes WHERE seq IN (
        SELECT d.seq FROM removed c JOIN decisions d ON d.decision_id = c.decision_id);
    RETURN NULL;
END $$;

CREATE FUNCTION decisions_forget_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM changed_outcomes WHERE seq IN (SELECT seq FROM removed);
    RETURN NULL;
END $$;

CREATE TRIGGER completions_change_outcome AFTER INSERT ON completions
REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION completions_change_outcome();

CREATE TRIGGER decisions_change_outcome AFTER INSERT ON decisions FOR EACH ROW
WHEN (NEW.status = 'provisional') EXECUTE FUNCTION decisions_change_outcome();

CREATE TRIGGER completions_forget_outcome AFTER DELETE ON completions
REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION completions_forget_outcome();

CREATE TRIGGER decisions_forget_outcome AFTER DELETE ON decisions
REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION decisions_forget_outcome();
