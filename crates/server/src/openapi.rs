//! The shapes of requests and answers that only HTTP knows, and the document's frame.

use domain::{
    Decision, DecisionId, Label, LabelSource, PackageRef, PolicyRef, Transaction, TransactionId,
    TruthLabel, Violation,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

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
    /// Wait for tier 2 as long as the deadline allows.
    #[schema(rename = "sync")]
    Sync,
    /// Do not wait for tier 2: an escalated transaction gets a provisional decision.
    #[schema(rename = "async")]
    Async,
}

/// A transaction to be decided.
#[derive(ToSchema)]
#[allow(dead_code)] // Only described: requests are read strictly, by hand.
pub(crate) struct ScreenRequest {
    /// What to decide. Unknown members are refused by name.
    transaction: Transaction,
    /// Whether to wait for tier 2; `sync` unless told.
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
    /// What the escalation budget's controller does; absent without a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) budget: Option<policy::ControllerState>,
}

/// A policy that was in force.
#[derive(Serialize, ToSchema)]
pub(crate) struct PolicyVersion {
    /// The version written in it.
    pub(crate) version: String,
    /// SHA-256 of the document, hexadecimal.
    pub(crate) sha256: String,
    /// Whose key put it, or the file it came from.
    pub(crate) author: String,
    /// When it came into force.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) recorded_at: Timestamp,
    /// The TOML document, where one policy is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) document: Option<String>,
}

/// A page of policies.
#[derive(Serialize, ToSchema)]
pub(crate) struct PolicyPage {
    /// Oldest first.
    pub(crate) policies: Vec<PolicyVersion>,
    /// Asks for the next page; null at the end.
    #[schema(required = true)]
    pub(crate) next_cursor: Option<String>,
}

/// Why tier 1 gave its score.
#[derive(ToSchema)]
#[allow(dead_code)] // Only described: the cascade serialises its own.
pub(crate) struct AttributionReport {
    /// The decision.
    decision_id: DecisionId,
    /// The score of the whole.
    score: f64,
    /// Which package scores.
    package: PackageRef,
    /// The parts that are there and that the model sees, the strongest first.
    effects: Vec<AttributionEffect>,
}

/// What one part of the facts contributes to the score.
#[derive(ToSchema)]
#[allow(dead_code)] // Only described: the cascade serialises its own.
pub(crate) struct AttributionEffect {
    /// The part, as a path.
    part: String,
    /// The score without it.
    score_without: f64,
    /// Log-odds with it less log-odds without it: above zero, it speaks for fraud.
    effect: f64,
}

/// A message that is not delivered.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookDelivery {
    /// Its `webhook-id`.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) id: Uuid,
    /// The decision that it tells of.
    pub(crate) decision_id: DecisionId,
    /// The endpoint's name.
    pub(crate) endpoint: String,
    /// What happened.
    pub(crate) event: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    /// How often it was tried in vain.
    pub(crate) attempts: u32,
    /// When it is tried next; absent when it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) next_attempt_at: Option<Timestamp>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_error: Option<String>,
}

/// A page of messages.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryPage {
    /// Oldest first.
    pub(crate) deliveries: Vec<WebhookDelivery>,
    /// Asks for the next page; null at the end.
    #[schema(required = true)]
    pub(crate) next_cursor: Option<String>,
}

/// How the shadows compare.
#[derive(ToSchema)]
#[allow(dead_code)] // Only described: the route serialises its own.
pub(crate) struct ShadowReport {
    /// Shadows counted.
    shadows: u64,
    /// Whether there were more than one report counts.
    truncated: bool,
    /// Under the shadow policy: how many decisions, how many of them otherwise, the share escalated
    /// before and after, and a line for each pair of outcomes.
    #[schema(value_type = Option<Object>)]
    policy: Option<()>,
    /// With the shadow package: the same, with the mean and the largest difference of scores.
    #[schema(value_type = Option<Object>)]
    screening: Option<()>,
}

/// Precision and recall of live decisions.
#[derive(ToSchema)]
#[allow(dead_code)] // Only described: the estimator serialises its own.
pub(crate) struct QualityReport {
    /// Decisions made at or after this time.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Decisions made before this time.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Decisions old enough to be counted.
    mature: u64,
    /// Decisions too young to be counted.
    immature: u64,
    /// Share of flagged decisions that were fraud, with its interval; null while nothing can be said.
    #[schema(value_type = Option<Object>)]
    precision: Option<()>,
    /// Share of fraud that was flagged, with its interval; null without an audit sample.
    #[schema(value_type = Option<Object>)]
    recall: Option<()>,
    /// Decisions that no estimate takes into account: provisional, erased, or audited under a
    /// policy that is not in the record.
    #[schema(value_type = Object)]
    left_out: (),
    /// What the estimates rest on, in words.
    assumptions: Vec<String>,
}

/// Whether live traffic still looks like the package's reference.
#[derive(ToSchema)]
#[allow(dead_code)] // Only described: the monitor serialises its own.
pub(crate) struct DriftReport {
    /// Whether the package has a reference to compare with.
    reference: bool,
    /// The score and each main feature: name, shift (index, its chance without drift) and band.
    #[schema(value_type = Vec<Object>)]
    readings: Vec<()>,
}
