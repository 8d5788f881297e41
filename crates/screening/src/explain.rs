//! Reasons for decisions that tier 1 or the fallback took.

use domain::{Outcome, Reason, ReasonCode, Score};

use crate::{facts::Facts, policy::Policy, reasons::supported_reasons};

/// Tier 1's score against its threshold and, for what is not approved, every reason that the
/// facts support. [`ReasonCode::InstructionLikeText`] is given whatever the outcome.
#[must_use]
pub fn explain(facts: &Facts, screening: Score, outcome: Outcome, policy: &Policy) -> Vec<Reason> {
    let escalate = policy.thresholds().escalate;
    let side = if screening.value() < escalate { "below" } else { "at or above" };
    let detail = format!("screening score {:.4} is {side} {escalate}", screening.value());
    let mut reasons = vec![Reason { code: ReasonCode::ScreeningScore, detail }];
    // Whoever reads an approval has to know of it too.
    let always = |reason: &Reason| reason.code == ReasonCode::InstructionLikeText;
    let supported = supported_reasons(facts);
    reasons.extend(supported.into_iter().filter(|r| outcome != Outcome::Approve || always(r)));
    reasons
}
