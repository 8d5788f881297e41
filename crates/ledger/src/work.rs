//! What is owed: promised work, keys in flight, deliveries.

use std::{fmt, str::FromStr};

use domain::DecisionId;
use jiff::Timestamp;
use uuid::Uuid;

use crate::StoredDecision;

/// What is still owed with a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Promise {
    /// The decision is provisional: an analysis will make it final.
    Analysis,
    /// The decision stands: a report will be added to it.
    Report,
}

impl Promise {
    /// Its word in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Analysis => "analysis",
            Self::Report => "report",
        }
    }
}

impl FromStr for Promise {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "analysis" => Ok(Self::Analysis),
            "report" => Ok(Self::Report),
            _ => Err("must be analysis or report".to_owned()),
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Promised work that was taken up.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingWork {
    /// The decision as it stands; never an erased one.
    pub decision: StoredDecision,
    /// What is owed.
    pub promise: Promise,
    /// When it was promised.
    pub promised_at: Timestamp,
    /// How often it was claimed, this time included. The instance that promised it claims it
    /// silently, and is not counted.
    pub attempts: u32,
}

/// How much is owed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many promises are open, held by someone or not.
    pub count: u64,
    /// When the oldest of them was made.
    pub oldest: Option<Timestamp>,
}

/// What a caller repeats to say that a request is the same as before.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// The key as it was given. Bound its length before.
    pub key: String,
    /// A hash of the request; another request with the same key is a mistake.
    pub fingerprint: [u8; 32],
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdempotencyKey").field(&self.key).finish()
    }
}

/// What became of an attempt to reserve a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Reservation {
    /// The key is this caller's: end with a decision that settles it, or with
    /// [`release`](crate::Ledger::release).
    Reserved,
    /// Another attempt with this key and request is under way.
    InFlight,
    /// The request was answered before, by this decision.
    Answered(Box<StoredDecision>),
    /// The key stands for another request.
    Mismatch,
}

/// A message to be delivered outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Names the message; the same for each attempt.
    pub id: Uuid,
    /// Where it goes; opaque here.
    pub endpoint: String,
    /// What it tells of.
    pub event: String,
    /// Its exact text.
    pub body: String,
}

/// A message that is not delivered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its place in the sequence.
    pub seq: i64,
    /// Names the message; the same for each attempt.
    pub id: Uuid,
    /// The decision that it tells of.
    pub decision_id: DecisionId,
    /// Where it goes.
    pub endpoint: String,
    /// What it tells of.
    pub event: String,
    /// Its exact text.
    pub body: String,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// When it is to be tried next.
    pub next_attempt_at: Timestamp,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Whether it was given up.
    pub dead: bool,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be tried, now or later.
    Pending,
    /// Given up.
    Dead,
}
