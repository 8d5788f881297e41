//! What Prometheus sees of the quality.

use evaluation::Quality;
use jiff::Timestamp;
use prometheus::{Gauge, GaugeVec, Opts, Registry};

use super::tally::LeftOut;

const BOUNDS: [&str; 3] = ["estimate", "lower", "upper"];
const QUANTILES: [&str; 3] = ["0.5", "0.9", "0.99"];
const AGES: [&str; 2] = ["mature", "immature"];
const LEFT_OUT: [&str; 3] = ["provisional", "erased", "audited_blindly"];
const SECONDS_A_DAY: f64 = 86_400.0;

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
    /// `weir_quality_left_out{why}`: `provisional`, `erased`, `audited_blindly`.
    left_out: GaugeVec,
    /// `weir_quality_maturity_days`: from which age a decision counts.
    maturity: Gauge,
    /// `weir_label_delay_days{quantile}`: `0.5`, `0.9`, `0.99`.
    delays: GaugeVec,
    /// `weir_quality_since_timestamp_seconds`: since when decisions are looked at.
    since: Gauge,
    /// `weir_quality_updated_timestamp_seconds`: when it was last estimated; 0 before.
    updated: Gauge,
}

impl QualityMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| -> Result<Gauge, prometheus::Error> {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let gauges = |name: &str, help: &str, label: &str, values: &[&str], from: f64| {
            let gauges = GaugeVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(gauges.clone()))?;
            values.iter().for_each(|value| gauges.with_label_values(&[value]).set(from));
            Ok::<_, prometheus::Error>(gauges)
        };
        let metrics = Self {
            precision: gauges(
                "weir_quality_precision",
                "Share of flagged decisions that were fraud.",
                "bound",
                &BOUNDS,
                f64::NAN,
            )?,
            recall: gauges(
                "weir_quality_recall",
                "Share of fraud that was flagged, estimated with the audit sample.",
                "bound",
                &BOUNDS,
                f64::NAN,
            )?,
            decisions: gauges(
                "weir_quality_decisions",
                "Decisions old enough to be counted, and those that are not.",
                "age",
                &AGES,
                0.0,
            )?,
            left_out: gauges(
                "weir_quality_left_out",
                "Decisions that no estimate takes into account.",
                "why",
                &LEFT_OUT,
                0.0,
            )?,
            maturity: gauge("weir_quality_maturity_days", "From which age a decision counts.")?,
            delays: gauges(
                "weir_label_delay_days",
                "From decision to label.",
                "quantile",
                &QUANTILES,
                f64::NAN,
            )?,
            since: gauge(
                "weir_quality_since_timestamp_seconds",
                "Since when decisions are looked at.",
            )?,
            updated: gauge(
                "weir_quality_updated_timestamp_seconds",
                "When quality was last estimated.",
            )?,
        };
        metrics.maturity.set(f64::NAN);
        metrics.since.set(f64::NAN);
        Ok(metrics)
    }

    pub(super) fn publish(
        &self,
        quality: &Quality,
        left_out: LeftOut,
        since: Timestamp,
        now: Timestamp,
    ) {
        for (gauges, rate) in [(&self.precision, quality.precision), (&self.recall, quality.recall)]
        {
            let values = rate
                .map_or([f64::NAN; 3], |rate| [rate.value, rate.interval.low, rate.interval.high]);
            set(gauges, BOUNDS, values);
        }
        let delays = quality.delays.map_or([f64::NAN; 3], |d| [d.p50, d.p90, d.p99]);
        set(&self.delays, QUANTILES, delays.map(|seconds| seconds / SECONDS_A_DAY));
        set(&self.decisions, AGES, [quality.mature as f64, quality.immature as f64]);
        let LeftOut { provisional, erased, audited_blindly } = left_out;
        set(&self.left_out, LEFT_OUT, [provisional, erased, audited_blindly].map(|n| n as f64));
        self.maturity.set(quality.maturity_seconds / SECONDS_A_DAY);
        self.since.set(since.as_second() as f64);
        self.updated.set(now.as_second() as f64);
    }
}

fn set<const N: usize>(gauges: &GaugeVec, labels: [&str; N], values: [f64; N]) {
    for (label, value) in labels.iter().zip(values) {
        gauges.with_label_values(&[label]).set(value);
    }
}
