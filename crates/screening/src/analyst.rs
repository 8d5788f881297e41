//! Tier 2's part in a decision: asks, waits as long as it may, checks what was written.

use std::{sync::Arc, time::Duration};

use domain::{Analysis, Degraded, ReportStatus};
use tokio::time::{Instant, timeout_at};

use crate::{
    facts::Facts,
    metrics::{ScreeningMetrics, Tier},
    record::AnalysisRecord,
    render::Renderer,
    report::Report,
    tiers::{
        Analysing, AnalysisModel, Basis, Case, Extent, Judgement, PendingReport, TierError, Written,
    },
};

/// When the report is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Narrative {
    /// Before the answer.
    #[default]
    Inline,
    /// After it: the answer needs only the verdict, and the report is added to the decision.
    After,
    /// Never.
    Off,
}

/// How tier 2 is asked.
#[derive(Debug, Clone)]
pub struct AnalysisOptions {
    /// When the report is written.
    pub narrative: Narrative,
    /// Whether a case with a memo is judged a second time without it; the stricter verdict counts.
    pub second_pass: bool,
    /// Kept back from the deadline for recording and answering.
    pub answer_reserve: Duration,
    /// How long a report may take that is written after the answer, and an analysis that nobody
    /// waits for at a connection.
    pub report_patience: Duration,
    /// What becomes of an analysis that is not ready when the caller needs the answer.
    pub late: Late,
    /// How long a promised analysis may be tried, from the first answer on; then the fallback
    /// becomes final.
    pub promise_patience: Duration,
    /// Most analyses that may be owed at once; past that, late ones get the fallback for good.
    pub max_promised: usize,
}

/// What becomes of an analysis that is late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Late {
    /// The fallback is answered as provisional, and the analysis comes later.
    #[default]
    Promise,
    /// The fallback is final.
    Fallback,
}

impl Default for AnalysisOptions {
    fn default() -> Self {
        Self {
            narrative: Narrative::Inline,
            second_pass: false,
            answer_reserve: Duration::from_millis(100),
            report_patience: Duration::from_secs(60),
            late: Late::default(),
            promise_patience: Duration::from_secs(600),
            max_promised: 10_000,
        }
    }
}

/// How far a case is taken, and until when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CaseTerms {
    pub(crate) extent: Extent,
    pub(crate) verdict_by: Instant,
    pub(crate) report_by: Instant,
}

impl AnalysisOptions {
    /// For a caller who needs the answer by `deadline`. Without `keeps`, nobody will read what is
    /// written after the answer.
    pub(crate) fn terms(&self, deadline: Instant, keeps: bool) -> CaseTerms {
        let by = deadline.checked_sub(self.answer_reserve).unwrap_or(deadline);
        let (extent, report_by) = match self.narrative {
            Narrative::Inline => (Extent::Report, by),
            Narrative::After if keeps => (Extent::Report, Instant::now() + self.report_patience),
            Narrative::After | Narrative::Off => (Extent::Verdict, by),
        };
        CaseTerms { extent, verdict_by: by, report_by }
    }

    /// For a case that nobody waits for at a connection.
    pub(crate) fn patient_terms(&self, now: Instant) -> CaseTerms {
        let by = now + self.report_patience;
        let extent = match self.narrative {
            Narrative::Inline | Narrative::After => Extent::Report,
            Narrative::Off => Extent::Verdict,
        };
        CaseTerms { extent, verdict_by: by, report_by: by }
    }
}

/// Asks tier 2.
pub(crate) struct Analyst<'a> {
    pub(crate) model: &'a Arc<dyn AnalysisModel>,
    pub(crate) renderer: &'a Renderer,
    pub(crate) metrics: &'a ScreeningMetrics,
    pub(crate) options: &'a AnalysisOptions,
    /// Whether a report may come after the answer; else it is waited for.
    pub(crate) leaves_reports: bool,
}

/// Tier 2's part while a decision is being made.
#[derive(Default)]
pub(crate) struct Findings {
    /// What was read and written.
    pub(crate) record: AnalysisRecord,
    pub(crate) analysis: Option<Analysis>,
    pub(crate) degraded: Option<Degraded>,
    pub(crate) timings: FindingTimings,
    /// A report that is still being written.
    pub(crate) pending: Option<PendingReport>,
}

