//! What Weir answers, and why.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Code, Score, TransactionId, Typology, transaction::words};

words! {
    /// What the caller should do with the transaction.
    Outcome {
        /// Let it pass.
        Approve = "approve",
        /// Ask the account holder to prove who they are.
        Challenge = "challenge",
        /// Hold it for a person.
        Review = "review",
        /// Refuse it.
        Decline = "decline",
    }
}

words! {
    /// Which part decided.
    DecidedBy {
        /// A hard rule of the policy.
        Rule = "rule",
        /// Tier 1 alone.
        Screening = "screening",
        /// Tier 2's report.
        Analysis = "analysis",
        /// The policy's fallback, because a tier could not answer.
        Fallback = "fallback",
    }
}

words! {
    /// Whether the outcome can still change.
    DecisionStatus {
        /// It stands.
        Final = "final",
        /// An analysis is promised and may change it.
        Provisional = "provisional",
    }
}

words! {
    /// Why tier 2 was asked.
    Escalation {
        /// Tier 1's score reached the threshold.
        Score = "score",
        /// A text tells its reader what to do.
        Text = "text",
        /// A rule of the policy demands it.
        Rule = "rule",
        /// The audit sample of cleared transactions.
        Audit = "audit",
    }
}

words! {
    /// The score in three words.
    RiskLevel {
        /// Below the clear threshold.
        Low = "low",
        /// Between the clear and the decline threshold.
        Medium = "medium",
        /// At or above the decline threshold.
        High = "high",
    }
}

words! {
    /// Tier 2's conclusion.
    Verdict {
        /// Fraud.
        Fraud = "fraud",
        /// Neither clear.
        Suspicious = "suspicious",
        /// Legitimate.
        Legitimate = "legitimate",
    }
}

words! {
    /// How far tier 2's report has come.
    ReportStatus {
        /// It is here.
        Complete = "complete",
        /// It is being written and will be added to the decision.
        Pending = "pending",
        /// Only a verdict was asked for.
        Off = "off",
        /// It could not be finished; the verdict stands.
        Failed = "failed",
    }
}

words! {
    /// Why a tier could not do its work.
    Degraded {
        /// Tier 2 did not finish in time.
        AnalysisLate = "analysis_late",
        /// Tier 2's queue was full.
        AnalysisFull = "analysis_full",
        /// Tier 2 failed or wrote nonsense.
        AnalysisFailed = "analysis_failed",
        /// Tier 2 is switched off.
        AnalysisDisabled = "analysis_disabled",
        /// The ledger could not be written; the decision was answered all the same, as the
        /// settings demand, and will be recorded when the ledger is back.
        LedgerUnavailable = "ledger_unavailable",
    }
}

words! {
    /// A stable reason, checked against the facts before it is given.
    ReasonCode {
        /// The amount is far above the account's habit.
        AmountAboveHabit = "AMOUNT_ABOVE_HABIT",
        /// Many transactions of the account within an hour.
        BurstOfTransactions = "BURST_OF_TRANSACTIONS",
        /// Several small amounts within an hour.
        SmallAmountProbing = "SMALL_AMOUNT_PROBING",
        /// The account has never used this device.
        NewDevice = "NEW_DEVICE",
        /// The account has never paid this counterparty.
        NewCounterparty = "NEW_COUNTERPARTY",
        /// The counterparty itself has been seen for the first time lately.
        YoungCounterparty = "YOUNG_COUNTERPARTY",
        /// The counterparty is in another country than the account.
        ForeignCounterparty = "FOREIGN_COUNTERPARTY",
        /// The network address is in another country than the account.
        ForeignNetwork = "FOREIGN_NETWORK",
        /// Many accounts pay this counterparty for the first time.
        CounterpartyFanIn = "COUNTERPARTY_FAN_IN",
        /// Fraud was confirmed at this terminal.
        TerminalFraudHistory = "TERMINAL_FRAUD_HISTORY",
        /// Fraud was confirmed with this counterparty.
        CounterpartyFraudHistory = "COUNTERPARTY_FRAUD_HISTORY",
        /// Fraud was confirmed on this account or card.
        AccountFraudHistory = "ACCOUNT_FRAUD_HISTORY",
        /// The account was opened within the last 30 days.
        YoungAccount = "YOUNG_ACCOUNT",
        /// Repeated refunds within the last 30 days.
        RepeatedRefunds = "REPEATED_REFUNDS",
        /// Made between midnight and five, local or UTC.
        NightTime = "NIGHT_TIME",
        /// The card was read by its stripe or keyed in.
        WeakCardEntry = "WEAK_CARD_ENTRY",
        /// A large part of the last day's spending happened in this transaction.
        RapidDrain = "RAPID_DRAIN",
        /// The words resemble those of known scams.
        ScamWording = "SCAM_WORDING",
        /// Tier 1's score alone.
        ScreeningScore = "SCREENING_SCORE",
        /// A text tells its reader what to do. Only the detector gives this code, no model.
        InstructionLikeText = "INSTRUCTION_LIKE_TEXT",
    }
}

