//! Precision and recall of live decisions, as far as labels and the audit sample tell.

use std::{collections::HashMap, sync::Arc};

use domain::{Outcome, TruthLabel};
use evaluation::{LabelSeen, Quality, QualityConfig, Watched, quality};
use export::standing;
use jiff::Timestamp;
use ledger::{Ledger, LedgerError, OutcomeFilter, OutcomeRow, PageRequest, StoredLabel};
use policy::Policy;
use prometheus::{Gauge, GaugeVec, Opts, Registry};

/// Decisions read at once.
const PAGE: usize = 1000;

/// Why there is no estimate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QualityError {
    /// The period holds more decisions than one estimate reads.
    #[error("the period holds more than {0} decisions; ask for a shorter one")]
    TooMany(usize),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The estimator refused.
    #[error("{0}")]
    Estimate(String),
}

/// Estimates over the ledger.
pub(crate) struct QualityMonitor {
    pub(crate) ledger: Ledger,
    pub(crate) metrics: QualityMetrics,
    /// The most decisions that one estimate reads.
    pub(crate) decisions_max: usize,
}

/// What Prometheus sees of the quality; NaN while nothing can be said.
#[derive(Debug, Clone)]
pub(crate) struct QualityMetrics {
    /// `weir_quality_precision{bound}`: share of the flagged that were fraud; bound is `estimate`,
    /// `lower` or `upper`.
    precision: GaugeVec,
    /// `weir_quality_recall{bound}`: share of fraud that was flagged, by the audit sample.
    recall: GaugeVec,
    /// `weir_quality_decisions{age}`: decisions behind it, `mature`, and `immature` ones left out.
    decisions: GaugeVec,
    /// `weir_label_delay_seconds{quantile}`: `0.5`, `0.9`, `0.99`.
    delays: GaugeVec,
    /// `weir_quality_updated_timestamp_seconds`: when it was last estimated.
    updated: Gauge,
}

const BOUNDS: [&str; 3] = ["estimate", "lower", "upper"];
const QUANTILES: [&str; 3] = ["0.5", "0.9", "0.99"];

impl QualityMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |name: &str, help: &str, label: &str| -> Result<GaugeVec, prometheus::Error> {
            let gauges = GaugeVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(gauges.clone()))?;
            Ok(gauges)
        };
        let metrics = Self {
            precision: gauges(
                "weir_quality_precision",
                "Share of flagged decisions that were fraud.",
                "bound",
            )?,
            recall: gauges(
                "weir_quality_recall",
                "Share of fraud that was flagged, estimated with the audit sample.",
                "bound",
            )?,
            decisions: gauges("weir_quality_decisions", "Decisions behind the estimate.", "age")?,
            delays: gauges("weir_label_delay_seconds", "From decision to label.", "quantile")?,
            updated: Gauge::new(
                "weir_quality_updated_timestamp_seconds",
                "When quality was last estimated.",
            )?,
        };
        registry.register(Box::new(metrics.updated.clone()))?;
        for bound in BOUNDS {
            metrics.precision.with_label_values(&[bound]).set(f64::NAN);
            metrics.recall.with_label_values(&[bound]).set(f64::NAN);
        }
        for quantile in QUANTILES {
            metrics.delays.with_label_values(&[quantile]).set(f64::NAN);
        }
        for age in ["mature", "immature"] {
            metrics.decisions.with_label_values(&[age]);
        }
        Ok(metrics)
    }

    fn publish(&self, quality: &Quality, now: Timestamp) {
        for (gauges, rate) in [(&self.precision, quality.precision), (&self.recall, quality.recall)]
        {
            let values = rate
                .map_or([f64::NAN; 3], |rate| [rate.value, rate.interval.low, rate.interval.high]);
            for (bound, value) in BOUNDS.iter().zip(values) {
                gauges.with_label_values(&[bound]).set(value);
            }
        }
        let delays = quality.delays.map_or([f64::NAN; 3], |d| [d.p50, d.p90, d.p99]);
        for (quantile, value) in QUANTILES.iter().zip(delays) {
            self.delays.with_label_values(&[quantile]).set(value);
        }
        self.decisions.with_label_values(&["mature"]).set(quality.mature as f64);
        self.decisions.with_label_values(&["immature"]).set(quality.immature as f64);
        self.updated.set(now.as_millisecond() as f64 / 1e3);
    }
}

impl QualityMonitor {
    /// The quality of decisions of a period, by what is known at `now`.
    pub(crate) async fn estimate(
        &self,
        period: OutcomeFilter,
        now: Timestamp,
    ) -> Result<Quality, QualityError> {
        let mut watched = Vec::new();
        let mut shares = HashMap::new();
        let mut request = PageRequest { cursor: None, limit: PAGE };
        loop {
            let page = self.ledger.outcomes(period, request).await?;
            if watched.len() + page.items.len() > self.decisions_max {
                return Err(QualityError::TooMany(self.decisions_max));
            }
            let ids: Vec<_> =
                page.items.iter().filter_map(|row| row.transaction_id.clone()).collect();
            let labels = self.ledger.labels_for(&ids).await?;
            for row in &page.items {
                let chance = self.audit_chance(row, &mut shares).await?;
                let known = row.transaction_id.as_ref().and_then(|id| labels.get(id));
                watched.push(watch(row, chance, known.map_or(&[], Vec::as_slice)));
            }
            match page.next {
                Some(next) => request.cursor = Some(next),
                None => break,
            }
        }
        quality(&watched, now, &QualityConfig::default())
            .map_err(|error| QualityError::Estimate(error.to_string()))
    }

    /// Estimates the latest `days` and shows them to Prometheus.
    pub(crate) async fn publish(
        &self,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(), QualityError> {
        let quality = self.estimate(OutcomeFilter { since, until: now }, now).await?;
        self.metrics.publish(&quality, now);
        Ok(())
    }

    /// The chance with which the audit drew a decision; `None` when it did not.
    async fn audit_chance(
        &self,
        row: &OutcomeRow,
        shares: &mut HashMap<String, f64>,
    ) -> Result<Option<f64>, LedgerError> {
        let Some(sha256) = row.policy_sha256.as_ref().filter(|_| row.audited) else {
            return Ok(None);
        };
        if !shares.contains_key(sha256) {
            let stored = self.ledger.policy(sha256).await?;
            let policy = stored.and_then(|stored| Policy::parse(&stored.document).ok());
            shares.insert(sha256.clone(), policy.map_or(0.0, |policy| policy.audit_share()));
        }
        Ok(shares.get(sha256).copied().filter(|share| *share > 0.0))
    }
}

fn watch(row: &OutcomeRow, audited: Option<f64>, labels: &[StoredLabel]) -> Watched {
    let in_force = standing(labels.iter().map(|stored| stored.label));
    let arrived = in_force.and_then(|label| {
        let same = labels.iter().filter(|stored| stored.label.label == label.label);
        same.map(|stored| stored.recorded_at).min()
    });
    let label = in_force
        .zip(arrived)
        .map(|(label, at)| LabelSeen { fraud: label.label == TruthLabel::Fraud, at });
    // An audit draw is looked at for the draw's sake, whatever came of it.
    let flagged = row.outcome != Outcome::Approve && !row.audited;
    Watched { decided_at: row.decided_at, flagged, audited, label }
}

/// Shared with the routes.
pub(crate) type SharedQuality = Arc<QualityMonitor>;
