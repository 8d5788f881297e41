//! What the schedulers show to Prometheus.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use crate::error::BatchError;

const SIZE_BUCKETS: [f64; 10] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0, 64.0];
const PADDING_BUCKETS: [f64; 9] = [0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5];

/// The metric families of all tiers; registered once per registry.
#[derive(Debug, Clone)]
pub struct BatchingMetrics {
    batch_size: HistogramVec,
    padding_ratio: HistogramVec,
    queue_depth: IntGaugeVec,
    rejected: IntCounterVec,
}

impl BatchingMetrics {
    /// Registers `weir_batch_size`, `weir_batch_padding_ratio`, `weir_queue_depth` and
    /// `weir_rejected_total`.
    ///
    /// # Errors
    /// When the registry holds one of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let batch_size = HistogramOpts::new(
            "weir_batch_size",
            "Requests computed together: per batch, or per step of running sequences.",
        );
        let padding_ratio = HistogramOpts::new(
            "weir_batch_padding_ratio",
            "Share of a batch's tokens that is padding, 0 to 1.",
        );
        let queue_depth = Opts::new("weir_queue_depth", "Requests that wait.");
        let rejected = Opts::new(
            "weir_rejected_total",
            "Requests that ended without the model's answer, by reason.",
        );
        let metrics = Self {
            batch_size: HistogramVec::new(batch_size.buckets(SIZE_BUCKETS.to_vec()), &["tier"])?,
            padding_ratio: HistogramVec::new(
                padding_ratio.buckets(PADDING_BUCKETS.to_vec()),
                &["tier"],
            )?,
            queue_depth: IntGaugeVec::new(queue_depth, &["tier"])?,
            rejected: IntCounterVec::new(rejected, &["tier", "reason"])?,
        };
        registry.register(Box::new(metrics.batch_size.clone()))?;
        registry.register(Box::new(metrics.padding_ratio.clone()))?;
        registry.register(Box::new(metrics.queue_depth.clone()))?;
        registry.register(Box::new(metrics.rejected.clone()))?;
        Ok(metrics)
    }

    /// The series of one tier, all visible from now on. `tier` must be one of a few fixed
    /// words. Two pools may share a tier, as they do while a model is swapped.
    #[must_use]
    pub fn tier(&self, tier: &str) -> TierMetrics {
        let rejected = |reason: &str| self.rejected.with_label_values(&[tier, reason]);
        TierMetrics {
            batch_size: self.batch_size.with_label_values(&[tier]),
            padding_ratio: self.padding_ratio.with_label_values(&[tier]),
            queue_depth: self.queue_depth.with_label_values(&[tier]),
            rejected_queue_full: rejected("queue_full"),
            rejected_deadline: rejected("deadline"),
            rejected_cancelled: rejected("cancelled"),
            rejected_stopped: rejected("stopped"),
        }
    }
}

/// The series of one tier.
#[derive(Debug, Clone)]
pub struct TierMetrics {
    pub(crate) batch_size: Histogram,
    pub(crate) padding_ratio: Histogram,
    queue_depth: IntGauge,
    rejected_queue_full: IntCounter,
    rejected_deadline: IntCounter,
    rejected_cancelled: IntCounter,
    rejected_stopped: IntCounter,
}

impl TierMetrics {
    /// Counts how a request ended without an output. A model's failure is not a rejection.
    pub(crate) fn count_error(&self, error: &BatchError) {
        match error {
            BatchError::Overloaded { .. } => self.rejected_queue_full.inc(),
            BatchError::DeadlineExceeded => self.rejected_deadline.inc(),
            BatchError::Stopped => self.rejected_stopped.inc(),
            BatchError::Model(_) => {}
        }
    }

    /// Counts a request whose caller left.
    pub(crate) fn count_cancelled(&self) {
        self.rejected_cancelled.inc();
    }

    pub(crate) fn depth_share(&self) -> DepthShare {
        DepthShare { gauge: self.queue_depth.clone(), shown: 0 }
    }
}

/// One queue's share of its tier's depth gauge. Adds differences rather than setting the
/// gauge, so that the queues of one tier sum up.
#[derive(Debug)]
pub(crate) struct DepthShare {
    gauge: IntGauge,
    shown: i64,
}

impl DepthShare {
    pub(crate) fn show(&mut self, depth: usize) {
        let depth = i64::try_from(depth).unwrap_or(i64::MAX);
        self.gauge.add(depth - self.shown);
        self.shown = depth;
    }
}

impl Drop for DepthShare {
    fn drop(&mut self) {
        self.show(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_of_a_tier_is_visible_before_its_first_event() {
        let registry = Registry::new();
        let metrics = BatchingMetrics::register(&registry).unwrap();
        let _screening = metrics.tier("screening");
        let _analysis = metrics.tier("analysis");
        let series: Vec<_> = registry
            .gather()
            .iter()
            .map(|family| (family.name().to_owned(), family.get_metric().len()))
            .collect();
        let expected = [
            ("weir_batch_padding_ratio", 2),
            ("weir_batch_size", 2),
            ("weir_queue_depth", 2),
            ("weir_rejected_total", 8),
        ];
        assert_eq!(series, expected.map(|(name, count)| (name.to_owned(), count)));
    }

    #[test]
    fn a_second_registration_is_an_error() {
        let registry = Registry::new();
        let _metrics = BatchingMetrics::register(&registry).unwrap();
        assert!(BatchingMetrics::register(&registry).is_err());
    }

    #[test]
    fn queues_of_one_tier_sum_up_and_leave_nothing_behind() {
        let metrics = BatchingMetrics::register(&Registry::new()).unwrap();
        let tier = metrics.tier("screening");
        let (mut old, mut new) = (tier.depth_share(), tier.depth_share());
        old.show(3);
        new.show(2);
        assert_eq!(tier.queue_depth.get(), 5);
        new.show(1);
        drop(old);
        assert_eq!(tier.queue_depth.get(), 1);
    }
}
