//! Writing decisions, with the keys they settle and what they promise.

use std::collections::HashSet;

use uuid::Uuid;

use super::{
    Context, KEY_LIFE,
    group::{Answers, Group},
    work::micros,
};
use crate::{
    LedgerError, NewDecision, Promise,
    chain::{DECISIONS, Parts},
    sql::{Value, insert, values},
    writer::Answer,
};

const KNOWN: &str = "SELECT decision_id FROM decisions WHERE decision_id";

const SETTLE: &str = " ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, \
    decision_id = excluded.decision_id, settled_at = excluded.settled_at, owner = NULL, \
    reserved_at = NULL, lease_until = NULL";

pub(super) async fn write(
    group: &mut Group<'_>,
    new: &[(usize, &NewDecision)],
    context: &Context,
) -> Result<Answers, sqlx::Error> {
    let mut answers = Answers::new();
    let mut accepted = Vec::new();
    let mut known = known(group, new).await?;
    let mut taken = taken(group, new).await?;
    for &(index, new) in new {
        let id = new.decision.decision_id;
        let key = new.idempotency.as_ref().map(|idempotency| idempotency.key.as_str());
        if !known.insert(id.0) {
            answers.push((index, Err(LedgerError::DuplicateDecision(id))));
        } else if key.is_some_and(|key| !taken.insert(key.to_owned())) {
            answers.push((index, Err(LedgerError::KeyTaken(id))));
        } else {
            accepted.push((index, new));
        }
    }
    let entries: Vec<_> = accepted.iter().map(|(_, new)| parts(new)).collect();
    let places = group.append(&DECISIONS, &entries).await?;
    settle(group, &accepted).await?;
    promise(group, &accepted, &places, context).await?;
    let written = accepted.iter().zip(places);
    answers.extend(written.map(|((index, _), seq)| (*index, Ok(Answer::Number(seq)))));
    Ok(answers)
}

fn parts(new: &NewDecision) -> Parts<'_> {
    let decision = &new.decision;
    Parts {
        core: values![
            decision.decision_id,
            new.event_time,
            decision.decided_at,
            decision.outcome.as_str(),
            decision.status.as_str(),
            decision.decided_by.as_str(),
            decision.score.value(),
            &decision.policy.sha256,
            &decision.screening.package.sha256,
            new.audited,
        ],
        content: values![
            decision.transaction_id.as_str(),
            new.account_id.as_str(),
            &new.record,
            &new.response,
        ],
    }
}

async fn known(
    group: &mut Group<'_>,
    new: &[(usize, &NewDecision)],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let ids: Vec<_> = new.iter().map(|(_, new)| new.decision.decision_id.into()).collect();
    Ok(group.find(KNOWN, &ids, "decision_id").await?.into_iter().collect())
}

/// The keys that other decisions have settled.
async fn taken(
    group: &mut Group<'_>,
    new: &[(usize, &NewDecision)],
) -> Result<HashSet<String>, sqlx::Error> {
    let keys = new.iter().filter_map(|(_, new)| new.idempotency.as_ref());
    let keys: Vec<_> = keys.map(|idempotency| Value::from(&idempotency.key)).collect();
    // The only number in the text is ours.
    let settled = format!(
        "SELECT key FROM idempotency_keys WHERE decision_id IS NOT NULL AND settled_at > {} AND key",
        group.now - micros(KEY_LIFE)
    );
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    Ok(group.find(&settled, &keys, "key").await?.into_iter().collect())
}

async fn settle(
    group: &mut Group<'_>,
    accepted: &[(usize, &NewDecision)],
) -> Result<(), sqlx::Error> {
    let now = group.now;
    let rows: Vec<_> = accepted
        .iter()
        .filter_map(|(_, new)| Some((new, new.idempotency.as_ref()?)))
        .map(|(new, idempotency)| {
            let id = new.decision.decision_id;
            values![&idempotency.key, &idempotency.fingerprint, id, now]
        })
        .collect();
    let columns = ["key", "fingerprint", "decision_id", "settled_at"];
    insert(group.connection, "idempotency_keys", &columns, &rows, SETTLE).await.map(drop)
}

async fn promise(
    group: &mut Group<'_>,
    accepted: &[(usize, &NewDecision)],
    places: &[i64],
    context: &Context,
) -> Result<(), sqlx::Error> {
    let lease_until = group.now + micros(context.lease);
    let rows: Vec<_> = accepted
        .iter()
        .zip(places)
        .filter_map(|((_, new), seq)| Some((new, seq, new.promise?)))
        .map(|(new, seq, promise)| {
            let decision = &new.decision;
            let (id, at) = (decision.decision_id, decision.decided_at);
            // An analysis is anybody's. A report is being written by who promises it.
            let (owner, lease_until) = match promise {
                Promise::Analysis => (None, 0),
                Promise::Report => (Some(context.instance), lease_until),
            };
            values![id, *seq, promise.as_str(), at, 0_i64, owner, lease_until]
        })
        .collect();
    let columns =
        ["decision_id", "seq", "promise", "promised_at", "attempts", "owner", "lease_until"];
    insert(group.connection, "promises", &columns, &rows, "").await.map(drop)
}
