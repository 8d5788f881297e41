//! What mistakes cost, and the thresholds that follow.

use serde::{Deserialize, Serialize};

use crate::error::EvaluationError;

/// Costs in the currency of the amounts, in major units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Declining a legitimate transaction: whatever its amount.
    pub false_alarm: f64,
    /// Declining a legitimate transaction: this share of its amount besides.
    pub false_alarm_share: f64,
    /// Clearing a fraud: whatever its amount (handling, a chargeback's fee).
    pub missed: f64,
    /// Clearing a fraud: this many times its amount besides; 1 where all of it is lost.
    pub missed_share: f64,
    /// One escalation: computing an analysis, delaying or challenging a customer.
    pub escalation: f64,
}

/// Amounts from one value to below another, with the thresholds for them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AmountBand {
    /// From this amount on, in major units; 0 for the first band.
    pub from: f64,
    /// Below this amount; absent for the last band.
    pub below: Option<f64>,
    /// How many transactions were seen in it.
    pub count: usize,
    /// Their mean amount.
    pub mean_amount: f64,
    /// Decline at this probability or above.
    pub decline: f64,
    /// Escalate at this probability or above.
    pub escalate: f64,
}

impl Costs {
    /// Checks the costs.
    ///
    /// # Errors
    /// When one is negative or not finite, or neither kind of mistake costs anything.
    pub fn check(&self) -> Result<(), EvaluationError> {
        let all = [
            ("the cost of a false alarm", self.false_alarm),
            ("the share a false alarm costs", self.false_alarm_share),
            ("the cost of a missed fraud", self.missed),
            ("the share a missed fraud costs", self.missed_share),
            ("the cost of an escalation", self.escalation),
        ];
        for (name, value) in all {
            if !(value.is_finite() && value >= 0.0) {
                return Err(EvaluationError::OutOfRange { name, value, range: "0 or more" });
            }
        }
        for (name, value) in [
            ("the cost of a false alarm", self.false_alarm + self.false_alarm_share),
            ("the cost of a missed fraud", self.missed + self.missed_share),
        ] {
            if value == 0.0 {
                return Err(EvaluationError::OutOfRange { name, value, range: "above 0" });
            }
        }
        Ok(())
    }

    /// What declining a legitimate transaction of this amount costs.
    #[must_use]
    pub fn of_false_alarm(&self, amount: f64) -> f64 {
        self.false_alarm + self.false_alarm_share * amount
    }

    /// What clearing a fraud of this amount costs.
    #[must_use]
    pub fn of_missed(&self, amount: f64) -> f64 {
        self.missed + self.missed_share * amount
    }

    /// The probability from which declining costs less than clearing:
    /// `C_FP / (C_FP + C_FN(amount))`.
    ///
    /// Elkan, "The foundations of cost-sensitive learning" (IJCAI 2001, equation 2, correct
    /// decisions costing nothing); by amount: Bahnsen, Stojanovic, Aouada and Ottersten, "Improving
    /// credit card fraud detection with calibrated probabilities" (SDM 2014), Bayes minimum risk.
    #[must_use]
    pub fn decline_threshold(&self, amount: f64) -> f64 {
        let (alarm, missed) = (self.of_false_alarm(amount), self.of_missed(amount));
        if alarm + missed > 0.0 { alarm / (alarm + missed) } else { 1.0 }
    }

    /// The probability from which an escalation costs less than the fraud it may find:
    /// `C_E / C_FN(amount)`, at most 1. The same minimum risk, for an analysis that is right; one
    /// that finds only part of the fraud is worth a higher threshold.
    #[must_use]
    pub fn escalate_threshold(&self, amount: f64) -> f64 {
        let missed = self.of_missed(amount);
        if missed > 0.0 { (self.escalation / missed).min(1.0) } else { 1.0 }
    }

    /// Thresholds for bands of amounts, split at `edges` (rising, above 0). Bands without any
    /// transaction are left out.
    ///
    /// One threshold serves a whole band: the one at the mean amount, which costs least among all
    /// single thresholds because both costs are linear in the amount (as far as probability and
    /// amount are independent within the band).
    #[must_use]
    pub fn bands(&self, edges: &[f64], amounts: &[f64]) -> Vec<AmountBand> {
        let starts = std::iter::once(0.0).chain(edges.iter().copied());
        let ends = edges.iter().copied().map(Some).chain([None]);
        let band = |(from, below): (f64, Option<f64>)| {
            let inside =
                |amount: &&f64| **amount >= from && below.is_none_or(|below| **amount < below);
            let (count, sum) =
                amounts.iter().filter(inside).fold((0, 0.0), |(n, sum), a| (n + 1, sum + a));
            let mean_amount = sum / f64::from(u32::try_from(count).unwrap_or(u32::MAX));
            (count > 0).then(|| AmountBand {
                from,
                below,
                count,
                mean_amount,
                decline: self.decline_threshold(mean_amount),
                escalate: self.escalate_threshold(mean_amount),
            })
        };
        starts.zip(ends).filter_map(band).collect()
    }
}

/// What decisions by tier 1 alone cost in all: items are `(amount, fraud, declined)`.
#[must_use]
pub fn bayes_cost(costs: &Costs, decided: impl Iterator<Item = (f64, bool, bool)>) -> f64 {
    decided
        .map(|(amount, fraud, declined)| match (fraud, declined) {
            (true, false) => costs.of_missed(amount),
            (false, true) => costs.of_false_alarm(amount),
            (true, true) | (false, false) => 0.0,
        })
        .sum()
}
