//! Writing everything but decisions.

use std::collections::HashSet;

use jiff::Timestamp;
use uuid::Uuid;

use super::group::{Answers, Group};
use crate::{
    LedgerError, NewCompletion, NewEvent, NewLabel, NewNote, NewPolicy,
    chain::{COMPLETIONS, LABELS, NOTES, POLICIES, Parts},
    sql::{Statements, Value, insert, values},
    writer::Answer,
};

const COMPLETED: &str = "SELECT decision_id FROM completions WHERE decision_id";
const ERASED: &str = "SELECT decision_id FROM decisions WHERE record IS NULL AND decision_id";
const KEPT: &str = "DELETE FROM promises WHERE decision_id";

const PRUNE: &str = "\
    DELETE FROM events WHERE seq IN (\
        SELECT seq FROM events WHERE event_time < $1 ORDER BY event_time LIMIT $2)";

/// Completes decisions: what was promised is kept, and who is to be told will be.
pub(super) async fn completions(
    group: &mut Group<'_>,
    new: &[(usize, &NewCompletion)],
) -> Result<Answers, sqlx::Error> {
    let mut answers = Answers::new();
    let ids: Vec<_> = new.iter().map(|(_, new)| new.decision.decision_id.into()).collect();
    let completed = group.find(COMPLETED, &ids, "decision_id").await?;
    let mut completed: HashSet<Uuid> = completed.into_iter().collect();
    let erased = erased(group, &ids).await?;
    let mut accepted = Vec::new();
    for &(index, new) in new {
        let id = new.decision.decision_id;
        if erased.contains(&id.0) {
            answers.push((index, Err(LedgerError::Erased(id))));
        } else if !completed.insert(id.0) {
            answers.push((index, Err(LedgerError::DuplicateDecision(id))));
        } else {
            accepted.push((index, new));
        }
    }
    let entries: Vec<_> = accepted.iter().map(|(_, new)| completion_parts(new)).collect();
    let places = group.append(&COMPLETIONS, &entries).await?;
    // Also of decisions that were completed before: one that was recorded after its completion,
    // because it had to wait in memory, would be owed for ever.
    group.execute_in(KEPT, &ids).await?;
    deliveries(group, &accepted).await?;
    answers.extend(numbered(&accepted, places));
    Ok(answers)
}

fn completion_parts(new: &NewCompletion) -> Parts<'_> {
    let decision = &new.decision;
    Parts {
        core: values![
            decision.decision_id,
            new.completed_at,
            decision.outcome.as_str(),
            decision.status.as_str(),
            decision.decided_by.as_str(),
            decision.score.value(),
        ],
        content: values![&new.record, &new.response],
    }
}

async fn deliveries(
    group: &mut Group<'_>,
    accepted: &[(usize, &NewCompletion)],
) -> Result<(), sqlx::Error> {
    let mut rows = Vec::new();
    for (_, new) in accepted {
        for delivery in &new.deliveries {
            let mut row = values![delivery.id, group.place(), new.decision.decision_id];
            row.extend(values![&delivery.endpoint, &delivery.event, &delivery.body]);
            row.extend(values![group.now, 0_i64, group.now, false, 0_i64]);
            rows.push(row);
        }
    }
    let columns = [
        "id",
        "seq",
        "decision_id",
        "endpoint",
        "event",
        "body",
        "created_at",
        "attempts",
        "next_attempt_at",
        "dead",
        "lease_until",
    ];
    // A message of this name is a message of this text.
    let conflict = " ON CONFLICT (id) DO NOTHING";
    insert(group.connection, "deliveries", &columns, &rows, conflict).await.map(drop)
}

pub(super) async fn labels(
    group: &mut Group<'_>,
    new: &[(usize, &NewLabel)],
) -> Result<Answers, sqlx::Error> {
    let entries: Vec<_> = new.iter().map(|(_, new)| label_parts(new)).collect();
    let places = group.append(&LABELS, &entries).await?;
    Ok(numbered(new, places))
}

fn label_parts(new: &NewLabel) -> Parts<'_> {
    Parts {
        core: values![
            new.decision_id,
            new.label.label.as_str(),
            new.label.source.as_str(),
            new.label.effective_at,
            new.label.reversed,
            new.recorded_at,
        ],
        content: values![new.transaction_id.as_str()],
    }
}

pub(super) async fn policies(
    group: &mut Group<'_>,
    new: &[(usize, &NewPolicy)],
) -> Result<Answers, sqlx::Error> {
    let entries: Vec<_> = new.iter().map(|(_, new)| policy_parts(new)).collect();
    let places = group.append(&POLICIES, &entries).await?;
    Ok(numbered(new, places))
}

fn policy_parts(new: &NewPolicy) -> Parts<'_> {
    Parts {
        core: values![&new.reference.version, &new.reference.sha256, new.recorded_at],
        content: values![&new.document, &new.author],
    }
}

pub(super) async fn notes(
    group: &mut Group<'_>,
    new: &[(usize, &NewNote)],
) -> Result<Answers, sqlx::Error> {
    let ids: Vec<_> = new.iter().map(|(_, new)| new.decision_id.into()).collect();
    let erased = erased(group, &ids).await?;
    let (refused, accepted): (Vec<_>, Vec<_>) =
        new.iter().copied().partition(|(_, new)| erased.contains(&new.decision_id.0));
    let entries: Vec<_> = accepted.iter().map(|(_, new)| note_parts(new)).collect();
    let places = group.append(&NOTES, &entries).await?;
    let mut answers = numbered(&accepted, places);
    let erased =
        |(index, new): (usize, &NewNote)| (index, Err(LedgerError::Erased(new.decision_id)));
    answers.extend(refused.into_iter().map(erased));
    Ok(answers)
}

fn note_parts(new: &NewNote) -> Parts<'_> {
    Parts {
        core: values![new.decision_id, new.kind.as_str(), new.recorded_at],
        content: values![&new.record],
    }
}

async fn erased(group: &mut Group<'_>, ids: &[Value<'_>]) -> Result<HashSet<Uuid>, sqlx::Error> {
    Ok(group.find(ERASED, ids, "decision_id").await?.into_iter().collect())
}

/// How many were new.
pub(super) async fn events(group: &mut Group<'_>, events: &[NewEvent]) -> Result<i64, sqlx::Error> {
    let rows: Vec<_> = events
        .iter()
        .map(|event| {
            values![
                group.place(),
                event.transaction_id.as_str(),
                event.account_id.as_str(),
                event.event_time,
                &event.record,
            ]
        })
        .collect();
    let columns = ["seq", "transaction_id", "account_id", "event_time", "record"];
    let conflict = " ON CONFLICT (transaction_id) DO NOTHING";
    insert(group.connection, "events", &columns, &rows, conflict).await.map(u64::cast_signed)
}

/// How many there were.
pub(super) async fn prune(
    group: &mut Group<'_>,
    before: Timestamp,
    limit: i64,
) -> Result<i64, sqlx::Error> {
    group.connection.execute(PRUNE, &values![before, limit]).await.map(u64::cast_signed)
}

fn numbered<T>(written: &[(usize, T)], places: Vec<i64>) -> Answers {
    let places = written.iter().zip(places);
    places.map(|((index, _), seq)| (*index, Ok(Answer::Number(seq)))).collect()
}