/// Where tier 2's time went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FindingTimings {
    pub(crate) prepare: Option<Duration>,
    pub(crate) queue: Option<Duration>,
    pub(crate) verdict: Option<Duration>,
    pub(crate) run: Option<Duration>,
}

impl Findings {
    /// Whether tier 2 was not asked at all.
    pub(crate) fn is_blank(&self) -> bool {
        self.analysis.is_none() && self.degraded.is_none()
    }

    pub(crate) fn disabled() -> Self {
        Self { degraded: Some(Degraded::AnalysisDisabled), ..Self::default() }
    }

    fn failed(record: AnalysisRecord, error: String) -> Self {
        tracing::warn!(error, "tier 2 failed");
        let record = AnalysisRecord { analysis_error: Some(error), ..record };
        Self { record, degraded: Some(Degraded::AnalysisFailed), ..Self::default() }
    }

    fn refused(record: AnalysisRecord, error: &TierError) -> Self {
        let degraded = match error {
            TierError::Overloaded { .. } => Degraded::AnalysisFull,
            TierError::Deadline => Degraded::AnalysisLate,
            TierError::Input(_) | TierError::Failed(_) | TierError::Stopped => {
                return Self::failed(record, error.to_string());
            }
        };
        let record = AnalysisRecord { analysis_error: Some(error.to_string()), ..record };
        Self { record, degraded: Some(degraded), ..Self::default() }
    }
}

impl Analyst<'_> {
    /// Asks tier 2. Whatever goes wrong becomes `degraded`.
    pub(crate) async fn analyse(&self, facts: &Facts, terms: CaseTerms) -> Findings {
        let started = Instant::now();
        let prompt = match self.renderer.analysis_prompt(facts) {
            Ok(Some(prompt)) => prompt,
            Ok(None) => {
                let error = "the analysis package has no prompt template".into();
                return Findings::failed(AnalysisRecord::default(), error);
            }
            Err(error) => return Findings::failed(AnalysisRecord::default(), error.to_string()),
        };
        let render = started.elapsed();
        self.metrics.stage(Tier::Analysis, "render", render);
        let CaseTerms { extent, verdict_by: by, report_by } = terms;
        let at_stake = facts.derived.amount;
        let case = Case { prompt: prompt.clone(), extent, verdict_by: by, report_by, at_stake };
        let mut record = AnalysisRecord::of_prompt(prompt);
        // The model knows the deadline; a model that does not keep it must not matter.
        let answered = timeout_at(by, async {
            tokio::try_join!(self.model.analyse(case), self.judge_without_memo(facts, by))
        });
        let mut findings = match answered.await.unwrap_or(Err(TierError::Deadline)) {
            Ok((mut analysing, without_memo)) => {
                record.second_pass = without_memo.is_some();
                analysing.judgement = stricter(analysing.judgement, without_memo);
                let mut findings = self.judged(facts, record, analysing, by).await;
                if let Some(analysis) = findings.analysis.as_mut() {
                    analysis.score_without_memo = without_memo.map(|judged| judged.score);
                }
                findings
            }
            Err(error) => Findings::refused(record, &error),
        };
        let encode = findings.timings.prepare.unwrap_or_default();
        findings.timings.prepare = Some(render + encode);
        findings
    }

    /// The verdict on the case without its memo, where a second one is wanted and there is a memo
    /// that the first one has read.
    async fn judge_without_memo(
        &self,
        facts: &Facts,
        by: Instant,
    ) -> Result<Option<Judgement>, TierError> {
        if !self.options.second_pass || facts.for_models().transaction.memo.is_none() {
            return Ok(None);
        }
        let rendered = self.renderer.analysis_prompt(&facts.without_memo());
        let prompt = rendered.map_err(|error| TierError::Input(error.to_string()))?;
        let case = Case {
            prompt: prompt.unwrap_or_default(),
            extent: Extent::Verdict,
            verdict_by: by,
            report_by: by,
            at_stake: facts.derived.amount,
        };
        Ok(Some(self.model.analyse(case).await?.judgement))
    }

    async fn judged(
        &self,
        facts: &Facts,
        record: AnalysisRecord,
        analysing: Analysing,
        by: Instant,
    ) -> Findings {
        let Analysing { judgement, report } = analysing;
        self.metrics.verdict(&judgement.timings);
        let mut findings = Findings {
            record: AnalysisRecord { prompt_tokens: judgement.prompt_tokens, ..record },
            analysis: Some(self.verdict_alone(&judgement)),
            timings: FindingTimings {
                prepare: Some(judgement.timings.encode),
                queue: Some(judgement.timings.queue),
                verdict: Some(judgement.timings.run),
                run: Some(judgement.timings.run),
            },
            ..Findings::default()
        };
        match report {
            None => self.metrics.report(ReportStatus::Off),
            Some(pending) if self.leaves_reports => {
                set_status(&mut findings, ReportStatus::Pending);
                findings.pending = Some(pending);
            }
            Some(pending) => {
                let written = timeout_at(by, pending).await;
                let written = written.unwrap_or(Err(TierError::Deadline));
                return self.with_report(facts, findings, written);
            }
        }
        findings
    }

    fn verdict_alone(&self, judgement: &Judgement) -> Analysis {
        Analysis {
            verdict: judgement.verdict,
            score: judgement.score,
            calibrated: judgement.basis == Basis::Calibrated,
            report: ReportStatus::Off,
            typology: None,
            reasons: Vec::new(),
            action: None,
            narrative: None,
            score_without_memo: None,
            package: self.model.package().clone(),
        }
    }

    /// A report that is late costs the report; one that is nonsense costs the analysis.
    fn with_report(
        &self,
        facts: &Facts,
        mut findings: Findings,
        written: Result<Written, TierError>,
    ) -> Findings {
        match written {
            Ok(written) => {
                findings.timings.run = Some(written.run);
                self.metrics.stage(Tier::Analysis, "run", written.run);
                let prompt = findings.record.analysis_prompt.as_deref().unwrap_or_default();
                let analysis = findings.analysis.take();
                let read = analysis.map(|verdict| {
                    read_report(self.metrics, facts, prompt, &written.text, verdict)
                });
                findings.record.keep(written);
                match read {
                    Some(Ok(analysis)) => findings.analysis = Some(analysis),
                    Some(Err(error)) => {
                        let failed = Findings::failed(findings.record, error);
                        return Findings { timings: findings.timings, ..failed };
                    }
                    None => {}
                }
                findings
            }
            Err(TierError::Deadline) => {
                self.metrics.report(ReportStatus::Failed);
                set_status(&mut findings, ReportStatus::Failed);
                let error = "the report was not finished in time".into();
                findings.record.analysis_error = Some(error);
                findings
            }
            Err(error) => {
                self.metrics.report(ReportStatus::Failed);
                let failed = Findings::failed(findings.record, error.to_string());
                Findings { timings: findings.timings, ..failed }
            }
        }
    }
}

