//! Thresholds, bands, and the shift that moves thresholds.

use domain::{Outcome, RiskLevel, Score};
use serde::{Deserialize, Serialize};

/// Tier 1's thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// At or above: tier 2 looks. Below: tier 1 clears it alone.
    pub escalate: Score,
    /// At or above: declined, unless tier 2 may lower it.
    pub decline: Score,
}

impl Thresholds {
    /// The score in a word.
    #[must_use]
    pub fn risk_level(&self, score: Score) -> RiskLevel {
        match score {
            p if p >= self.decline => RiskLevel::High,
            p if p >= self.escalate => RiskLevel::Medium,
            _ => RiskLevel::Low,
        }
    }

    /// The same with `escalate` moved by `shift` in log-odds, never above `decline`. Zero leaves
    /// it as it is to the bit; 0 and 1 stay where they are.
    #[must_use]
    pub fn shifted(self, shift: Shift) -> Self {
        if shift == Shift::ZERO {
            return self;
        }
        let moved = sigmoid(logit(self.escalate.value()) + shift.value());
        // Twelve decimals are finer than any score and coarser than two machines differ in `ln`.
        let rounded = (moved * 1e12).round() / 1e12;
        let escalate = Score::new(rounded).unwrap_or(self.escalate);
        let escalate = if escalate > self.decline { self.decline } else { escalate };
        Self { escalate, ..self }
    }
}

/// What tier 2's score leads to, and how far it may lower the risk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalysisBands {
    /// At or above this analysis score: challenge. Below: approve.
    pub challenge: Score,
    /// At or above: review.
    pub review: Score,
    /// At or above: decline.
    pub decline: Score,
    /// Tier 2 may make the outcome laxer than tier 1's score alone would only where that score
    /// is below this. Above, it can only confirm or raise.
    pub may_lower_below: Score,
}

impl AnalysisBands {
    /// The outcome of an escalated transaction that tier 2 has analysed: tier 2 raises freely and
    /// lowers only inside its band.
    pub(crate) fn outcome(
        &self,
        thresholds: &Thresholds,
        screening: Score,
        analysis: Score,
    ) -> Outcome {
        let by_analysis = match analysis {
            p if p >= self.decline => Outcome::Decline,
            p if p >= self.review => Outcome::Review,
            p if p >= self.challenge => Outcome::Challenge,
            _ => Outcome::Approve,
        };
        if screening < self.may_lower_below {
            return by_analysis;
        }
        let alone =
            if screening >= thresholds.decline { Outcome::Decline } else { Outcome::Review };
        by_analysis.max(alone)
    }
}

/// How far thresholds are moved, in log-odds (natural logarithm). Above zero fewer transactions
/// are escalated. Finite, at most [`Shift::MAX`] either way.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Shift(f64);

impl Shift {
    /// Thresholds as they are written.
    pub const ZERO: Self = Self(0.0);
    /// The largest shift: odds times or over 22,026.
    pub const MAX: f64 = 10.0;

    /// Checks a shift.
    ///
    /// # Errors
    /// When it is NaN or beyond [`Shift::MAX`] either way.
    pub fn new(value: f64) -> Result<Self, String> {
        if (-Self::MAX..=Self::MAX).contains(&value) {
            // Never -0.0, so that equal shifts are written alike.
            Ok(Self(value + 0.0))
        } else {
            Err(format!("must be between -{} and {}", Self::MAX, Self::MAX))
        }
    }

    /// The log-odds.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Shift {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        Self::new(value)
    }
}

impl From<Shift> for f64 {
    fn from(shift: Shift) -> Self {
        shift.0
    }
}

/// Log-odds of a probability; infinite at 0 and 1.
pub(crate) fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}

/// The probability of log-odds.
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn thresholds(escalate: f64, decline: f64) -> Thresholds {
        Thresholds {
            escalate: Score::new(escalate).unwrap(),
            decline: Score::new(decline).unwrap(),
        }
    }

    #[test]
    fn no_shift_changes_no_bit_and_ends_stay_where_they_are() {
        for escalate in [0.0, 1e-9, 0.02, 0.3, 0.95] {
            let plain = thresholds(escalate, 0.95);
            assert_eq!(plain.shifted(Shift::ZERO), plain);
        }
        for end in [0.0, 1.0] {
            let ends = thresholds(end, 1.0);
            for shift in [-10.0, -0.1, 3.0] {
                assert_eq!(ends.shifted(Shift::new(shift).unwrap()), ends);
            }
        }
        assert!(Shift::new(f64::NAN).is_err() && Shift::new(11.0).is_err());
        assert_eq!(Shift::new(-0.0).unwrap().value().to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn a_shift_of_ln_2_doubles_the_odds() {
        let moved = thresholds(0.2, 0.95).shifted(Shift::new(2.0_f64.ln()).unwrap());
        assert!((moved.escalate.value() - 1.0 / 3.0).abs() < 1e-11);
    }

    proptest! {
        #[test]
        fn a_larger_shift_never_lowers_the_threshold_nor_passes_decline(
            escalate in 0.0..=1.0, a in -10.0..=10.0, b in -10.0..=10.0
        ) {
            let base = thresholds(escalate, 1.0_f64.min(escalate + 0.1));
            let (low, high) = if a <= b { (a, b) } else { (b, a) };
            let low = base.shifted(Shift::new(low).unwrap());
            let high = base.shifted(Shift::new(high).unwrap());
            prop_assert!(low.escalate <= high.escalate && high.escalate <= base.decline);
        }
    }
}
