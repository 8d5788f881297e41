//! The cascade's metrics.

use std::time::Duration;

use domain::{DecidedBy, Decision, Degraded, Escalation, Outcome, ReportStatus};
use policy::{Assessment, ControllerState};
use prometheus::{
    Error, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts,
    Registry, exponential_buckets,
};

use crate::{
    hostile::{Instruction, TextField},
    report::UNGROUNDED,
    tiers::ModelTimings,
};

/// Which tier a stage belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    Screening,
    Analysis,
}

impl Tier {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Screening => "screening",
            Self::Analysis => "analysis",
        }
    }
}

/// Everything the cascade counts. Every series exists from the start.
#[derive(Debug, Clone)]
pub struct ScreeningMetrics {
    /// `weir_stage_duration_seconds{tier,stage}`: velocity, render, encode, queue, verdict, run.
    stages: HistogramVec,
    /// `weir_decisions_total{outcome,decided_by}`.
    decisions: IntCounterVec,
    /// `weir_escalations_total{reason}`: why tier 2 was asked.
    escalations: IntCounterVec,
    /// `weir_screening_score`: tier 1's calibrated scores.
    scores: Histogram,
    /// `weir_degraded_total{reason}`: why tier 2 could not answer.
    degraded: IntCounterVec,
    /// `weir_analysis_ungrounded_total{kind}`: claims dropped because the facts do not bear
    /// them out.
    ungrounded: IntCounterVec,
    /// `weir_analysis_reports_total{status}`: what became of tier 2's reports.
    reports: IntCounterVec,
    /// `weir_instruction_like_total{field}`: texts that tell their reader what to do.
    instructions: IntCounterVec,
    /// `weir_promises_kept_total{by}`: promised decisions that became final, by an analysis or,
    /// for want of one, the fallback.
    kept: IntCounterVec,
    /// `weir_shadows_total{result}`: what became of shadows.
    shadows: IntCounterVec,
    /// `weir_policy_rule_errors_total`: rules that could not be evaluated on a transaction.
    rule_errors: IntCounter,
    /// `weir_budget_target_share`, `weir_budget_share`, `weir_budget_threshold`,
    /// `weir_budget_shift`: what the escalation budget aims at, sees and does; 0 without one.
    budget: Budget,
    /// `weir_dry_runs_total`: screened without a trace.
    pub(crate) dry_runs: IntCounter,
}

#[derive(Debug, Clone)]
struct Budget {
    target: Gauge,
    share: Gauge,
    threshold: Gauge,
    shift: Gauge,
}

/// How a promise was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Analysis,
    Fallback,
}

impl Kept {
    const ALL: [Self; 2] = [Self::Analysis, Self::Fallback];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Analysis => "analysis",
            Self::Fallback => "fallback",
        }
    }
}

/// What became of a shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shadowed {
    Recorded,
    /// There was no room for it.
    Dropped,
    Failed,
}

impl Shadowed {
    const ALL: [Self; 3] = [Self::Recorded, Self::Dropped, Self::Failed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}

/// Makes and registers.
struct Maker<'r>(&'r Registry);

impl Maker<'_> {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        let counter = IntCounter::new(name, help)?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        let gauge = Gauge::new(name, help)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn stages(&self) -> Result<HistogramVec, Error> {
        let options =
            HistogramOpts::new("weir_stage_duration_seconds", "Time of each stage, by tier.")
                .buckets(exponential_buckets(50e-6, 2.0, 18)?);
        let stages = HistogramVec::new(options, &["tier", "stage"])?;
        self.0.register(Box::new(stages.clone()))?;
        Ok(stages)
    }

    fn scores(&self) -> Result<Histogram, Error> {
        let buckets =
            vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 1.0];
        let options = HistogramOpts::new("weir_screening_score", "Tier 1's calibrated scores.");
        let scores = Histogram::with_opts(options.buckets(buckets))?;
        self.0.register(Box::new(scores.clone()))?;
        Ok(scores)
    }

    fn budget(&self) -> Result<Budget, Error> {
        Ok(Budget {
            target: self.gauge("weir_budget_target_share", "Share that should be escalated.")?,
            share: self.gauge("weir_budget_share", "Share that was escalated, in the window.")?,
            threshold: self.gauge("weir_budget_threshold", "The escalation threshold in force.")?,
            shift: self.gauge("weir_budget_shift", "How far thresholds are moved, in log-odds.")?,
        })
    }
}

const STAGES: &[(Tier, &[&str])] = &[
    (Tier::Screening, &["velocity", "render", "encode", "queue", "run"]),
    (Tier::Analysis, &["render", "encode", "queue", "verdict", "run"]),
];

