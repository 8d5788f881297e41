//! Reasons for decisions that tier 1 or the fallback took.

use domain::{Outcome, Reason, ReasonCode, Score};
use policy::Assessment;

use crate::{facts::Facts, reasons::supported_reasons};

/// The rules that hold; tier 1's score against its threshold; and, for what is not approved, every
/// reason that the facts support. [`ReasonCode::InstructionLikeText`] is given whatever the outcome.
#[must_use]
pub fn explain(
    facts: &Facts,
    assessment: &Assessment,
    screening: Score,
    outcome: Outcome,
) -> Vec<Reason> {
    let rule =
        |hit: &policy::RuleHit| Reason { code: hit.code.clone(), detail: hit.detail.clone() };
    let mut reasons: Vec<_> = assessment.hits().map(rule).collect();
    let escalate = assessment.thresholds.escalate;
    let side = if screening < escalate { "below" } else { "at or above" };
    let (screening, escalate) = (screening.value(), escalate.value());
    let detail = format!("screening score {screening:.4} is {side} {escalate}");
    reasons.push(Reason { code: ReasonCode::ScreeningScore.into(), detail });
    // Whoever reads an approval has to know of it too.
    let always = |reason: &Reason| reason.code == ReasonCode::InstructionLikeText;
    let supported = supported_reasons(facts);
    reasons.extend(supported.into_iter().filter(|r| outcome != Outcome::Approve || always(r)));
    reasons
}
