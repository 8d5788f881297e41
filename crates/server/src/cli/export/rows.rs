//! What the ledger holds of a decision, as a row.

use domain::{Decision, Label};
use export::DecisionRow;
use ledger::StoredDecision;
use serde::de::IgnoredAny;

/// The decision as it was answered last; `None` when it was erased.
///
/// # Errors
/// When it is not the JSON expected.
pub(super) fn answered(stored: &StoredDecision) -> Result<Option<Decision>, serde_json::Error> {
    stored.content.as_ref().map(|content| serde_json::from_str(&content.response)).transpose()
}

/// The row of a decision. Without `decision` it has what the ledger keeps outside of the JSON.
pub(super) fn row(
    stored: &StoredDecision,
    decision: Option<&Decision>,
    label: Option<Label>,
) -> DecisionRow {
    let content = stored.content.as_ref();
    let analysis = decision.and_then(|decision| decision.analysis.as_ref());
    let policy = decision.map(|decision| &decision.policy);
    DecisionRow {
        decision_id: stored.decision_id,
        transaction_id: content.map(|content| content.transaction_id.clone()),
        account_id: content.map(|content| content.account_id.clone()),
        event_time: stored.event_time,
        decided_at: stored.decided_at,
        outcome: stored.outcome,
        status: stored.status,
        decided_by: stored.decided_by,
        score: stored.score,
        screening_score: decision.map(|decision| decision.screening.score),
        analysis_score: analysis.map(|analysis| analysis.score),
        analysis_verdict: analysis.map(|analysis| analysis.verdict),
        degraded: decision.and_then(|decision| decision.degraded),
        policy_version: policy.map(|policy| policy.version.clone()),
        policy_sha256: policy.map(|policy| policy.sha256.clone()),
        screening_package: decision.map(|decision| decision.screening.package.clone()),
        analysis_package: analysis.map(|analysis| analysis.package.clone()),
        label,
        erased: stored.is_erased(),
        record: None,
        response: None,
    }
}

/// Adds the record and the answer as they were stored.
///
/// # Errors
/// When the record is no JSON; the row stays without them.
pub(super) fn add_texts(
    row: &mut DecisionRow,
    stored: &StoredDecision,
) -> Result<(), serde_json::Error> {
    if let Some(content) = &stored.content {
        serde_json::from_str::<IgnoredAny>(&content.record)?;
        row.record = Some(content.record.clone());
        row.response = Some(content.response.clone());
    }
    Ok(())
}
