//! What the decoder counts.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, exponential_buckets,
};

/// Counters and gauges of one decoder.
#[derive(Debug, Clone)]
pub struct DecoderMetrics {
    pub(super) prompt: IntCounter,
    pub(super) cached: IntCounter,
    pub(super) generated: IntCounter,
    pub(super) forced: IntCounter,
    prefill: Histogram,
    decode: Histogram,
    forced_run: Histogram,
    slots_free: IntGauge,
    slots_prefill: IntGauge,
    slots_decode: IntGauge,
}

/// What one call of the graph computed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    /// A piece of a prompt.
    Prefill,
    /// One token for every running sequence.
    Decode,
    /// The forced tokens of one sequence.
    Forced,
}

impl DecoderMetrics {
    /// Registers `weir_analysis_tokens_total`, `weir_analysis_step_duration_seconds` and
    /// `weir_kv_slots`.
    ///
    /// # Errors
    /// When a metric of one of these names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let tokens = Opts::new(
            "weir_analysis_tokens_total",
            "Tokens by kind: prompt (computed), cached (of prompts, taken from the prefix cache), \
             generated (chosen by the model) and forced (written by the schema).",
        );
        let tokens = IntCounterVec::new(tokens, &["kind"])?;
        let steps = HistogramOpts::new(
            "weir_analysis_step_duration_seconds",
            "One call of the decoder's graph by what it computed: a piece of a prompt (prefill), \
             one token for every running sequence (decode), a run of forced tokens (forced).",
        )
        .buckets(exponential_buckets(250e-6, 2.0, 14)?);
        let steps = HistogramVec::new(steps, &["kind"])?;
        let slots = Opts::new(
            "weir_kv_slots",
            "Sequence slots of the decoder by state: free, prefill (computing the prompt), decode.",
        );
        let slots = IntGaugeVec::new(slots, &["state"])?;
        registry.register(Box::new(tokens.clone()))?;
        registry.register(Box::new(steps.clone()))?;
        registry.register(Box::new(slots.clone()))?;
        Ok(Self {
            prompt: tokens.with_label_values(&["prompt"]),
            cached: tokens.with_label_values(&["cached"]),
            generated: tokens.with_label_values(&["generated"]),
            forced: tokens.with_label_values(&["forced"]),
            prefill: steps.with_label_values(&["prefill"]),
            decode: steps.with_label_values(&["decode"]),
            forced_run: steps.with_label_values(&["forced"]),
            slots_free: slots.with_label_values(&["free"]),
            slots_prefill: slots.with_label_values(&["prefill"]),
            slots_decode: slots.with_label_values(&["decode"]),
        })
    }

    pub(super) fn called(&self, call: Call, took: Duration) {
        let histogram = match call {
            Call::Prefill => &self.prefill,
            Call::Decode => &self.decode,
            Call::Forced => &self.forced_run,
        };
        histogram.observe(took.as_secs_f64());
    }

    pub(super) fn show_slots(&self, all: usize, prefill: usize, decode: usize) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.slots_free.set(gauge(all.saturating_sub(prefill + decode)));
        self.slots_prefill.set(gauge(prefill));
        self.slots_decode.set(gauge(decode));
    }
}