/// The higher of two scores, with its verdict; the times are those of the first.
fn stricter(first: Judgement, second: Option<Judgement>) -> Judgement {
    match second {
        Some(second) if second.score.value() > first.score.value() => {
            Judgement { timings: first.timings, ..second }
        }
        Some(_) | None => first,
    }
}

fn set_status(findings: &mut Findings, status: ReportStatus) {
    if let Some(analysis) = findings.analysis.as_mut() {
        analysis.report = status;
    }
}

/// Parses and grounds what tier 2 wrote, and completes the verdict with it.
///
/// # Errors
/// When it is no report.
pub(crate) fn read_report(
    metrics: &ScreeningMetrics,
    facts: &Facts,
    prompt: &str,
    text: &str,
    verdict: Analysis,
) -> Result<Analysis, String> {
    let report = Report::parse(text).map_err(|error| {
        metrics.ungrounded("report", 1);
        metrics.report(ReportStatus::Failed);
        error.to_string()
    })?;
    let grounded = report.ground(facts, prompt);
    metrics.ungrounded("reason", grounded.reasons_dropped);
    if let Err(kind) = grounded.narrative {
        metrics.ungrounded(kind, 1);
    }
    metrics.report(ReportStatus::Complete);
    Ok(Analysis {
        report: ReportStatus::Complete,
        typology: Some(report.typology),
        reasons: grounded.reasons,
        action: Some(report.action),
        narrative: grounded.narrative.ok(),
        ..verdict
    })
}
