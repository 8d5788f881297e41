//! Screens one transaction through both tiers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::{
    Decision, DecisionId, DecisionStatus, Degraded, Escalation, Screening, StageTimings,
    Transaction,
};
use jiff::Timestamp;
use ledger::{IdempotencyKey, Ledger, LedgerError, NewDecision, Promise};
use policy::{Assessment, Route};
use tokio::{
    sync::{Notify, broadcast},
    time::{Instant, timeout_at},
};
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use velocity::VelocityStore;

use crate::{
    analyst::{AnalysisOptions, Analyst, CaseTerms, Findings, Late},
    announce::Announcer,
    completion::Completion,
    compose::{Circumstances, Grounds, compose, screening_timings, with_analysis},
    desk::{InForce, PolicyDesk},
    facts::Facts,
    metrics::{ScreeningMetrics, Tier},
    observe::Observer,
    record::{Record, response_json},
    render::{RenderError, Renderer},
    shadow::Shadow,
    tiers::{AnalysisModel, Case, Extent, Place, Priority, ScreeningModel, TierError},
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
    /// The record could not be written as JSON, or not be read.
    #[error("the record could not be serialised: {0}")]
    Serialise(#[from] serde_json::Error),
    /// The record was written by a version that did not keep all that this needs.
    #[error("the record of decision {0} does not hold what this needs")]
    Incomplete(DecisionId),
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

/// Whether the caller waits for tier 2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// As long as the deadline allows.
    #[default]
    Sync,
    /// Not at all: an escalated transaction is answered with the fallback, and its analysis is
    /// promised.
    Async,
}

/// How to screen one transaction.
#[derive(Debug, Clone)]
pub struct ScreenOptions {
    /// When the caller needs the answer.
    pub deadline: Instant,
    /// Whether the caller waits for tier 2.
    pub mode: Mode,
    /// Leave no trace: velocity is not moved, nothing is recorded.
    pub dry_run: bool,
    /// Who goes first when tier 1 has more to do than it can.
    pub priority: Priority,
    /// The reservation that the decision settles.
    pub idempotency: Option<IdempotencyKey>,
}

impl ScreenOptions {
    /// To be answered by `deadline`, and recorded.
    #[must_use]
    pub fn by(deadline: Instant) -> Self {
        Self {
            deadline,
            mode: Mode::default(),
            dry_run: false,
            priority: Priority::default(),
            idempotency: None,
        }
    }
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

/// What a decision does when the ledger cannot be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnLedgerFailure {
    /// It is refused: nothing is answered that is not recorded.
    #[default]
    Refuse,
    /// It is answered, says that it is not recorded yet, and is recorded as soon as the ledger is
    /// back. A crash before that loses it.
    Answer,
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
    /// The policy in force.
    pub policies: Arc<PolicyDesk>,
    /// Where decisions are recorded; `None` records nothing (offline use).
    pub ledger: Option<Ledger>,
    /// Counters.
    pub metrics: ScreeningMetrics,
    /// How tier 2 is asked.
    pub options: AnalysisOptions,
    /// What a failing ledger means.
    pub on_ledger_failure: OnLedgerFailure,
    /// Who is told of completed decisions.
    pub announcer: Arc<dyn Announcer>,
    /// What is tried beside all this.
    pub shadow: Option<Shadow>,
    /// Who watches decisions go by.
    pub observer: Arc<dyn Observer>,
}

/// How many completed decisions a slow listener may fall behind.
const COMPLETED_KEPT: usize = 1024;

/// Screens transactions. The only orchestrator of the cascade.
pub struct Screener {
    pub(crate) parts: ScreenerParts,
    /// Reports that are written after their decisions, each with a place in tier 2, which bounds
    /// them; and shadows, which bound themselves.
    pub(crate) background: TaskTracker,
    /// Names of decisions that were completed after their first answer.
    pub(crate) completed: broadcast::Sender<DecisionId>,
    /// About how many analyses are owed.
    pub(crate) owed: AtomicUsize,
    promised: Notify,
}

/// A transaction that has its place in tier 1's queue and has been counted.
struct Entered<'a> {
    place: Box<dyn Place + 'a>,
    facts: Facts,
    velocity_took: Duration,
    started: Instant,
}

