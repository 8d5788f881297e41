//! Everything known about a transaction when it is judged.

use std::borrow::Cow;

use domain::{CountryCode, Score, Transaction};
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use velocity::VelocityFacts;

use crate::hostile::{self, Instruction, TextField};

/// The facts a template, a reason or a rule may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The transaction as parsed.
    pub transaction: Transaction,
    /// Velocity just before it.
    pub velocity: VelocityFacts,
    /// What follows from the transaction alone.
    pub derived: Derived,
    /// Tier 1's score, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screening_score: Option<Score>,
}

/// What follows from the transaction alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Derived {
    /// Hour of the day, UTC, 0 to 23.
    pub hour: i8,
    /// Amount in major units.
    pub amount: f64,
    /// Days since the account was opened.
    pub account_age_days: Option<f64>,
    /// Days since the institution first saw the counterparty.
    pub counterparty_age_days: Option<f64>,
    /// Whether the counterparty is in another country than the account.
    pub foreign_counterparty: Option<bool>,
    /// Whether the network address is in another country than the account.
    pub foreign_network: Option<bool>,
    /// The texts that tell their reader what to do; absent when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instructions: Vec<Instruction>,
}

impl Facts {
    /// Gathers the facts about a transaction.
    #[must_use]
    pub fn new(transaction: Transaction, velocity: VelocityFacts) -> Self {
        let derived = Derived::of(&transaction);
        Self { transaction, velocity, derived, screening_score: None }
    }

    /// The same facts with tier 1's score.
    #[must_use]
    pub fn with_score(mut self, score: Score) -> Self {
        self.screening_score = Some(score);
        self
    }

    /// The facts as a model may read them: texts that tell it what to do are left out, as if
    /// they had not been sent. Without such texts, these facts themselves.
    #[must_use]
    pub fn for_models(&self) -> Cow<'_, Self> {
        if self.derived.instructions.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut facts = self.clone();
        for instruction in std::mem::take(&mut facts.derived.instructions) {
            hostile::leave_out(instruction.field, &mut facts.transaction);
        }
        Cow::Owned(facts)
    }

    /// The facts without any free text: neither memo nor name, user agent or text attributes.
    #[must_use]
    pub fn without_text(&self) -> Self {
        let mut facts = self.clone();
        facts.derived.instructions.clear();
        for field in TextField::ALL {
            hostile::leave_out(*field, &mut facts.transaction);
        }
        facts
    }
}

impl Derived {
    fn of(transaction: &Transaction) -> Self {
        let home = transaction.account.country;
        let counterparty = transaction.counterparty.as_ref();
        let network = transaction.device.as_ref().and_then(|device| device.ip_country);
        let days_before = |at: Timestamp| {
            (transaction.timestamp.duration_since(at).as_secs_f64() / 86_400.0).max(0.0)
        };
        Self {
            hour: transaction.timestamp.to_zoned_datetime(TimeZone::UTC).hour(),
            amount: transaction.amount.to_f64(),
            account_age_days: transaction.account.opened_at.map(days_before),
            counterparty_age_days: counterparty.and_then(|c| c.first_seen).map(days_before),
            foreign_counterparty: differ(home, counterparty.and_then(|c| c.country)),
            foreign_network: differ(home, network),
            instructions: hostile::instructions(transaction),
        }
    }
}

/// Whether two countries differ, when both are known.
fn differ(a: Option<CountryCode>, b: Option<CountryCode>) -> Option<bool> {
    a.zip(b).map(|(a, b)| a != b)
}
