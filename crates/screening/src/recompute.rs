//! Computes a recorded decision once more: the same models and policy must come to the same
//! bytes, and others show what they would have done.

use std::{sync::Arc, time::Duration};

use domain::{Analysis, Decision, Degraded, ReportStatus, Screening};
use ledger::StoredDecision;
use policy::{Assessment, Policy, Route};
use tokio::time::{Instant, sleep};

use crate::{
    analyst::{AnalysisOptions, Analyst, CaseTerms, Findings},
    compose::{Circumstances, Grounds, compose},
    desk::assess,
    facts::Facts,
    record::{CompletionRecord, Record, response_json},
    screener::{ScreenError, Screener},
    tiers::{Extent, Priority, TierError},
};

/// A decision computed once more. Names, times, and what failed at the time are taken from the
/// record: no computation could tell them again.
#[derive(Debug, Clone, PartialEq)]
pub struct Recomputed {
    /// As it was first answered.
    pub first: Decision,
    /// The JSON of that.
    pub first_response: String,
    /// As it stands since its completion, and the JSON of that.
    pub completed: Option<(Decision, String)>,
    /// Whether tier 1 was given the text it was given then.
    pub same_text: bool,
    /// Whether the policy assessed the case as it did then.
    pub same_assessment: bool,
}

impl Recomputed {
    /// As it stands.
    #[must_use]
    pub fn current(&self) -> &Decision {
        self.completed.as_ref().map_or(&self.first, |(decision, _)| decision)
    }

    /// Whether every byte is that of the record.
    #[must_use]
    pub fn agrees_with(&self, stored: &StoredDecision) -> bool {
        let Some(content) = &stored.content else { return false };
        let first = content.first_response == self.first_response;
        let current = match &self.completed {
            Some((_, response)) => content.response == *response,
            None => true,
        };
        first && current && self.same_text && self.same_assessment
    }
}

/// A record with what was answered, parsed.
struct Recorded {
    record: Record,
    completion: Option<(CompletionRecord, Decision)>,
}

/// The longest that one model call of a replay may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Before a full queue is asked again.
const PAUSE: Duration = Duration::from_millis(20);

impl Screener {
    /// Computes a recorded decision once more under `policy`, with this screener's packages.
    /// Velocity is taken as it was seen; nothing is recorded.
    ///
    /// # Errors
    /// When the record is erased, unreadable or of a version that kept too little, or a model
    /// failed.
    pub async fn recompute(
        &self,
        stored: &StoredDecision,
        policy: &Arc<Policy>,
    ) -> Result<Recomputed, ScreenError> {
        let Recorded { record, completion } = read(stored)?;
        let id = record.decision.decision_id;
        let was = record.assessment.as_ref().ok_or(ScreenError::Incomplete(id))?;
        let seen = Facts { screening_score: None, ..record.facts.clone() };
        let text = self.parts.renderer.screening_text(&seen)?;
        let score = self.score_patiently(&text).await?;
        let facts = seen.with_score(score);
        let assessment = assess(policy, &facts, score, was.shift);
        let package = self.parts.screening.package().clone();
        let screening = Screening { score, package };
        let grounds = Grounds {
            policy: policy.reference(),
            facts: &facts,
            assessment: &assessment,
            screening: &screening,
        };

        let second_pass = record.analysis.second_pass;
        let analysed = self.analyse_again(&facts, &record.decision, was, &assessment, second_pass);
        let (analysis, degraded) = analysed.await?;
        let circumstances = Circumstances { degraded, ..Circumstances::of(&record.decision) };
        let first = compose(&grounds, analysis, circumstances);
        let completed = match &completion {
            None => None,
            Some((completion, then)) => {
                let second_pass = completion.analysis.second_pass;
                let analysed = self.analyse_again(&facts, then, was, &assessment, second_pass);
                let (analysis, degraded) = analysed.await?;
                let circumstances = Circumstances { degraded, ..Circumstances::of(then) };
                let decision = compose(&grounds, analysis, circumstances);
                let response = response_json(&decision)?;
                Some((decision, response))
            }
        };
        Ok(Recomputed {
            first_response: response_json(&first)?,
            first,
            completed,
            same_text: text == record.screening_text,
            same_assessment: assessment == *was,
        })
    }

