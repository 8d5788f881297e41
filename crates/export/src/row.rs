//! One decision, flat.

use domain::{
    AccountId, DecidedBy, DecisionId, DecisionStatus, Degraded, Label, Outcome, Score,
    TransactionId, Verdict,
};
use jiff::Timestamp;

/// A decision with what has become known of it, as a row. What an erasure took away is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionRow {
    /// Names the decision.
    pub decision_id: DecisionId,
    /// Names the transaction.
    pub transaction_id: Option<TransactionId>,
    /// Whose transaction it was.
    pub account_id: Option<AccountId>,
    /// When the transaction happened.
    pub event_time: Timestamp,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// What was decided.
    pub outcome: Outcome,
    /// Whether that could still change.
    pub status: DecisionStatus,
    /// Which part decided.
    pub decided_by: DecidedBy,
    /// The score the outcome rests on, 0 to 1.
    pub score: Score,
    /// Tier 1's score.
    pub screening_score: Option<Score>,
    /// Tier 2's score.
    pub analysis_score: Option<Score>,
    /// Tier 2's conclusion.
    pub analysis_verdict: Option<Verdict>,
    /// Why tier 2 could not answer, when it was asked.
    pub degraded: Option<Degraded>,
    /// The version written in the policy.
    pub policy_version: Option<String>,
    /// SHA-256 of the policy document, hexadecimal.
    pub policy_sha256: Option<String>,
    /// Tier 1's package.
    pub screening_package: Option<domain::PackageRef>,
    /// Tier 2's package.
    pub analysis_package: Option<domain::PackageRef>,
    /// The label in force; see [`standing`](crate::standing).
    pub label: Option<Label>,
    /// Whether its personal parts were erased.
    pub erased: bool,
    /// JSON of everything a replay needs, when it is wanted.
    pub record: Option<String>,
    /// The JSON that was answered, when it is wanted.
    pub response: Option<String>,
}

impl DecisionRow {
    /// Bytes of its texts, roughly: what it takes in memory while it waits for its row group.
    pub(crate) fn weight(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        512 + text(&self.record) + text(&self.response)
    }
}
