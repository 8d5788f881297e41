//! What webhooks tell Prometheus.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    exponential_buckets,
};

use crate::plan::Next;

const RESULTS: [&str; 3] = ["delivered", "failed", "dead"];

/// The metrics of webhooks. Every series exists from the start.
#[derive(Debug)]
pub struct Metrics {
    results: [IntCounter; RESULTS.len()],
    duration: Histogram,
    /// `weir_webhook_due`
    pub(crate) due: IntGauge,
    /// `weir_webhook_in_flight`
    pub(crate) in_flight: IntGauge,
    /// `weir_webhook_outbox_errors_total`
    pub(crate) outbox_errors: IntCounter,
}

impl Metrics {
    /// Registers:
    /// - `weir_webhook_deliveries_total{result}`: attempts, by what became of the delivery:
    ///   `delivered`, `failed` (it is tried again), `dead` (it is given up).
    /// - `weir_webhook_duration_seconds`: from the start of an attempt to the answer's head or the
    ///   failure; from 1 ms.
    /// - `weir_webhook_due`: deliveries that are neither delivered nor dead, as last counted.
    /// - `weir_webhook_in_flight`: attempts under way.
    /// - `weir_webhook_outbox_errors_total`: times that the outbox could not be read or written.
    ///
    /// # Errors
    /// When the registry holds one of them already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let results = IntCounterVec::new(
            Opts::new(
                "weir_webhook_deliveries_total",
                "Attempts to deliver, by what became of the delivery.",
            ),
            &["result"],
        )?;
        let duration = HistogramOpts::new(
            "weir_webhook_duration_seconds",
            "Time from the start of an attempt to its answer.",
        );
        let metrics = Self {
            results: RESULTS.map(|name| results.with_label_values(&[name])),
            duration: Histogram::with_opts(duration.buckets(exponential_buckets(1e-3, 2.0, 15)?))?,
            due: IntGauge::new("weir_webhook_due", "Deliveries neither delivered nor dead.")?,
            in_flight: IntGauge::new("weir_webhook_in_flight", "Attempts under way.")?,
            outbox_errors: IntCounter::new(
                "weir_webhook_outbox_errors_total",
                "Times that the outbox could not be read or written.",
            )?,
        };
        registry.register(Box::new(results))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.due.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.outbox_errors.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn attempted(&self, elapsed: Duration, next: &Next) {
        self.duration.observe(elapsed.as_secs_f64());
        let result = match next {
            Next::Delivered => 0,
            Next::Again { .. } => 1,
            Next::Dead { .. } => 2,
        };
        self.results[result].inc();
    }
}
