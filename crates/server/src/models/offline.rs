//! The models without a server: for `weir screen` and `weir render`.

use std::{path::Path, path::PathBuf, sync::Arc, time::Duration};

use batching::BatchModel;
use domain::Score;
use onnx::{ClassifierWorker, Runtime, RuntimeConfig, SessionConfig, TextEncoder};
use prometheus::Registry;
use screening::{Policy, Screener, ScreenerParts, ScreeningMetrics};
use velocity::VelocityStore;

use super::{Models, screening_tier};
use crate::settings::{Settings, locate};

/// Tier 1 alone, one text at a time on the caller's thread.
pub(crate) struct OfflineClassifier {
    encoder: Arc<TextEncoder>,
    worker: ClassifierWorker,
}

impl OfflineClassifier {
    /// Loads a package with one session.
    pub(crate) fn load(dir: &Path, library: Option<PathBuf>) -> anyhow::Result<Self> {
        let runtime = Runtime::load(&RuntimeConfig { library })?;
        let package = package::Package::open(&locate(dir))?;
        let classifier = screening_tier::load(&runtime, &package, SessionConfig::default())?;
        Ok(Self { encoder: classifier.encoder(), worker: classifier.default_worker()? })
    }

    /// The calibrated score of one text.
    pub(crate) fn score(&mut self, text: &str) -> anyhow::Result<Score> {
        let encoded = self.encoder.encode(text)?;
        let scored = self.worker.run(&[&encoded])?;
        let probability = scored.first().map_or(f64::NAN, |score| score.probability);
        Score::new(probability).map_err(anyhow::Error::msg)
    }
}

/// The whole cascade without a ledger.
pub(crate) struct Offline {
    pub(crate) screener: Arc<Screener>,
    models: Models,
}

impl Offline {
    /// Joins the models' threads.
    pub(crate) fn shutdown(self) {
        drop(self.screener);
        self.models.shutdown();
    }
}

/// Builds the cascade that the settings describe; nothing is recorded.
pub(crate) async fn offline_screener(settings: &Settings) -> anyhow::Result<Offline> {
    let registry = Registry::new();
    let models = Models::load(settings, &registry)?;
    // Nothing waits for an answer here: a slow engine may take its time.
    models.introduced(Duration::from_secs(60)).await;
    let screener = Screener::new(ScreenerParts {
        velocity: Arc::new(VelocityStore::new(settings.velocity_config(), &registry)?),
        renderer: models.renderer.clone(),
        screening: Arc::clone(&models.screening),
        analysis: models.analysis.clone(),
        policy: Policy::parse(&settings.policy_document()?)?,
        ledger: None,
        metrics: ScreeningMetrics::register(&registry)?,
        options: settings.analysis_options(),
    });
    Ok(Offline { screener: Arc::new(screener), models })
}
