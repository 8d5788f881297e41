//! What the decoder counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Counters and gauges of one decoder.
#[derive(Debug, Clone)]
pub struct DecoderMetrics {
    pub(super) prompt: IntCounter,
    pub(super) cached: IntCounter,
    pub(super) sampled: IntCounter,
    pub(super) forced: IntCounter,
    pub(super) slots_free: IntGauge,
    pub(super) slots_running: IntGauge,
}

impl DecoderMetrics {
    /// Registers `weir_analysis_tokens_total` and `weir_kv_slots`.
    ///
    /// # Errors
    /// When a metric of one of these names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let tokens = Opts::new(
            "weir_analysis_tokens_total",
            "Tokens by kind: prompt (computed), cached (prompt, taken from the prefix cache), \
             sampled and forced (both generated).",
        );
        let tokens = IntCounterVec::new(tokens, &["kind"])?;
        let slots = Opts::new("weir_kv_slots", "Sequence slots of the decoder by state.");
        let slots = IntGaugeVec::new(slots, &["state"])?;
        registry.register(Box::new(tokens.clone()))?;
        registry.register(Box::new(slots.clone()))?;
        Ok(Self {
            prompt: tokens.with_label_values(&["prompt"]),
            cached: tokens.with_label_values(&["cached"]),
            sampled: tokens.with_label_values(&["sampled"]),
            forced: tokens.with_label_values(&["forced"]),
            slots_free: slots.with_label_values(&["free"]),
            slots_running: slots.with_label_values(&["running"]),
        })
    }
}
