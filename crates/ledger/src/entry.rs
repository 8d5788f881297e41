//! What is recorded of transactions: decisions, completions, events, labels.

use std::fmt;

use domain::{
    AccountId, DecidedBy, Decision, DecisionId, DecisionStatus, Label, Outcome, Score,
    TransactionId,
};
use jiff::Timestamp;

use crate::{IdempotencyKey, NewDelivery, Promise};

/// A decision to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDecision {
    /// What was decided; the ledger keeps what it can be found by.
    pub decision: Decision,
    /// Whose transaction it was.
    pub account_id: AccountId,
    /// When the transaction happened.
    pub event_time: Timestamp,
    /// JSON of everything a replay needs; opaque here.
    pub record: String,
    /// The exact JSON that was answered.
    pub response: String,
    /// The key that this decision settles, in the same commit.
    pub idempotency: Option<IdempotencyKey>,
    /// What is still owed with it; recorded in the same commit. A report is held by this
    /// instance; an analysis is nobody's until it is claimed.
    pub promise: Option<Promise>,
    /// Whether it was escalated by chance, for the sake of an honest estimate.
    pub audited: bool,
}

/// What was decided or written after a decision had been answered.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCompletion {
    /// The decision as it stands from now on. The ledger does not check that it is known.
    pub decision: Decision,
    /// When it was completed.
    pub completed_at: Timestamp,
    /// JSON of what a replay needs beside the decision's record; opaque here.
    pub record: String,
    /// What the decision is answered with from now on; its JSON.
    pub response: String,
    /// Who is to be told; recorded in the same commit.
    pub deliveries: Vec<NewDelivery>,
}

/// A transaction that was only observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Names the transaction.
    pub transaction_id: TransactionId,
    /// Whose transaction it was.
    pub account_id: AccountId,
    /// When it happened.
    pub event_time: Timestamp,
    /// JSON of the transaction; opaque here.
    pub record: String,
}

/// A label to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLabel {
    /// The transaction that it speaks of. The ledger does not check that it is known.
    pub transaction_id: TransactionId,
    /// The decision through which it was given, if any.
    pub decision_id: Option<DecisionId>,
    /// The truth, or its reversal.
    pub label: Label,
    /// When it arrived.
    pub recorded_at: Timestamp,
}

/// Names a recorded label; also its place in the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelId(pub i64);

impl fmt::Display for LabelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A recorded decision as it stands: once completed, outcome, status, deciding part, score and
/// response are those of the completion.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredDecision {
    /// Its place in the sequence.
    pub seq: i64,
    /// Names the decision.
    pub decision_id: DecisionId,
    /// When the transaction happened.
    pub event_time: Timestamp,
    /// When it was first decided.
    pub decided_at: Timestamp,
    /// What was decided.
    pub outcome: Outcome,
    /// Whether that could still change.
    pub status: DecisionStatus,
    /// Which part decided.
    pub decided_by: DecidedBy,
    /// The score the outcome rests on.
    pub score: Score,
    /// Whether it was escalated by chance.
    pub audited: bool,
    /// What is still owed with it.
    pub promised: Option<Promise>,
    /// When it was completed, if it was.
    pub completed_at: Option<Timestamp>,
    /// What may be personal; absent once the account was erased.
    pub content: Option<DecisionContent>,
}

impl StoredDecision {
    /// Whether its account was erased.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.content.is_none()
    }
}

/// The part of a decision that goes when its account is erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionContent {
    /// Names the transaction.
    pub transaction_id: TransactionId,
    /// Whose transaction it was.
    pub account_id: AccountId,
    /// JSON of everything a replay needs, as it was given.
    pub record: String,
    /// The exact JSON that was answered first.
    pub first_response: String,
    /// The JSON to answer with now: the completion's, once there is one.
    pub response: String,
    /// The completion's record, once there is one.
    pub completion: Option<String>,
}

/// A recorded label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLabel {
    /// Names the label; also its place in the sequence.
    pub id: LabelId,
    /// The transaction that it speaks of.
    pub transaction_id: TransactionId,
    /// The decision through which it was given, if any.
    pub decision_id: Option<DecisionId>,
    /// The truth, or its reversal.
    pub label: Label,
    /// When it arrived.
    pub recorded_at: Timestamp,
}

/// How a transaction came to be known; tells how to read its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// It was decided: the record is that of a [`NewDecision`].
    Decision,
    /// It was only observed: the record is that of a [`NewEvent`].
    Event,
}

/// A recorded transaction, decided or only observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTransaction {
    /// Its place in the sequence.
    pub seq: i64,
    /// How it came to be known.
    pub origin: Origin,
    /// Names the transaction.
    pub transaction_id: TransactionId,
    /// Whose transaction it was.
    pub account_id: AccountId,
    /// When it happened.
    pub event_time: Timestamp,
    /// The record, as it was given.
    pub record: String,
}

/// One step of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A transaction was recorded. The same transaction appears again when it was decided more
    /// than once, or both observed and decided.
    Transaction(StoredTransaction),
    /// A label was recorded.
    Label(StoredLabel),
}

impl Entry {
    /// Its place in the sequence.
    #[must_use]
    pub fn seq(&self) -> i64 {
        match self {
            Self::Transaction(transaction) => transaction.seq,
            Self::Label(label) => label.id.0,
        }
    }
}
