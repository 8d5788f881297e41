//! From rows to entries.

use domain::{Label, PolicyRef, Score};

use crate::{
    DecisionContent, Entry, LabelId, LedgerError, Origin, StoredDecision, StoredLabel, StoredNote,
    StoredPolicy, StoredTransaction,
    sql::{Fields, Row},
};

/// Needs the columns of [`super::decisions::COLUMNS`].
pub(super) fn decision(row: Row) -> Result<StoredDecision, LedgerError> {
    let fields = Fields::new(row)?;
    // A completion of before the chain left these as they were.
    let outcome = fields.parse_if_there("completed_outcome")?;
    let status = fields.parse_if_there("completed_status")?;
    let decided_by = fields.parse_if_there("completed_decided_by")?;
    let score = match fields.get::<Option<f64>>("completed_score")? {
        Some(score) => score,
        None => fields.get("score")?,
    };
    Ok(StoredDecision {
        seq: fields.seq,
        decision_id: fields.decision_id()?,
        event_time: fields.time("event_time")?,
        decided_at: fields.time("decided_at")?,
        outcome: outcome.map_or_else(|| fields.parse("outcome"), Ok)?,
        status: status.map_or_else(|| fields.parse("status"), Ok)?,
        decided_by: decided_by.map_or_else(|| fields.parse("decided_by"), Ok)?,
        score: Score::new(score).map_err(|error| fields.corrupt("score", error))?,
        audited: fields.get("audited")?,
        promised: fields.parse_if_there("promise")?,
        completed_at: fields.time_if_there("completed_at")?,
        content: content(&fields)?,
    })
}

fn content(fields: &Fields) -> Result<Option<DecisionContent>, LedgerError> {
    let Some(record) = fields.get::<Option<String>>("record")? else { return Ok(None) };
    let first_response: String = fields.get("response")?;
    let completed: Option<String> = fields.get("completed_response")?;
    Ok(Some(DecisionContent {
        transaction_id: fields.parse("transaction_id")?,
        account_id: fields.parse("account_id")?,
        record,
        response: completed.unwrap_or_else(|| first_response.clone()),
        first_response,
        completion: fields.get("completed_record")?,
    }))
}

/// Needs all columns of `labels`, and that its account is not erased.
pub(super) fn label(row: Row) -> Result<StoredLabel, LedgerError> {
    let fields = Fields::new(row)?;
    Ok(StoredLabel {
        id: LabelId(fields.seq),
        transaction_id: fields.parse("transaction_id")?,
        decision_id: fields.get::<Option<_>>("decision_id")?.map(domain::DecisionId),
        label: Label {
            label: fields.parse("label")?,
            source: fields.parse("source")?,
            effective_at: fields.time("effective_at")?,
            reversed: fields.get("reversed")?,
        },
        recorded_at: fields.time("recorded_at")?,
    })
}

/// As [`label`].
pub(super) fn label_entry(row: Row) -> Result<Entry, LedgerError> {
    label(row).map(Entry::Label)
}

/// Needs the columns of `events`, and `origin`.
pub(super) fn transaction(row: Row) -> Result<StoredTransaction, LedgerError> {
    let fields = Fields::new(row)?;
    let origin = match fields.get::<&str>("origin")? {
        "decision" => Origin::Decision,
        "event" => Origin::Event,
        other => return Err(fields.corrupt("origin", other)),
    };
    Ok(StoredTransaction {
        seq: fields.seq,
        origin,
        transaction_id: fields.parse("transaction_id")?,
        account_id: fields.parse("account_id")?,
        event_time: fields.time("event_time")?,
        record: fields.get("record")?,
    })
}

/// As [`transaction`].
pub(super) fn transaction_entry(row: Row) -> Result<Entry, LedgerError> {
    transaction(row).map(Entry::Transaction)
}

/// Needs all columns of `policies`.
pub(super) fn policy(row: Row) -> Result<StoredPolicy, LedgerError> {
    let fields = Fields::new(row)?;
    Ok(StoredPolicy {
        seq: fields.seq,
        reference: PolicyRef { version: fields.get("version")?, sha256: fields.get("sha256")? },
        document: fields.get("document")?,
        author: fields.get("author")?,
        recorded_at: fields.time("recorded_at")?,
    })
}

/// Needs all columns of `notes`, and that its account is not erased.
pub(super) fn note(row: Row) -> Result<StoredNote, LedgerError> {
    let fields = Fields::new(row)?;
    Ok(StoredNote {
        seq: fields.seq,
        decision_id: fields.decision_id()?,
        kind: fields.parse("kind")?,
        recorded_at: fields.time("recorded_at")?,
        record: fields.get("record")?,
    })
}
