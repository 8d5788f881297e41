//! What the schedulers show to Prometheus.

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, core::Collector, exponential_buckets,
};

use crate::admission::Rejected;
use crate::cost::CostModel;
use crate::dynamic::{DynamicScheduler, SessionKind};
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
    coalesced: IntCounterVec,
    batches: IntCounterVec,
    cost: GaugeVec,
    cost_error: GaugeVec,
    first_output: HistogramVec,
}

impl BatchingMetrics {
    /// Registers `weir_batch_size`, `weir_batch_padding_ratio`, `weir_queue_depth`,
    /// `weir_rejected_total`, and for whole batches `weir_batches_total`,
    /// `weir_coalesced_total`, `weir_batch_cost_seconds` and `weir_batch_cost_error_ratio`; for
    /// sequences `weir_time_to_first_token_seconds`.
    ///
    /// # Errors
    /// When the registry holds one of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let batch_size = HistogramOpts::new(
            "weir_batch_size",
            "Requests computed together: per batch, or per step of running sequences.",
        )
        .buckets(SIZE_BUCKETS.to_vec());
        let padding_ratio = HistogramOpts::new(
            "weir_batch_padding_ratio",
            "Share of a batch's tokens that is padding, 0 to 1.",
        )
        .buckets(PADDING_BUCKETS.to_vec());
        let queue_depth = Opts::new("weir_queue_depth", "Requests that wait.");
        let rejected = Opts::new(
            "weir_rejected_total",
            "Requests that ended without the model's answer, by reason.",
        );
        let coalesced = Opts::new(
            "weir_coalesced_total",
            "Requests answered by the computation of an equal one that was under way.",
        );
        let batches = Opts::new("weir_batches_total", "Batches computed, by the kind of session.");
        let cost = Opts::new(
            "weir_batch_cost_seconds",
            "Fitted cost of a batch: per call, per token, and per pair of tokens of one text.",
        );
        let cost_error = Opts::new(
            "weir_batch_cost_error_ratio",
            "Usual relative error of the fitted cost, 0 to 1.",
        );
        let first_output = HistogramOpts::new(
            "weir_time_to_first_token_seconds",
            "From admission to the first output, known once the prompt is computed.",
        )
        .buckets(exponential_buckets(1e-3, 2.0, 16)?);
        Ok(Self {
            first_output: registered(registry, HistogramVec::new(first_output, &["tier"])?)?,
            batch_size: registered(registry, HistogramVec::new(batch_size, &["tier"])?)?,
            padding_ratio: registered(registry, HistogramVec::new(padding_ratio, &["tier"])?)?,
            queue_depth: registered(registry, IntGaugeVec::new(queue_depth, &["tier"])?)?,
            rejected: registered(registry, IntCounterVec::new(rejected, &["tier", "reason"])?)?,
            coalesced: registered(registry, IntCounterVec::new(coalesced, &["tier"])?)?,
            batches: registered(registry, IntCounterVec::new(batches, &["tier", "session"])?)?,
            cost: registered(registry, GaugeVec::new(cost, &["tier", "session", "per"])?)?,
            cost_error: registered(registry, GaugeVec::new(cost_error, &["tier", "session"])?)?,
        })
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
            rejected_would_be_late: rejected("would_be_late"),
            rejected_deadline: rejected("deadline"),
            rejected_cancelled: rejected("cancelled"),
            rejected_stopped: rejected("stopped"),
        }
    }

    /// The series of a tier that generates token by token.
    #[must_use]
    pub fn sequences(&self, tier: &str) -> SequenceMetrics {
        let first_output = self.first_output.with_label_values(&[tier]);
        SequenceMetrics { tier: self.tier(tier), first_output }
    }

    /// The series of a tier that computes whole batches.
    #[must_use]
    pub fn dynamic(&self, tier: &str) -> DynamicMetrics {
        let session = |session: &str| SessionMetrics {
            batches: self.batches.with_label_values(&[tier, session]),
            cost: ["call", "token", "token_pair"]
                .map(|per| self.cost.with_label_values(&[tier, session, per])),
            cost_error: self.cost_error.with_label_values(&[tier, session]),
        };
        DynamicMetrics {
            tier: self.tier(tier),
            coalesced: self.coalesced.with_label_values(&[tier]),
            narrow: session("narrow"),
            wide: session("wide"),
        }
    }
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// The series of one tier.
#[derive(Debug, Clone)]
pub struct TierMetrics {
    pub(crate) batch_size: Histogram,
    pub(crate) padding_ratio: Histogram,
    queue_depth: IntGauge,
    rejected_queue_full: IntCounter,
    rejected_would_be_late: IntCounter,
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

    /// Counts a request that was not let in.
    pub(crate) fn count_rejected(&self, rejected: Rejected) {
        match rejected {
            Rejected::QueueFull { .. } => self.rejected_queue_full.inc(),
            Rejected::WouldBeLate { .. } => self.rejected_would_be_late.inc(),
            Rejected::AlreadyLate => self.rejected_deadline.inc(),
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

/// The series of a tier that generates token by token.
#[derive(Debug, Clone)]
pub struct SequenceMetrics {
    pub(crate) tier: TierMetrics,
    pub(crate) first_output: Histogram,
}

/// The series of a tier that computes whole batches.
#[derive(Debug, Clone)]
pub struct DynamicMetrics {
    pub(crate) tier: TierMetrics,
    pub(crate) coalesced: IntCounter,
    narrow: SessionMetrics,
    wide: SessionMetrics,
}

/// The series of one kind of session.
#[derive(Debug, Clone)]
struct SessionMetrics {
    batches: IntCounter,
    cost: [Gauge; 3],
    cost_error: Gauge,
}

impl DynamicMetrics {
    fn session(&self, kind: SessionKind) -> &SessionMetrics {
        match kind {
            SessionKind::Narrow => &self.narrow,
            SessionKind::Wide => &self.wide,
        }
    }

    /// Counts a batch of `texts` texts with `tokens` tokens, padded to `padded`.
    pub(crate) fn ran(&self, kind: SessionKind, texts: usize, tokens: usize, padded: usize) {
        let padding = if padded > 0 { 1.0 - tokens as f64 / padded as f64 } else { 0.0 };
        self.tier.batch_size.observe(texts as f64);
        self.tier.padding_ratio.observe(padding);
        self.session(kind).batches.inc();
    }

    pub(crate) fn show_cost(&self, kind: SessionKind, cost: &CostModel) {
        let session = self.session(kind);
        let coefficients = cost.coefficients();
        let shown = [coefficients.call, coefficients.token, coefficients.token_pair];
        for (gauge, seconds) in session.cost.iter().zip(shown) {
            gauge.set(seconds);
        }
        session.cost_error.set(cost.error());
    }

    pub(crate) fn show_costs(&self, scheduler: &DynamicScheduler) {
        for kind in [SessionKind::Narrow, SessionKind::Wide] {
            self.show_cost(kind, scheduler.cost(kind));
        }
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
        let _screening = metrics.dynamic("screening");
        let _analysis = metrics.sequences("analysis");
        let series: Vec<_> = registry
            .gather()
            .iter()
            .map(|family| (family.name().to_owned(), family.get_metric().len()))
            .collect();
        let expected = [
            ("weir_batch_cost_error_ratio", 2),
            ("weir_batch_cost_seconds", 6),
            ("weir_batch_padding_ratio", 2),
            ("weir_batch_size", 2),
            ("weir_batches_total", 2),
            ("weir_coalesced_total", 1),
            ("weir_queue_depth", 2),
            ("weir_rejected_total", 10),
            ("weir_time_to_first_token_seconds", 1),
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