impl ReasonCode {
    /// Whether a model may claim this code, and is told of it. The list is the one that the
    /// shipped decoder was trained on.
    #[must_use]
    pub fn is_for_models(self) -> bool {
        self != Self::InstructionLikeText
    }
}

/// Names a decision: a version 7 UUID, so that names sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = String, format = "uuid"))]
pub struct DecisionId(pub Uuid);

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A model package, by name and by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PackageRef {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 over its files, hexadecimal.
    pub sha256: String,
}

/// A policy, by version and by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PolicyRef {
    /// The version written in the policy.
    pub version: String,
    /// SHA-256 of the policy document, hexadecimal.
    pub sha256: String,
}

/// A reason for the outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Reason {
    /// The stable code: one of Weir's own, or that of a rule of the policy.
    #[cfg_attr(
        feature = "schema",
        schema(value_type = String, pattern = "^[A-Z][A-Z0-9_]{2,63}$", example = "NEW_DEVICE")
    )]
    pub code: Code,
    /// The facts behind it, in words.
    pub detail: String,
}

/// Tier 1's part of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Screening {
    /// Calibrated probability of fraud.
    pub score: Score,
    /// Which package scored.
    pub package: PackageRef,
}

/// Tier 2's part of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Analysis {
    /// The conclusion.
    pub verdict: Verdict,
    /// Calibrated probability of fraud from the verdict's token probabilities.
    pub score: Score,
    /// Whether the score rests on token probabilities; an engine that tells none is taken at its
    /// word.
    pub calibrated: bool,
    /// What the score would be without the memo, where the case was judged a second time; the
    /// higher of both counts, with its verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_without_memo: Option<Score>,
    /// How far the report has come; what follows is from it.
    pub report: ReportStatus,
    /// The pattern recognised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typology: Option<Typology>,
    /// The reasons the facts support.
    pub reasons: Vec<Reason>,
    /// What the model would do; advice, not the outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Outcome>,
    /// The account of the case; absent when it stated something the facts do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub narrative: Option<String>,
    /// Which package analysed.
    pub package: PackageRef,
}

/// How long each stage took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StageTimings {
    /// Velocity lookup and update.
    pub velocity: f64,
    /// Tier 1: template and tokens.
    pub screening_prepare: f64,
    /// Tier 1: waiting for a worker.
    pub screening_queue: f64,
    /// Tier 1: the model.
    pub screening_run: f64,
    /// Tier 2: prompt and tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_prepare: Option<f64>,
    /// Tier 2: waiting for a slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_queue: Option<f64>,
    /// Tier 2: from the start of its run to the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_verdict: Option<f64>,
    /// Tier 2: its whole run as far as this answer waited for it, the verdict included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_run: Option<f64>,
    /// From the parsed request to the decision, before the ledger.
    pub total: f64,
}

/// The first answer of a decision that was completed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Provisional {
    /// What the caller was told to do.
    pub outcome: Outcome,
    /// When (server time).
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub decided_at: Timestamp,
}

/// The answer to one transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Decision {
    /// Names this decision.
    pub decision_id: DecisionId,
    /// Names the transaction.
    pub transaction_id: TransactionId,
    /// When it was decided (server time).
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub decided_at: Timestamp,
    /// What to do.
    pub outcome: Outcome,
    /// Whether it can still change.
    pub status: DecisionStatus,
    /// Which part decided.
    pub decided_by: DecidedBy,
    /// The score the outcome rests on.
    pub score: Score,
    /// The score in a word.
    pub risk_level: RiskLevel,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Tier 1's part.
    pub screening: Screening,
    /// Tier 2's part, when it was asked and answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
    /// Why tier 2 was asked; absent where tier 1 or a rule decided alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated: Option<Escalation>,
    /// Why a part of the service could not do its work, when it was needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded: Option<Degraded>,
    /// What was answered first, where an analysis that had been promised came after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisional: Option<Provisional>,
    /// Under which policy.
    pub policy: PolicyRef,
    /// How long each stage took.
    pub timings_ms: StageTimings,
}
