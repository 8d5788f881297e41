//! Screens one transaction through both tiers.

use std::{sync::Arc, time::Duration};

use domain::{
    DecidedBy, Decision, DecisionId, DecisionStatus, Outcome, Score, Screening, StageTimings,
    Transaction,
};
use jiff::Timestamp;
use ledger::{Ledger, LedgerError, NewDecision};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use velocity::VelocityStore;

use crate::{
    analyst::{AnalysisOptions, Analyst, Findings},
    completion::Completion,
    explain::explain,
    facts::Facts,
    metrics::{ScreeningMetrics, Tier},
    policy::{Policy, Route},
    record::Record,
    render::{RenderError, Renderer},
    tiers::{AnalysisModel, Case, Extent, Place, Priority, Scored, ScreeningModel, TierError},
};

/// Why a transaction could not be decided. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// Tier 1's queue is full.
    #[error("tier 1 is overloaded")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// Tier 1 did not answer before the deadline.
    #[error("the deadline passed before tier 1 answered")]
    Deadline,
    /// The service is shutting down.
    #[error("shutting down")]
    Stopped,
    /// Tier 1 failed.
    #[error("tier 1 failed: {0}")]
    Screening(String),
    /// A template failed.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The decision could not be recorded.
    #[error("the decision could not be recorded")]
    Ledger(#[from] LedgerError),
    /// The record could not be written as JSON.
    #[error("the record could not be serialised: {0}")]
    Serialise(#[from] serde_json::Error),
}

/// What tier 1's failure means for the decision; tier 2's never gets this far.
impl From<TierError> for ScreenError {
    fn from(error: TierError) -> Self {
        match error {
            TierError::Overloaded { retry_after } => Self::Overloaded { retry_after },
            TierError::Deadline => Self::Deadline,
            TierError::Stopped => Self::Stopped,
            TierError::Input(detail) | TierError::Failed(detail) => Self::Screening(detail),
        }
    }
}

/// How to screen one transaction.
#[derive(Debug, Clone, Copy)]
pub struct ScreenOptions {
    /// When the caller needs the answer.
    pub deadline: Instant,
    /// Leave no trace: velocity is not moved, nothing is recorded.
    pub dry_run: bool,
    /// Who goes first when tier 1 has more to do than it can.
    pub priority: Priority,
}

/// A decision and the JSON it is answered with.
#[derive(Debug, Clone)]
pub struct Screened {
    /// The decision.
    pub decision: Decision,
    /// The facts it rests on.
    pub facts: Facts,
    /// The exact response body, as recorded.
    pub response: String,
    /// Writing the ledger took this long; zero for a dry run.
    pub ledger: Duration,
}

/// What a screener is made of.
pub struct ScreenerParts {
    /// Sliding windows.
    pub velocity: Arc<VelocityStore>,
    /// Templates.
    pub renderer: Renderer,
    /// Tier 1.
    pub screening: Arc<dyn ScreeningModel>,
    /// Tier 2, unless it is switched off.
    pub analysis: Option<Arc<dyn AnalysisModel>>,
    /// Thresholds and fallbacks.
    pub policy: Policy,
    /// Where decisions are recorded; `None` records nothing (offline use).
    pub ledger: Option<Ledger>,
    /// Counters.
    pub metrics: ScreeningMetrics,
    /// How tier 2 is asked.
    pub options: AnalysisOptions,
}

/// Screens transactions. The only orchestrator of the cascade.
pub struct Screener {
    parts: ScreenerParts,
    /// Reports that are written after their decisions; each holds a place in tier 2, which
    /// bounds them.
    completions: TaskTracker,
}

/// A transaction that has its place in tier 1's queue and has been counted.
struct Entered<'a> {
    place: Box<dyn Place + 'a>,
    facts: Facts,
    velocity_took: Duration,
    started: Instant,
}

