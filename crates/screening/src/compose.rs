//! From facts, score and tier 2's findings to a decision. Pure: what no computation could tell
//! again is handed in, so that a replay composes the same decision to the byte.

use std::time::Duration;

use domain::{
    Analysis, Decision, DecisionId, DecisionStatus, Degraded, PolicyRef, Provisional, Screening,
    StageTimings,
};
use jiff::Timestamp;
use policy::{Assessment, Route};

use crate::{analyst::FindingTimings, explain::explain, facts::Facts, tiers::Scored};

/// What a decision rests on.
pub(crate) struct Grounds<'a> {
    pub(crate) policy: &'a PolicyRef,
    pub(crate) facts: &'a Facts,
    pub(crate) assessment: &'a Assessment,
    pub(crate) screening: &'a Screening,
}

/// What happened to come about: names, times, failures, how far the answer has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances {
    pub(crate) decision_id: DecisionId,
    pub(crate) decided_at: Timestamp,
    pub(crate) status: DecisionStatus,
    pub(crate) degraded: Option<Degraded>,
    pub(crate) provisional: Option<Provisional>,
    pub(crate) timings_ms: StageTimings,
}

impl Circumstances {
    /// Those of a decision that was taken before.
    pub(crate) fn of(decision: &Decision) -> Self {
        Self {
            decision_id: decision.decision_id,
            decided_at: decision.decided_at,
            status: decision.status,
            degraded: decision.degraded,
            provisional: decision.provisional,
            timings_ms: decision.timings_ms,
        }
    }
}

/// The decision.
pub(crate) fn compose(
    grounds: &Grounds<'_>,
    analysis: Option<Analysis>,
    circumstances: Circumstances,
) -> Decision {
    let Grounds { policy, facts, assessment, screening } = grounds;
    let analysed = analysis.as_ref().map(|analysis| analysis.score);
    let conclusion = assessment.conclude(screening.score, analysed);
    let escalated = match &assessment.route {
        Route::Escalate(why) => Some(*why),
        Route::Clear | Route::Decided(_) => None,
    };
    Decision {
        decision_id: circumstances.decision_id,
        transaction_id: facts.transaction.id.clone(),
        decided_at: circumstances.decided_at,
        outcome: conclusion.outcome,
        status: circumstances.status,
        decided_by: conclusion.decided_by,
        score: analysed.unwrap_or(screening.score),
        risk_level: conclusion.risk_level,
        reasons: explain(facts, assessment, screening.score, conclusion.outcome),
        screening: (*screening).clone(),
        analysis,
        escalated,
        degraded: circumstances.degraded,
        provisional: circumstances.provisional,
        policy: (*policy).clone(),
        timings_ms: circumstances.timings_ms,
    }
}

fn milliseconds(duration: Duration) -> f64 {
    // Microseconds are as fine as anybody reads; more digits only lengthen the answer.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The stages up to tier 1's score.
pub(crate) fn screening_timings(
    velocity: Duration,
    render: Duration,
    scored: &Scored,
) -> StageTimings {
    StageTimings {
        velocity: milliseconds(velocity),
        screening_prepare: milliseconds(render + scored.timings.encode),
        screening_queue: milliseconds(scored.timings.queue),
        screening_run: milliseconds(scored.timings.run),
        ..StageTimings::default()
    }
}

/// The same with tier 2's stages and the end.
pub(crate) fn with_analysis(
    timings: StageTimings,
    analysis: FindingTimings,
    total: Duration,
) -> StageTimings {
    StageTimings {
        analysis_prepare: analysis.prepare.map(milliseconds),
        analysis_queue: analysis.queue.map(milliseconds),
        analysis_verdict: analysis.verdict.map(milliseconds),
        analysis_run: analysis.run.map(milliseconds),
        total: milliseconds(total),
        ..timings
    }
}
