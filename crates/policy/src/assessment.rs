//! What a policy says of one transaction before tier 2 has looked, and what follows once it has.

use domain::{DecidedBy, Escalation, Outcome, RiskLevel, Score, Transaction};
use serde::{Deserialize, Serialize};

use crate::{
    budget::{Demand, Observation},
    rules::{RuleError, RuleHit},
    thresholds::{AnalysisBands, Shift, Thresholds},
};

/// What is assessed.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a, F> {
    /// The transaction, for segments, fallback bands and the audit sample.
    pub transaction: &'a Transaction,
    /// What rules see: serialises to a map of `transaction`, `velocity` and `derived`. Read only
    /// where the policy has rules.
    pub facts: &'a F,
    /// Tier 1's score.
    pub screening: Score,
    /// Whether a text of the transaction was found to give instructions.
    pub instructed: bool,
}

/// Where a transaction goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Tier 1 clears it alone, as far as floors let it.
    Clear,
    /// A rule decides, floors included; no model is asked.
    Decided(Outcome),
    /// Tier 2 looks.
    Escalate(Escalation),
}

/// All that a policy says of one transaction: it goes into the record, so that a replay computes
/// it again and compares, and so that an analysis that comes later is judged under the policy
/// that asked for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// How far thresholds were moved.
    pub shift: Shift,
    /// The segment; `None` when none matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// The segment's thresholds as they are written.
    pub written: Thresholds,
    /// The thresholds in force, shifted.
    pub thresholds: Thresholds,
    /// What tier 2's score will lead to.
    pub analysis: AnalysisBands,
    /// The outcome if tier 2 is asked and cannot answer, before the floor.
    pub fallback: Outcome,
    /// The rule that decides, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleHit>,
    /// Rules that set the least strict outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub floors: Vec<RuleHit>,
    /// Rules that ask for tier 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalations: Vec<RuleHit>,
    /// The strictest of the floors, and of the policy's `[text] instruction_like` where a text
    /// gives instructions.
    pub floor: Outcome,
    /// Whether a text gives instructions.
    pub instructed: bool,
    /// Whether the audit sample draws this transaction's identifier.
    pub drawn: bool,
    /// Where it goes.
    pub route: Route,
    /// Rules that could not be evaluated; they count as not matched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule_errors: Vec<RuleError>,
}

/// What the assessment and tier 2, if it answered, lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conclusion {
    /// What to do.
    pub outcome: Outcome,
    /// Which part decided.
    pub decided_by: DecidedBy,
    /// The score that the outcome rests on, in a word: under the thresholds as they are written,
    /// so that it does not change with the load.
    pub risk_level: RiskLevel,
}

impl Assessment {
    /// Every rule that holds.
    pub fn hits(&self) -> impl Iterator<Item = &RuleHit> {
        self.rule.iter().chain(&self.floors).chain(&self.escalations)
    }

    /// Whether tier 2 is asked only because the audit sample drew the transaction.
    #[must_use]
    pub fn audited(&self) -> bool {
        self.route == Route::Escalate(Escalation::Audit)
    }

    /// What the budget's controller is told of this transaction.
    #[must_use]
    pub fn observation(&self, screening: Score) -> Observation {
        let forced = !self.escalations.is_empty()
            || self.instructed
            || (self.drawn && self.floor == Outcome::Approve);
        let demand = match self.route {
            Route::Decided(_) => Demand::Never,
            Route::Clear | Route::Escalate(_) if forced => Demand::Always,
            Route::Clear | Route::Escalate(_) => Demand::of(screening, &self.written),
        };
        Observation { demand, escalated: matches!(self.route, Route::Escalate(_)) }
    }

    /// The outcome. `screening` is the score that was assessed; `analysis` is tier 2's, or `None`
    /// where it was not asked or could not answer.
    ///
    /// A rule that decides wins over both scores. Tier 2 raises freely and lowers below what
    /// tier 1's score alone would lead to only inside its band. Without an answer the fallback
    /// holds, except that an audit alone changes nothing. Floors hold over everything.
    #[must_use]
    pub fn conclude(&self, screening: Score, analysis: Option<Score>) -> Conclusion {
        let (outcome, decided_by, score) = match (self.route, analysis) {
            (Route::Decided(outcome), _) => (outcome, DecidedBy::Rule, screening),
            (Route::Clear, _) | (Route::Escalate(Escalation::Audit), None) => {
                (Outcome::Approve, DecidedBy::Screening, screening)
            }
            (Route::Escalate(_), Some(analysis)) => {
                let outcome = self.analysis.outcome(&self.written, screening, analysis);
                (outcome, DecidedBy::Analysis, analysis)
            }
            (Route::Escalate(_), None) => (self.fallback, DecidedBy::Fallback, screening),
        };
        Conclusion {
            outcome: outcome.max(self.floor),
            decided_by: if outcome < self.floor { DecidedBy::Rule } else { decided_by },
            risk_level: self.written.risk_level(score),
        }
    }
}