/// A transaction with its score and what the policy makes of it.
struct Assessed {
    facts: Facts,
    text: String,
    in_force: InForce,
    assessment: Assessment,
    screening: Screening,
    timings: StageTimings,
    started: Instant,
}

/// What becomes of a decision at once.
struct Drafted {
    record: Record,
    promise: Option<Promise>,
}

impl Screener {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: ScreenerParts) -> Self {
        let (completed, _) = broadcast::channel(COMPLETED_KEPT);
        let (background, promised) = (TaskTracker::new(), Notify::new());
        Self { parts, background, completed, owed: AtomicUsize::new(0), promised }
    }

    /// The policy in force, and how it may be changed.
    #[must_use]
    pub fn policies(&self) -> &Arc<PolicyDesk> {
        &self.parts.policies
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

    /// Waits until an analysis was promised here that nobody works on yet.
    pub async fn promised(&self) {
        self.promised.notified().await;
    }

    /// Hears of every decision that this process completes after its first answer.
    #[must_use]
    pub fn completions(&self) -> broadcast::Receiver<DecisionId> {
        self.completed.subscribe()
    }

    /// Tells how many analyses are owed, by whichever instance; a bound rests on it.
    pub fn set_owed(&self, owed: usize) {
        self.owed.store(owed, Ordering::Relaxed);
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
        let assessed = self.assess(entered).await?;
        let promises = self.may_promise(&options);
        let findings = match &assessed.assessment.route {
            Route::Clear | Route::Decided(_) => Findings::default(),
            Route::Escalate(why) => {
                self.parts.metrics.escalated(*why);
                match options.mode {
                    Mode::Async if promises => Findings::default(),
                    Mode::Async | Mode::Sync => self.analyse(&assessed.facts, &options).await,
                }
            }
        };
        self.settle(assessed, findings, promises, options).await
    }

    /// Score and policy.
    async fn assess(&self, entered: Entered<'_>) -> Result<Assessed, ScreenError> {
        let Entered { place, facts, velocity_took, started } = entered;
        let text = self.parts.renderer.screening_text(&facts)?;
        let render_took = started.elapsed().saturating_sub(velocity_took);
        self.parts.metrics.stage(Tier::Screening, "velocity", velocity_took);
        self.parts.metrics.stage(Tier::Screening, "render", render_took);
        let scored = place.score(&text).await?;
        self.parts.metrics.model(Tier::Screening, &scored.timings);
        let facts = facts.with_score(scored.score);
        self.parts.metrics.instructions(&facts.derived.instructions);
        let in_force = self.parts.policies.in_force();
        let assessment = in_force.assess(&facts, scored.score);
        self.parts.metrics.assessed(&assessment);
        let timings = screening_timings(velocity_took, render_took, &scored);
        let package = self.parts.screening.package().clone();
        let screening = Screening { score: scored.score, package };
        Ok(Assessed { facts, text, in_force, assessment, screening, timings, started })
    }

    /// Composes, records, and leaves to others what comes after the answer.
    async fn settle(
        &self,
        assessed: Assessed,
        mut findings: Findings,
        promises: bool,
        options: ScreenOptions,
    ) -> Result<Screened, ScreenError> {
        let escalated = matches!(assessed.assessment.route, Route::Escalate(_));
        let late = findings.degraded == Some(Degraded::AnalysisLate);
        let by_choice = options.mode == Mode::Async && escalated && findings.is_blank();
        let by_delay = late && self.parts.options.late == Late::Promise;
        let provisional = promises && (by_choice || by_delay);
        let pending = findings.pending.take();
        let promise = match (provisional, &pending) {
            (true, _) => Some(Promise::Analysis),
            (false, Some(_)) => Some(Promise::Report),
            (false, None) => None,
        };
        let status = if provisional { DecisionStatus::Provisional } else { DecisionStatus::Final };
        if !options.dry_run {
            self.observe_budget(&assessed);
        }
        let in_force = assessed.in_force.clone();
        let drafted = self.draft(assessed, findings, status, promise);
        let (screened, record) = self.record(drafted, &options).await?;
        self.parts.metrics.decided(&screened.decision);
        if !options.dry_run {
            self.parts.observer.decided(&record.facts, &record.decision);
        }
        if let Some(pending) = pending {
            self.complete_later(pending, &screened, &record);
        }
        if let Some(shadow) = &self.parts.shadow
            && !options.dry_run
        {
            shadow.follow(self, &in_force, &record);
        }
        Ok(screened)
    }

    fn draft(
        &self,
        assessed: Assessed,
        findings: Findings,
        status: DecisionStatus,
        promise: Option<Promise>,
    ) -> Drafted {
        let Assessed { facts, text, in_force, assessment, screening, timings, started } = assessed;
        let circumstances = Circumstances {
            decision_id: DecisionId(Uuid::now_v7()),
            decided_at: Timestamp::now(),
            status,
            degraded: findings.degraded,
            provisional: None,
            timings_ms: with_analysis(timings, findings.timings, started.elapsed()),
        };
        let grounds = Grounds {
            policy: in_force.policy().reference(),
            facts: &facts,
            assessment: &assessment,
            screening: &screening,
        };
        let decision = compose(&grounds, findings.analysis, circumstances);
        let record = Record {
            facts,
            screening_text: text,
            assessment: Some(assessment),
            analysis: findings.record,
            analysis_package: self.parts.analysis.as_ref().map(|model| model.package().clone()),
            decision,
        };
        Drafted { record, promise }
    }

    /// Shows Prometheus what the budget's controller sees by now.
    pub fn tell_budget(&self) {
        if let Some(state) = self.parts.policies.budget() {
            self.parts.metrics.budget(&state);
        }
    }

    fn observe_budget(&self, assessed: &Assessed) {
        let Assessed { in_force, assessment, screening, .. } = assessed;
        let moved = self.parts.policies.observe(in_force, assessment, screening.score);
        let Some(moved) = moved else { return };
        self.parts.metrics.budget(&moved.state);
        let state = &moved.state;
        tracing::info!(
            target_share = state.target,
            share = state.share,
            from = moved.from.value(),
            shift = state.shift.value(),
            threshold = state.threshold.value(),
            limited = ?state.limited,
            "the escalation threshold moved"
        );
    }

    /// Whether an analysis may be owed with this answer.
    fn may_promise(&self, options: &ScreenOptions) -> bool {
        let kept = self.parts.ledger.is_some() && self.parts.analysis.is_some();
        kept && !options.dry_run
            && self.owed.load(Ordering::Relaxed) < self.parts.options.max_promised
    }

    fn complete_later(
        &self,
        pending: crate::tiers::PendingReport,
        screened: &Screened,
        record: &Record,
    ) {
        let Some(ledger) = self.parts.ledger.clone() else { return };
        let completion = Completion {
            pending,
            decision: screened.decision.clone(),
            facts: screened.facts.clone(),
            record: record.analysis.clone(),
            package: record.analysis_package.clone(),
            ledger,
            metrics: self.parts.metrics.clone(),
            announcer: Arc::clone(&self.parts.announcer),
            completed: self.completed.clone(),
        };
        self.background.spawn(completion.run());
    }

    /// Waits for what comes after the answers. To be called once nothing is screened any more.
    pub async fn finish(&self) {
        self.background.close();
        self.background.wait().await;
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

    async fn analyse(&self, facts: &Facts, options: &ScreenOptions) -> Findings {
        let keeps = self.parts.ledger.is_some() && !options.dry_run;
        let terms = self.parts.options.terms(options.deadline, keeps);
        let leaves_reports = self.parts.options.narrative == crate::analyst::Narrative::After;
        self.ask_tier_2(facts, terms, leaves_reports).await
    }

    /// Asks tier 2, if there is one.
    pub(crate) async fn ask_tier_2(
        &self,
        facts: &Facts,
        terms: CaseTerms,
        leaves_reports: bool,
    ) -> Findings {
        let Some(model) = &self.parts.analysis else { return Findings::disabled() };
        let ScreenerParts { renderer, metrics, options, .. } = &self.parts;
        let analyst = Analyst { model, renderer, metrics, options, leaves_reports };
        analyst.analyse(facts, terms).await
    }

    async fn record(
        &self,
        drafted: Drafted,
        options: &ScreenOptions,
    ) -> Result<(Screened, Record), ScreenError> {
        let Drafted { mut record, promise } = drafted;
        let mut response = response_json(&record.decision)?;
        let Some(ledger) = self.parts.ledger.as_ref().filter(|_| !options.dry_run) else {
            if options.dry_run {
                self.parts.metrics.dry_runs.inc();
            }
            return Ok((screened(&record, response, Duration::ZERO), record));
        };
        let started = Instant::now();
        let entry = || new_decision(&record, response.clone(), promise, options);
        match self.append(ledger, entry, options.deadline).await? {
            Appended::Now | Appended::Soon => {
                if promise == Some(Promise::Analysis) {
                    self.owed.fetch_add(1, Ordering::Relaxed);
                    self.promised.notify_one();
                }
            }
            Appended::Not => {
                record.decision.degraded = Some(Degraded::LedgerUnavailable);
                record.decision.status = DecisionStatus::Final;
                response = response_json(&record.decision)?;
                let entry = new_decision(&record, response.clone(), None, options)?;
                ledger.append_when_possible(entry).await?;
            }
        }
        Ok((screened(&record, response, started.elapsed()), record))
    }

    /// Waits for the commit, unless the settings demand an answer all the same.
    async fn append(
        &self,
        ledger: &Ledger,
        entry: impl Fn() -> Result<NewDecision, serde_json::Error>,
        deadline: Instant,
    ) -> Result<Appended, ScreenError> {
        if self.parts.on_ledger_failure == OnLedgerFailure::Refuse {
            ledger.append(entry()?).await?;
            return Ok(Appended::Now);
        }
        if ledger.is_failing() {
            return Ok(Appended::Not);
        }
        // Time to answer is left.
        let by = deadline.checked_sub(self.parts.options.answer_reserve / 2).unwrap_or(deadline);
        match timeout_at(by, ledger.append(entry()?)).await {
            Ok(Ok(())) => Ok(Appended::Now),
            Ok(Err(error)) if self.answers_all_the_same(&error) => Ok(Appended::Not),
            Ok(Err(error)) => Err(error.into()),
            // The commit under way may still carry it, as it is.
            Err(_) => {
                ledger.append_when_possible(entry()?).await?;
                Ok(Appended::Soon)
            }
        }
    }

    fn answers_all_the_same(&self, error: &LedgerError) -> bool {
        let failing = match error {
            LedgerError::Unavailable { .. } | LedgerError::Overloaded { .. } => true,
            LedgerError::DuplicateDecision(_)
            | LedgerError::KeyTaken(_)
            | LedgerError::Refused { .. }
            | LedgerError::Erased(_)
            | LedgerError::Corrupt { .. }
            | LedgerError::Closed => false,
        };
        failing && self.parts.on_ledger_failure == OnLedgerFailure::Answer
    }
}

/// How a decision that is answered stands with the ledger.
enum Appended {
    /// It is recorded.
    Now,
    /// It is recorded now or later, exactly as it is answered.
    Soon,
    /// The ledger fails.
    Not,
}

fn screened(record: &Record, response: String, ledger: Duration) -> Screened {
    Screened { decision: record.decision.clone(), facts: record.facts.clone(), response, ledger }
}

fn new_decision(
    record: &Record,
    response: String,
    promise: Option<Promise>,
    options: &ScreenOptions,
) -> Result<NewDecision, serde_json::Error> {
    Ok(NewDecision {
        account_id: record.facts.transaction.account.id.clone(),
        event_time: record.facts.transaction.timestamp,
        record: record.to_json()?,
        response,
        decision: record.decision.clone(),
        idempotency: options.idempotency.clone(),
        promise,
        audited: record.decision.escalated == Some(Escalation::Audit),
    })
}
