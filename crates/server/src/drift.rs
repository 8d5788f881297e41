//! Watches whether the traffic still looks like what tier 1's package was made for.

use domain::Decision;
use evaluation::{Drift, DriftBand, DriftConfig, DriftReading, Reference};
use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus::{Gauge, GaugeVec, IntGaugeVec, Opts, Registry};
use screening::{DRIFT_FEATURES, Facts, Observer, drift_features};

/// The score's own name among the features.
const SCORE: &str = "score";

/// Compares the score and the main features of live traffic with the package's reference.
pub struct DriftMonitor {
    /// Absent where the package has no reference.
    drift: Option<Mutex<Drift>>,
    /// `weir_score_psi`: the score's population stability index over the window; NaN without a
    /// reference or without traffic.
    score: Gauge,
    /// `weir_feature_psi{feature}`: the same of each feature.
    features: GaugeVec,
    /// `weir_drift_band{feature}`: 0 steady or too few to say, 1 slight, 2 moderate, 3 major; `score`
    /// is among the features.
    bands: IntGaugeVec,
}

impl DriftMonitor {
    /// Watches against the text of a package's reference.
    ///
    /// # Errors
    /// When it is none, or the metrics are registered already.
    pub fn new(reference: Option<&str>, registry: &Registry) -> anyhow::Result<Self> {
        let drift = match reference {
            None => None,
            Some(text) => {
                let reference: Reference = serde_json::from_str(text)?;
                Some(Mutex::new(Drift::new(reference, DriftConfig::default())?))
            }
        };
        let score = Gauge::new(
            "weir_score_psi",
            "Population stability index of tier 1's score against its package's reference.",
        )?;
        let features = GaugeVec::new(
            Opts::new("weir_feature_psi", "The same index of each main feature."),
            &["feature"],
        )?;
        let bands = IntGaugeVec::new(
            Opts::new(
                "weir_drift_band",
                "Drift in a number: 0 steady or too few, 1 slight, 2 moderate, 3 major.",
            ),
            &["feature"],
        )?;
        registry.register(Box::new(score.clone()))?;
        registry.register(Box::new(features.clone()))?;
        registry.register(Box::new(bands.clone()))?;
        score.set(f64::NAN);
        bands.with_label_values(&[SCORE]);
        for name in DRIFT_FEATURES {
            features.with_label_values(&[name]).set(f64::NAN);
            bands.with_label_values(&[name]);
        }
        Ok(Self { drift, score, features, bands })
    }

    /// The score and each feature; `None` where the package has no reference.
    pub(crate) fn readings(&self, now: Timestamp) -> Option<Vec<DriftReading>> {
        Some(self.drift.as_ref()?.lock().readings(now))
    }

    /// Shows Prometheus where it stands.
    pub(crate) fn publish(&self, now: Timestamp) {
        for reading in self.readings(now).unwrap_or_default() {
            let known = DRIFT_FEATURES.contains(&reading.name.as_str());
            let psi = reading.shift.map_or(f64::NAN, |shift| shift.psi);
            if reading.name == SCORE {
                self.score.set(psi);
            } else if known {
                self.features.with_label_values(&[&reading.name]).set(psi);
            } else {
                // A package may watch features of its own; labels are bounded by ours.
                continue;
            }
            let band = match reading.band {
                DriftBand::TooFew | DriftBand::Steady => 0,
                DriftBand::Slight => 1,
                DriftBand::Moderate => 2,
                DriftBand::Major => 3,
            };
            self.bands.with_label_values(&[&reading.name]).set(band);
        }
    }
}

impl Observer for DriftMonitor {
    fn decided(&self, facts: &Facts, decision: &Decision) {
        let Some(drift) = &self.drift else { return };
        let features = drift_features(facts);
        let score = decision.screening.score.value();
        drift.lock().observe(score, features, decision.decided_at);
    }
}

#[cfg(test)]
mod tests {
    use evaluation::ReferenceBuilder;

    use super::*;

    #[test]
    fn traffic_unlike_the_reference_is_told_and_counted() {
        let mut builder = ReferenceBuilder::new(&DRIFT_FEATURES);
        for n in 0..2000_u32 {
            let value = f64::from(n % 100) / 100.0;
            builder.add(value, DRIFT_FEATURES.map(|_| Some(value)));
        }
        let text = serde_json::to_string(&builder.build().unwrap()).unwrap();
        let registry = Registry::new();
        let monitor = DriftMonitor::new(Some(&text), &registry).unwrap();
        let now = Timestamp::now();
        for n in 0..1000_u32 {
            let like = f64::from(n % 100) / 100.0;
            let features = DRIFT_FEATURES
                .map(|name| (name, Some(if name == "amount" { 0.5 + like / 2.0 } else { like })));
            monitor.drift.as_ref().unwrap().lock().observe(like, features, now);
        }
        monitor.publish(now);
        let band = |name: &str| monitor.bands.with_label_values(&[name]).get();
        assert_eq!((band(SCORE), band("device_new"), band("amount")), (0, 0, 3));
        assert!(monitor.score.get() < 0.1);
        assert!(monitor.features.with_label_values(&["amount"]).get() > 0.25);
        assert!(DriftMonitor::new(Some("{}"), &Registry::new()).is_err());
    }
}