impl ScreeningMetrics {
    /// Registers every series.
    ///
    /// # Errors
    /// When the registry already has one of them.
    pub fn register(registry: &Registry) -> Result<Self, Error> {
        let maker = Maker(registry);
        let metrics = Self {
            stages: maker.stages()?,
            decisions: maker.counters(
                "weir_decisions_total",
                "Decisions taken.",
                &["outcome", "decided_by"],
            )?,
            escalations: maker.counters(
                "weir_escalations_total",
                "Transactions sent to tier 2.",
                &["reason"],
            )?,
            scores: maker.scores()?,
            degraded: maker.counters(
                "weir_degraded_total",
                "Decisions without the analysis they needed, or without a ledger.",
                &["reason"],
            )?,
            ungrounded: maker.counters(
                "weir_analysis_ungrounded_total",
                "Claims the facts do not support.",
                &["kind"],
            )?,
            instructions: maker.counters(
                "weir_instruction_like_total",
                "Texts that tell their reader what to do, by field; no model reads them.",
                &["field"],
            )?,
            reports: maker.counters(
                "weir_analysis_reports_total",
                "Reports by what became of them: complete, failed, off (only a verdict was asked \
                 for).",
                &["status"],
            )?,
            kept: maker.counters(
                "weir_promises_kept_total",
                "Promised decisions that became final.",
                &["by"],
            )?,
            shadows: maker.counters(
                "weir_shadows_total",
                "Transactions that shadows followed.",
                &["result"],
            )?,
            rule_errors: maker.counter(
                "weir_policy_rule_errors_total",
                "Rules that could not be evaluated on a transaction; they count as not matched.",
            )?,
            budget: maker.budget()?,
            dry_runs: maker
                .counter("weir_dry_runs_total", "Transactions screened without a trace.")?,
        };
        metrics.create_series();
        Ok(metrics)
    }

    fn create_series(&self) {
        for (tier, stages) in STAGES {
            for stage in *stages {
                self.stages.with_label_values(&[tier.as_str(), stage]);
            }
        }
        for outcome in Outcome::ALL {
            for decided_by in DecidedBy::ALL {
                self.decisions.with_label_values(&[outcome.as_str(), decided_by.as_str()]);
            }
        }
        for reason in Degraded::ALL {
            self.degraded.with_label_values(&[reason.as_str()]);
        }
        for reason in Escalation::ALL {
            self.escalations.with_label_values(&[reason.as_str()]);
        }
        for by in Kept::ALL {
            self.kept.with_label_values(&[by.as_str()]);
        }
        for result in Shadowed::ALL {
            self.shadows.with_label_values(&[result.as_str()]);
        }
        for field in TextField::ALL {
            self.instructions.with_label_values(&[field.as_str()]);
        }
        for status in [ReportStatus::Complete, ReportStatus::Failed, ReportStatus::Off] {
            self.reports.with_label_values(&[status.as_str()]);
        }
        for kind in UNGROUNDED {
            self.ungrounded.with_label_values(&[kind]);
        }
    }

    pub(crate) fn stage(&self, tier: Tier, stage: &str, took: Duration) {
        self.stages.with_label_values(&[tier.as_str(), stage]).observe(took.as_secs_f64());
    }

    pub(crate) fn model(&self, tier: Tier, timings: &ModelTimings) {
        self.stage(tier, "encode", timings.encode);
        self.stage(tier, "queue", timings.queue);
        self.stage(tier, "run", timings.run);
    }

    /// Tier 2 has a verdict.
    pub(crate) fn verdict(&self, timings: &ModelTimings) {
        self.stage(Tier::Analysis, "encode", timings.encode);
        self.stage(Tier::Analysis, "queue", timings.queue);
        self.stage(Tier::Analysis, "verdict", timings.run);
    }

    pub(crate) fn report(&self, status: ReportStatus) {
        self.reports.with_label_values(&[status.as_str()]).inc();
    }

    pub(crate) fn decided(&self, decision: &Decision) {
        let labels = [decision.outcome.as_str(), decision.decided_by.as_str()];
        self.decisions.with_label_values(&labels).inc();
        self.scores.observe(decision.screening.score.value());
        if let Some(why) = decision.degraded {
            self.degraded.with_label_values(&[why.as_str()]).inc();
        }
    }

    /// Tier 2 is asked.
    pub(crate) fn escalated(&self, why: Escalation) {
        self.escalations.with_label_values(&[why.as_str()]).inc();
    }

    pub(crate) fn assessed(&self, assessment: &Assessment) {
        self.rule_errors.inc_by(assessment.rule_errors.len() as u64);
    }

    /// The budget's controller moved the thresholds.
    pub(crate) fn budget(&self, state: &ControllerState) {
        self.budget.target.set(state.target);
        self.budget.share.set(state.share);
        self.budget.threshold.set(state.threshold.value());
        self.budget.shift.set(state.shift.value());
    }

    pub(crate) fn kept(&self, by: Kept) {
        self.kept.with_label_values(&[by.as_str()]).inc();
    }

    pub(crate) fn shadowed(&self, result: Shadowed) {
        self.shadows.with_label_values(&[result.as_str()]).inc();
    }

    pub(crate) fn instructions(&self, found: &[Instruction]) {
        for instruction in found {
            self.instructions.with_label_values(&[instruction.field.as_str()]).inc();
        }
    }

    pub(crate) fn ungrounded(&self, kind: &str, count: usize) {
        self.ungrounded.with_label_values(&[kind]).inc_by(count as u64);
    }
}