impl Screener {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: ScreenerParts) -> Self {
        Self { parts, completions: TaskTracker::new() }
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.parts.policy
    }

    /// Sliding windows, for labels and backfill.
    #[must_use]
    pub fn velocity(&self) -> &Arc<VelocityStore> {
        &self.parts.velocity
    }

    /// Where decisions are recorded.
    #[must_use]
    pub fn ledger(&self) -> Option<&Ledger> {
        self.parts.ledger.as_ref()
    }

    /// Decides one transaction.
    ///
    /// Velocity is observed at once, before the future is first polled: transactions count in
    /// the order of the calls, however their futures are interleaved. One that tier 1 has no
    /// place for is refused before that and does not count.
    ///
    /// # Errors
    /// When tier 1 or the ledger could not do its part. Tier 2 never fails a decision.
    pub fn screen(
        &self,
        transaction: Transaction,
        options: ScreenOptions,
    ) -> impl Future<Output = Result<Screened, ScreenError>> + Send {
        let started = Instant::now();
        let place = self.parts.screening.reserve(options.priority, options.deadline);
        let entered = place.map(|place| {
            let (facts, velocity_took) = self.observe(transaction, options.dry_run);
            Entered { place, facts, velocity_took, started }
        });
        async move { self.judge(entered?, options).await }
    }

    async fn judge(
        &self,
        entered: Entered<'_>,
        options: ScreenOptions,
    ) -> Result<Screened, ScreenError> {
        let Entered { place, facts, velocity_took, started } = entered;
        let policy = self.policy();
        let text = self.parts.renderer.screening_text(&facts)?;
        let render_took = started.elapsed().saturating_sub(velocity_took);
        self.parts.metrics.stage(Tier::Screening, "velocity", velocity_took);
        self.parts.metrics.stage(Tier::Screening, "render", render_took);

        let scored = self.score(place, &text).await?;
        let facts = facts.with_score(scored.score);
        let instructions = &facts.derived.instructions;
        self.parts.metrics.instructions(instructions);
        let by_score = policy.route(scored.score) == Route::Escalate;
        let analysed = match by_score || !instructions.is_empty() {
            false => Findings::default(),
            true => {
                self.parts.metrics.escalated(by_score);
                self.analyse(&facts, &options).await
            }
        };

        let timings = timings(velocity_took, render_took, &scored, &analysed, started.elapsed());
        let decision = self.decide(&facts, scored.score, &analysed, policy, timings);
        self.parts.metrics.decided(&decision);
        let pending = analysed.pending.zip(analysed.prompt.clone());
        let record = Record {
            facts,
            screening_text: text,
            analysis_prompt: analysed.prompt,
            analysis_text: analysed.text,
            analysis_package: self.parts.analysis.as_ref().map(|model| model.package().clone()),
            analysis_error: analysed.error,
            decision,
        };
        let screened = self.record(record, options.dry_run).await?;
        if let (Some((pending, prompt)), Some(ledger)) = (pending, &self.parts.ledger) {
            let (decision, facts) = (screened.decision.clone(), screened.facts.clone());
            let (ledger, metrics) = (ledger.clone(), self.parts.metrics.clone());
            let completion = Completion { pending, decision, facts, prompt, ledger, metrics };
            self.completions.spawn(completion.run());
        }
        Ok(screened)
    }

    /// Waits for the reports that are written after their decisions. To be called once nothing
    /// is screened any more.
    pub async fn finish(&self) {
        self.completions.close();
        self.completions.wait().await;
    }

    /// How long tier 2 takes for a case, whatever tier 1 said: prompt, tokens, queue, report.
    /// For measurements; nothing is decided, recorded or counted.
    ///
    /// # Errors
    /// When there is no tier 2, or it did not answer.
    pub async fn time_analysis(
        &self,
        facts: &Facts,
        deadline: Instant,
    ) -> Result<Duration, TierError> {
        let started = Instant::now();
        let model = self.parts.analysis.as_ref().ok_or(TierError::Stopped)?;
        let rendered = self.parts.renderer.analysis_prompt(facts);
        let prompt =
            rendered.map_err(|error| TierError::Input(error.to_string()))?.unwrap_or_default();
        let case = Case {
            prompt,
            extent: Extent::Report,
            verdict_by: deadline,
            report_by: deadline,
            at_stake: facts.derived.amount,
        };
        if let Some(report) = model.analyse(case).await?.report {
            report.await?;
        }
        Ok(started.elapsed())
    }

    fn observe(&self, transaction: Transaction, dry_run: bool) -> (Facts, Duration) {
        let started = Instant::now();
        let velocity = if dry_run {
            self.parts.velocity.peek(&transaction)
        } else {
            self.parts.velocity.observe(&transaction)
        };
        let took = started.elapsed();
        (Facts::new(transaction, velocity), took)
    }

    async fn score(&self, place: Box<dyn Place + '_>, text: &str) -> Result<Scored, ScreenError> {
        let scored = place.score(text).await?;
        self.parts.metrics.model(Tier::Screening, &scored.timings);
        Ok(scored)
    }

    async fn analyse(&self, facts: &Facts, options: &ScreenOptions) -> Findings {
        let Some(model) = &self.parts.analysis else { return Findings::disabled() };
        let ScreenerParts { renderer, metrics, options: asking, .. } = &self.parts;
        let analyst = Analyst { model, renderer, metrics, options: asking };
        let keeps = self.parts.ledger.is_some() && !options.dry_run;
        analyst.analyse(facts, options.deadline, keeps).await
    }

    fn decide(
        &self,
        facts: &Facts,
        screening: Score,
        analysed: &Findings,
        policy: &Policy,
        timings_ms: StageTimings,
    ) -> Decision {
        let (outcome, decided_by, score) = match (&analysed.analysis, analysed.degraded) {
            (Some(analysis), _) => {
                let outcome = policy.with_analysis(screening, analysis.score);
                (outcome, DecidedBy::Analysis, analysis.score)
            }
            (None, Some(_)) => (policy.with_fallback(screening), DecidedBy::Fallback, screening),
            (None, None) => (Outcome::Approve, DecidedBy::Screening, screening),
        };
        let floor = policy.text_floor(&facts.derived.instructions);
        let decided_by = if outcome < floor { DecidedBy::Rule } else { decided_by };
        let outcome = outcome.max(floor);
        Decision {
            decision_id: DecisionId(Uuid::now_v7()),
            transaction_id: facts.transaction.id.clone(),
            decided_at: Timestamp::now(),
            outcome,
            status: DecisionStatus::Final,
            decided_by,
            score,
            risk_level: policy.risk_level(score),
            reasons: explain(facts, screening, outcome, policy),
            screening: Screening {
                score: screening,
                package: self.parts.screening.package().clone(),
            },
            analysis: analysed.analysis.clone(),
            degraded: analysed.degraded,
            policy: policy.reference().clone(),
            timings_ms,
        }
    }

    async fn record(&self, record: Record, dry_run: bool) -> Result<Screened, ScreenError> {
        let response = record.response_json()?;
        let Some(ledger) = self.parts.ledger.as_ref().filter(|_| !dry_run) else {
            if dry_run {
                self.parts.metrics.dry_runs.inc();
            }
            let Record { decision, facts, .. } = record;
            return Ok(Screened { decision, facts, response, ledger: Duration::ZERO });
        };
        let started = Instant::now();
        let entry = NewDecision {
            account_id: record.facts.transaction.account.id.clone(),
            event_time: record.facts.transaction.timestamp,
            record: record.to_json()?,
            response: response.clone(),
            decision: record.decision.clone(),
        };
        ledger.append(entry).await?;
        let Record { decision, facts, .. } = record;
        Ok(Screened { decision, facts, response, ledger: started.elapsed() })
    }
}

fn milliseconds(duration: Duration) -> f64 {
    // Microseconds are as fine as anybody reads; more digits only lengthen the answer.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn timings(
    velocity: Duration,
    render: Duration,
    scored: &Scored,
    analysed: &Findings,
    total: Duration,
) -> StageTimings {
    let analysis = analysed.timings;
    StageTimings {
        velocity: milliseconds(velocity),
        screening_prepare: milliseconds(render + scored.timings.encode),
        screening_queue: milliseconds(scored.timings.queue),
        screening_run: milliseconds(scored.timings.run),
        analysis_prepare: analysis.prepare.map(milliseconds),
        analysis_queue: analysis.queue.map(milliseconds),
        analysis_verdict: analysis.verdict.map(milliseconds),
        analysis_run: analysis.run.map(milliseconds),
        total: milliseconds(total),
    }
}
