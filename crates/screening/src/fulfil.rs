//! Keeps promises: the analysis that a first answer owed, by whichever instance, after whatever
//! crash. A decision is completed once; who comes second finds it done.

use domain::{
    Analysis, Decision, DecisionStatus, Degraded, Provisional, ReportStatus, StageTimings,
};
use jiff::{SignedDuration, Timestamp};
use ledger::{LedgerError, PendingWork, Promise};
use tokio::time::Instant;

use crate::{
    analyst::Findings,
    completion,
    compose::{Circumstances, Grounds, compose, with_analysis},
    metrics::Kept,
    record::{CompletionRecord, Record},
    screener::{ScreenError, Screener},
};

/// What became of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fulfilled {
    /// The decision is complete.
    Done,
    /// Somebody else had completed it.
    Already,
    /// Tier 2 has no room, or failed: to be tried again.
    Again,
}

/// A failing analysis is tried this often before the fallback becomes final.
const ATTEMPTS_MAX: u32 = 5;

impl Screener {
    /// Does what is owed with a decision, and records it.
    ///
    /// # Errors
    /// When the record cannot be read, or the ledger cannot be written. The work stays owed.
    pub async fn fulfil(&self, work: PendingWork) -> Result<Fulfilled, ScreenError> {
        let id = work.decision.decision_id;
        let Some(text) = work.decision.content.as_ref().map(|content| content.record.as_str())
        else {
            // Erased since: there is nothing left to analyse.
            return Ok(Fulfilled::Already);
        };
        let record: Record = serde_json::from_str(text)?;
        let started = Instant::now();
        let terms = self.parts.options.patient_terms(started);
        let findings = self.ask_tier_2(&record.facts, terms, false).await;
        let tried_enough = work.attempts >= ATTEMPTS_MAX || self.is_out_of_time(&work);
        if findings.degraded.is_some() && !tried_enough {
            return Ok(Fulfilled::Again);
        }
        self.parts.metrics.kept(match (&findings.analysis, work.promise) {
            (Some(_), _) => Kept::Analysis,
            (None, _) => Kept::Fallback,
        });
        let completion = CompletionRecord {
            analysis: findings.record.clone(),
            analysis_package: self.parts.analysis.as_ref().map(|model| model.package().clone()),
        };
        let decision = match work.promise {
            Promise::Analysis => Self::concluded(&record, findings, started)?,
            Promise::Report => reported(record.decision, findings),
        };
        let Some(ledger) = &self.parts.ledger else { return Ok(Fulfilled::Again) };
        match completion::append(ledger, &*self.parts.announcer, decision, &completion).await {
            Ok(()) => {
                // Nobody may be listening.
                let _ = self.completed.send(id);
                Ok(Fulfilled::Done)
            }
            Err(LedgerError::DuplicateDecision(_)) => Ok(Fulfilled::Already),
            Err(error) => Err(error.into()),
        }
    }

    fn is_out_of_time(&self, work: &PendingWork) -> bool {
        let patience = SignedDuration::try_from(self.parts.options.promise_patience);
        let owed_for = Timestamp::now().duration_since(work.promised_at);
        patience.is_ok_and(|patience| owed_for > patience)
    }

    /// The decision as tier 2, or for want of it the fallback, leaves it: under the policy of the
    /// first answer, whatever is in force by now.
    fn concluded(
        record: &Record,
        findings: Findings,
        started: Instant,
    ) -> Result<Decision, ScreenError> {
        let first = &record.decision;
        let assessment =
            record.assessment.as_ref().ok_or(ScreenError::Incomplete(first.decision_id))?;
        let provisional = Provisional { outcome: first.outcome, decided_at: first.decided_at };
        let timings = StageTimings { total: first.timings_ms.total, ..first.timings_ms };
        let circumstances = Circumstances {
            decision_id: first.decision_id,
            decided_at: Timestamp::now(),
            status: DecisionStatus::Final,
            degraded: findings.degraded,
            provisional: Some(provisional),
            timings_ms: StageTimings {
                total: timings.total,
                ..with_analysis(timings, findings.timings, started.elapsed())
            },
        };
        let grounds = Grounds {
            policy: &first.policy,
            facts: &record.facts,
            assessment,
            screening: &first.screening,
        };
        Ok(compose(&grounds, findings.analysis, circumstances))
    }
}

/// The decision with the report that was owed; outcome and score stay as they were answered.
fn reported(mut decision: Decision, findings: Findings) -> Decision {
    let Some(verdict) = decision.analysis.take() else { return decision };
    decision.analysis = Some(match findings.analysis {
        Some(written) if findings.degraded != Some(Degraded::AnalysisFailed) => Analysis {
            report: written.report,
            typology: written.typology,
            reasons: written.reasons,
            action: written.action,
            narrative: written.narrative,
            ..verdict
        },
        Some(_) | None => Analysis { report: ReportStatus::Failed, ..verdict },
    });
    decision
}
