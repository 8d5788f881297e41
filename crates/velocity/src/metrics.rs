//! What the store tells Prometheus.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::kind::Kind;

/// The store's metrics, one series per kind, all present from the start.
#[derive(Debug)]
pub(crate) struct Metrics {
    entities: [IntGauge; Kind::COUNT],
    evictions: [IntCounter; Kind::COUNT],
    /// `weir_velocity_dropped_events_total`
    pub(crate) dropped_events: IntCounter,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let entities = IntGaugeVec::new(
            Opts::new("weir_velocity_entities", "Entities whose windows are kept."),
            &["kind"],
        )?;
        let evictions = IntCounterVec::new(
            Opts::new("weir_velocity_evictions_total", "Idle entities forgotten to make room."),
            &["kind"],
        )?;
        let dropped_events = IntCounter::new(
            "weir_velocity_dropped_events_total",
            "Events missing from a window: too many for one entity, or too late.",
        )?;
        registry.register(Box::new(entities.clone()))?;
        registry.register(Box::new(evictions.clone()))?;
        registry.register(Box::new(dropped_events.clone()))?;
        Ok(Self {
            entities: Kind::ALL.map(|kind| entities.with_label_values(&[kind.as_str()])),
            evictions: Kind::ALL.map(|kind| evictions.with_label_values(&[kind.as_str()])),
            dropped_events,
        })
    }

    /// `weir_velocity_entities{kind}`
    pub(crate) fn entities(&self, kind: Kind) -> &IntGauge {
        &self.entities[kind as usize]
    }

    /// `weir_velocity_evictions_total{kind}`
    pub(crate) fn evictions(&self, kind: Kind) -> &IntCounter {
        &self.evictions[kind as usize]
    }
}
