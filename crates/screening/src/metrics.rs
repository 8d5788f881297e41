//! The cascade's metrics.

use std::time::Duration;

use domain::{DecidedBy, Decision, Degraded, Outcome, ReportStatus};
use prometheus::{
    Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
    exponential_buckets,
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
    /// `weir_dry_runs_total`: screened without a trace.
    pub(crate) dry_runs: IntCounter,
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
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, Error> {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let stages = HistogramVec::new(
            HistogramOpts::new("weir_stage_duration_seconds", "Time of each stage, by tier.")
                .buckets(exponential_buckets(50e-6, 2.0, 18)?),
            &["tier", "stage"],
        )?;
        registry.register(Box::new(stages.clone()))?;
        let scores = Histogram::with_opts(
            HistogramOpts::new("weir_screening_score", "Tier 1's calibrated scores.").buckets(
                vec![
                    0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97,
                    1.0,
                ],
            ),
        )?;
        registry.register(Box::new(scores.clone()))?;
        let dry_runs =
            IntCounter::new("weir_dry_runs_total", "Transactions screened without a trace.")?;
        registry.register(Box::new(dry_runs.clone()))?;
        let metrics = Self {
            stages,
            decisions: counters(
                "weir_decisions_total",
                "Decisions taken.",
                &["outcome", "decided_by"],
            )?,
            escalations: counters(
                "weir_escalations_total",
                "Transactions sent to tier 2.",
                &["reason"],
            )?,
            scores,
            degraded: counters(
                "weir_degraded_total",
                "Decisions without the analysis they needed.",
                &["reason"],
            )?,
            ungrounded: counters(
                "weir_analysis_ungrounded_total",
                "Claims the facts do not support.",
                &["kind"],
            )?,
            instructions: counters(
                "weir_instruction_like_total",
                "Texts that tell their reader what to do, by field; no model reads them.",
                &["field"],
            )?,
            reports: counters(
                "weir_analysis_reports_total",
                "Reports by what became of them: complete, failed, off (only a verdict was asked \
                 for).",
                &["status"],
            )?,
            dry_runs,
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
        for reason in ["score", "text"] {
            self.escalations.with_label_values(&[reason]);
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

    /// Tier 2 is asked, because of the score or whatever the score.
    pub(crate) fn escalated(&self, by_score: bool) {
        let reason = if by_score { "score" } else { "text" };
        self.escalations.with_label_values(&[reason]).inc();
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
