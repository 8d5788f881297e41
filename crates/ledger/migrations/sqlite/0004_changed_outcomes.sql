-- Decisions whose completion changed their outcome, so that those of one outcome are found in
-- order without reading all others. It only repeats what decisions and completions say.
CREATE TABLE changed_outcomes (
    seq INTEGER NOT NULL PRIMARY KEY,
    outcome TEXT NOT NULL
) STRICT;

CREATE INDEX changed_outcomes_outcome ON changed_outcomes (outcome);
DROP INDEX completions_outcome;

INSERT INTO changed_outcomes (seq, outcome)
SELECT d.seq, c.outcome FROM completions c JOIN decisions d ON d.decision_id = c.decision_id
WHERE c.outcome <> d.outcome;

CREATE TRIGGER completions_change_outcome AFTER INSERT ON completions
BEGIN
    INSERT INTO changed_outcomes (seq, outcome)
    SELECT d.seq, NEW.outcome FROM decisions d
    WHERE d.decision_id = NEW.decision_id AND d.outcome <> NEW.outcome
    ON CONFLICT (seq) DO UPDATE SET outcome = excluded.outcome;
END;

-- A decision that had to wait in memory can be recorded after its completion. A final one keeps
-- its outcome whenever it is recorded.
CREATE TRIGGER decisions_change_outcome AFTER INSERT ON decisions WHEN NEW.status = 'provisional'
BEGIN
    INSERT INTO changed_outcomes (seq, outcome)
    SELECT NEW.seq, c.outcome FROM completions c
    WHERE c.decision_id = NEW.decision_id AND c.outcome <> NEW.outcome
    ON CONFLICT (seq) DO UPDATE SET outcome = excluded.outcome;
END;

CREATE TRIGGER completions_forget_outcome AFTER DELETE ON completions
BEGIN
    DELETE FROM changed_outcomes
    WHERE seq = (SELECT d.seq FROM decisions d WHERE d.decision_id = OLD.decision_id);
END;

CREATE TRIGGER decisions_forget_outcome AFTER DELETE ON decisions
BEGIN
    DELETE FROM changed_outcomes WHERE seq = OLD.seq;
END;