    async fn score_patiently(&self, text: &str) -> Result<domain::Score, ScreenError> {
        loop {
            let deadline = Instant::now() + PATIENCE;
            match self.parts.screening.reserve(Priority::Bulk, deadline) {
                Ok(place) => return Ok(place.score(text).await?.score),
                Err(TierError::Overloaded { .. }) => sleep(PAUSE).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Tier 2's part, as far as it had one then; the whole of it where only now it is asked.
    async fn analyse_again(
        &self,
        facts: &Facts,
        then: &Decision,
        was: &Assessment,
        now: &Assessment,
        second_pass: bool,
    ) -> Result<(Option<Analysis>, Option<Degraded>), ScreenError> {
        if !matches!(now.route, Route::Escalate(_)) {
            return Ok((None, None));
        }
        let asked_then = matches!(was.route, Route::Escalate(_));
        let status = match &then.analysis {
            Some(analysis) => Some(analysis.report),
            // It was asked, and could not answer, or had not yet.
            None if asked_then => return Ok((None, then.degraded)),
            None => None,
        };
        let extent = match status {
            Some(ReportStatus::Complete) | None => Extent::Report,
            Some(ReportStatus::Pending | ReportStatus::Off | ReportStatus::Failed) => {
                Extent::Verdict
            }
        };
        let findings = self.ask_patiently(facts, extent, second_pass).await;
        let degraded = findings.degraded.or(then.degraded.filter(|_| asked_then));
        let analysis = findings.analysis.map(|analysis| match status {
            Some(report) => Analysis { report, ..analysis },
            None => analysis,
        });
        Ok((analysis, degraded))
    }

    async fn ask_patiently(&self, facts: &Facts, extent: Extent, second_pass: bool) -> Findings {
        let Some(model) = &self.parts.analysis else { return Findings::disabled() };
        let options = AnalysisOptions { second_pass, ..self.parts.options.clone() };
        loop {
            let by = Instant::now() + PATIENCE;
            let terms = CaseTerms { extent, verdict_by: by, report_by: by };
            let (renderer, metrics) = (&self.parts.renderer, &self.parts.metrics);
            let analyst =
                Analyst { model, renderer, metrics, options: &options, leaves_reports: false };
            let findings = analyst.analyse(facts, terms).await;
            if findings.degraded != Some(Degraded::AnalysisFull) {
                return findings;
            }
            sleep(PAUSE).await;
        }
    }

    /// The policy that a decision was taken under.
    ///
    /// # Errors
    /// When the ledger does not know it, or cannot be used.
    pub async fn policy_of(&self, decision: &Decision) -> Result<Arc<Policy>, ScreenError> {
        let wanted = &decision.policy;
        if let Some(policy) = self.parts.policies.on_the_shelf(&wanted.sha256) {
            return Ok(policy);
        }
        let stored = match &self.parts.ledger {
            Some(ledger) => ledger.policy(&wanted.sha256).await?,
            None => None,
        };
        let parsed = stored.and_then(|stored| Policy::parse(&stored.document).ok());
        let policy = Arc::new(parsed.ok_or(ScreenError::Incomplete(decision.decision_id))?);
        self.parts.policies.shelve(Arc::clone(&policy));
        Ok(policy)
    }
}

fn read(stored: &StoredDecision) -> Result<Recorded, ScreenError> {
    let content = stored.content.as_ref().ok_or(ScreenError::Incomplete(stored.decision_id))?;
    let record: Record = serde_json::from_str(&content.record)?;
    let completion = match &content.completion {
        Some(completion) => {
            let decision = serde_json::from_str(&content.response)?;
            Some((serde_json::from_str(completion)?, decision))
        }
        None => None,
    };
    Ok(Recorded { record, completion })
}

/// Reads what was recorded of a decision; `None` when it was erased.
///
/// # Errors
/// When it is not the JSON expected.
pub fn read_record(stored: &StoredDecision) -> Result<Option<Record>, serde_json::Error> {
    stored.content.as_ref().map(|content| serde_json::from_str(&content.record)).transpose()
}
