//! What each share of escalations buys.

use serde::{Deserialize, Serialize};

use crate::{
    costs::Costs,
    intervals::{Interval, wilson},
};

/// A scored transaction with its amount and its truth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spending {
    /// A margin or a probability.
    pub score: f64,
    /// In major units.
    pub amount: f64,
    /// Whether it was fraud.
    pub fraud: bool,
}

/// Escalating everything from one score on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The lowest score escalated.
    pub threshold: f64,
    /// How many are escalated.
    pub escalated: usize,
    /// Share of all transactions escalated.
    pub share: f64,
    /// Frauds among them.
    pub caught: usize,
    /// Share of all frauds escalated.
    pub recall: f64,
    /// Wilson's interval around the recall.
    pub recall_interval: Interval,
    /// Share of the escalated that is fraud.
    pub precision: f64,
    /// Share of the money in fraud that is escalated.
    pub value_recall: f64,
    /// Cost of escalations and of the frauds cleared, for 1000 transactions: `1000 / n * (escalated
    /// * C_E + sum of C_FN over missed frauds)`. What tier 2 then gets wrong is not in it.
    pub cost_per_thousand: f64,
}

/// The whole curve, from the highest score down: one point for each distinct score.
#[must_use]
pub fn escalation_curve(cases: &[Spending], costs: &Costs, confidence: f64) -> Vec<CurvePoint> {
    let mut falling = cases.to_vec();
    falling.sort_by(|a, b| b.score.total_cmp(&a.score));
    let frauds = cases.iter().filter(|case| case.fraud);
    let (count, value, mut missed) = frauds.fold((0_usize, 0.0, 0.0), |(n, value, cost), case| {
        (n + 1, value + case.amount, cost + costs.of_missed(case.amount))
    });
    let (mut escalated, mut caught, mut caught_value) = (0_usize, 0_usize, 0.0);
    let mut curve = Vec::new();
    for run in falling.chunk_by(|a, b| a.score == b.score) {
        escalated += run.len();
        for case in run.iter().filter(|case| case.fraud) {
            caught += 1;
            caught_value += case.amount;
            missed -= costs.of_missed(case.amount);
        }
        let cost = escalated as f64 * costs.escalation + missed.max(0.0);
        curve.push(CurvePoint {
            threshold: run[0].score,
            escalated,
            share: ratio(escalated as f64, cases.len() as f64),
            caught,
            recall: ratio(caught as f64, count as f64),
            recall_interval: wilson(caught, count, confidence),
            precision: ratio(caught as f64, escalated as f64),
            value_recall: ratio(caught_value, value),
            cost_per_thousand: 1000.0 * cost / cases.len() as f64,
        });
    }
    curve
}

/// The points of a curve that escalate at most each of these shares; the same point once.
#[must_use]
pub fn thin(curve: &[CurvePoint], shares: &[f64]) -> Vec<CurvePoint> {
    let mut thinned: Vec<CurvePoint> = Vec::new();
    for share in shares {
        let within = curve.partition_point(|point| point.share <= *share + 1e-12);
        let Some(point) = within.checked_sub(1).and_then(|n| curve.get(n)) else { continue };
        if thinned.last().is_none_or(|last| last.escalated < point.escalated) {
            thinned.push(*point);
        }
    }
    thinned
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
