//! The shapes of requests and answers that only HTTP knows, and the document's frame.

use domain::{
    Decision, DecisionId, Label, LabelSource, PackageRef, PolicyRef, Transaction, TransactionId,
    TruthLabel, Violation,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

/// The document's frame; routes add themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Weir",
        description = "Screens payments for fraud in two tiers. Errors are problem details (RFC 9457)."
    ),
    tags(
        (name = "screening", description = "Decide transactions."),
        (name = "decisions", description = "Read decisions back."),
        (name = "labels", description = "Tell what transactions turned out to be."),
        (name = "events", description = "Warm velocity with the past."),
        (name = "operations", description = "Run the service.")
    )
)]
pub(crate) struct Frame;

/// Whether to wait for the answer.
#[derive(ToSchema)]
#[allow(dead_code)] // Only described: requests are read strictly, by hand.
pub(crate) enum Mode {
    /// Wait.
    #[schema(rename = "sync")]
    Sync,
}

/// A transaction to be decided.
#[derive(ToSchema)]
#[allow(dead_code)] // Only described: requests are read strictly, by hand.
pub(crate) struct ScreenRequest {
    /// What to decide. Unknown members are refused by name.
    transaction: Transaction,
    /// Only `sync` in this version.
    mode: Option<Mode>,
    /// When the answer is needed, in milliseconds from the request's arrival.
    #[schema(minimum = 1, maximum = 60000)]
    deadline_ms: Option<u32>,
    /// Decide without a trace: velocity is not moved, nothing is recorded.
    dry_run: Option<bool>,
}

/// A label for a transaction.
#[derive(ToSchema)]
#[allow(dead_code)] // Only described: requests are read strictly, by hand.
pub(crate) struct TransactionLabel {
    /// A transaction that was screened or backfilled.
    transaction_id: TransactionId,
    /// What it turned out to be.
    label: TruthLabel,
    /// Who says so.
    source: LabelSource,
    /// From when on the truth was known.
    #[schema(value_type = String, format = DateTime)]
    effective_at: Timestamp,
    /// Takes back an earlier label of this transaction.
    reversed: Option<bool>,
}

/// A label as recorded.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordedLabel {
    /// The transaction it speaks of.
    pub(crate) transaction_id: TransactionId,
    /// The decision through which it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decision_id: Option<DecisionId>,
    /// The truth, or its reversal.
    #[serde(flatten)]
    pub(crate) label: Label,
    /// When it arrived.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) recorded_at: Timestamp,
}

/// A page of decisions.
#[derive(ToSchema)]
#[allow(dead_code)] // Only described: stored answers are passed on as they are.
pub(crate) struct DecisionPage {
    /// Oldest first.
    decisions: Vec<Decision>,
    /// Asks for the next page; null at the end.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// How a backfill went.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Backfill {
    /// Lines counted, those counted before included.
    pub(crate) accepted: u64,
    /// Lines refused.
    pub(crate) rejected: u64,
    /// The first ten of them.
    pub(crate) errors: Vec<BackfillError>,
}

/// A line refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackfillError {
    /// From 1.
    pub(crate) line: u64,
    /// What is wrong.
    pub(crate) detail: String,
    /// Each thing that is wrong, with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(crate) errors: Vec<Violation>,
}

/// The state of the service.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// In a word.
    pub(crate) status: &'static str,
}

/// The packages in use.
#[derive(Serialize, ToSchema)]
pub(crate) struct Models {
    /// Tier 1.
    pub(crate) screening: PackageRef,
    /// Tier 2; null when it is switched off.
    #[schema(required = true)]
    pub(crate) analysis: Option<PackageRef>,
}

/// The policy in force.
#[derive(Serialize, ToSchema)]
pub(crate) struct PolicyInForce {
    /// Version and hash.
    #[serde(flatten)]
    pub(crate) policy: PolicyRef,
    /// The TOML document.
    pub(crate) document: String,
}
