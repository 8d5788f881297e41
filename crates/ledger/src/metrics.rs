//! What the ledger shows to Prometheus.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    exponential_buckets,
};

use crate::LedgerError;

const GROUP_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The ledger's series; registered once per registry.
#[derive(Debug, Clone)]
pub struct LedgerMetrics {
    pub(crate) append_duration: Histogram,
    pub(crate) group_size: Histogram,
    pub(crate) queue_depth: IntGauge,
    pub(crate) spool_depth: IntGauge,
    pub(crate) spooled: IntCounter,
    pub(crate) spool_lost: IntCounter,
    unavailable: IntCounter,
    overloaded: IntCounter,
    refused: IntCounter,
    duplicate_decision: IntCounter,
    key_taken: IntCounter,
    erased: IntCounter,
    corrupt: IntCounter,
    closed: IntCounter,
}

impl LedgerMetrics {
    /// Registers:
    /// - `weir_ledger_append_duration_seconds`: from the call to the durable commit, of
    ///   decisions, labels and events that were recorded; from 50 µs.
    /// - `weir_ledger_group_size`: rows that shared a commit.
    /// - `weir_ledger_queue_depth`: requests that wait for the writer.
    /// - `weir_ledger_spool_depth`: answered decisions that wait in memory for the store.
    /// - `weir_ledger_spooled_total`: decisions that were answered before they were recorded.
    /// - `weir_ledger_spool_lost_total`: of these, decisions that were never recorded: refused by
    ///   the store, or still waiting when the ledger was closed.
    /// - `weir_ledger_errors_total{kind}`: calls that failed; `kind` is `unavailable`,
    ///   `overloaded`, `refused`, `duplicate_decision`, `key_taken`, `erased`, `corrupt` or
    ///   `closed`.
    ///
    /// # Errors
    /// When the registry holds one of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let append_duration = HistogramOpts::new(
            "weir_ledger_append_duration_seconds",
            "Time from the call to the durable commit.",
        );
        let group_size =
            HistogramOpts::new("weir_ledger_group_size", "Rows that shared one commit.");
        let errors = IntCounterVec::new(
            Opts::new("weir_ledger_errors_total", "Ledger calls that failed, by kind."),
            &["kind"],
        )?;
        let metrics = Self {
            append_duration: Histogram::with_opts(
                append_duration.buckets(exponential_buckets(50e-6, 2.0, 18)?),
            )?,
            group_size: Histogram::with_opts(group_size.buckets(GROUP_BUCKETS.to_vec()))?,
            queue_depth: IntGauge::new(
                "weir_ledger_queue_depth",
                "Requests that wait for the ledger's writer.",
            )?,
            spool_depth: IntGauge::new(
                "weir_ledger_spool_depth",
                "Answered decisions that wait in memory for the ledger.",
            )?,
            spooled: IntCounter::new(
                "weir_ledger_spooled_total",
                "Decisions answered before they were recorded.",
            )?,
            spool_lost: IntCounter::new(
                "weir_ledger_spool_lost_total",
                "Decisions answered and never recorded.",
            )?,
            unavailable: errors.with_label_values(&["unavailable"]),
            overloaded: errors.with_label_values(&["overloaded"]),
            refused: errors.with_label_values(&["refused"]),
            key_taken: errors.with_label_values(&["key_taken"]),
            erased: errors.with_label_values(&["erased"]),
            duplicate_decision: errors.with_label_values(&["duplicate_decision"]),
            corrupt: errors.with_label_values(&["corrupt"]),
            closed: errors.with_label_values(&["closed"]),
        };
        registry.register(Box::new(metrics.append_duration.clone()))?;
        registry.register(Box::new(metrics.group_size.clone()))?;
        registry.register(Box::new(metrics.queue_depth.clone()))?;
        registry.register(Box::new(metrics.spool_depth.clone()))?;
        registry.register(Box::new(metrics.spooled.clone()))?;
        registry.register(Box::new(metrics.spool_lost.clone()))?;
        registry.register(Box::new(errors))?;
        Ok(metrics)
    }

    /// Counts a failed call and hands its result on.
    pub(crate) fn counted<T>(&self, result: Result<T, LedgerError>) -> Result<T, LedgerError> {
        if let Err(error) = &result {
            let counter = match error {
                LedgerError::Unavailable { .. } => &self.unavailable,
                LedgerError::Overloaded { .. } => &self.overloaded,
                LedgerError::Refused { .. } => &self.refused,
                LedgerError::KeyTaken(_) => &self.key_taken,
                LedgerError::Erased(_) => &self.erased,
                LedgerError::DuplicateDecision(_) => &self.duplicate_decision,
                LedgerError::Corrupt { .. } => &self.corrupt,
                LedgerError::Closed => &self.closed,
            };
            counter.inc();
        }
        result
    }
}
