//! The models without a server: for `weir screen`, `weir render` and `weir calibrate`.

use std::{path::Path, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use batching::BatchModel;
use domain::Score;
use ledger::Ledger;
use onnx::{Classification, ClassifierWorker, Runtime, RuntimeConfig, SessionConfig, TextEncoder};
use package::Package;
use policy::Policy;
use prometheus::Registry;
use screening::{
    PolicyDesk, Renderer, Screener, ScreenerParts, ScreeningMetrics, Silence, Unobserved,
};
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
        let package = Package::open(&locate(dir))?;
        let classifier = screening_tier::load(&runtime, &package, SessionConfig::default())?;
        Ok(Self { encoder: classifier.encoder(), worker: classifier.default_worker()? })
    }

    /// The calibrated score of one text.
    pub(crate) fn score(&mut self, text: &str) -> anyhow::Result<Score> {
        Score::new(self.classify(text)?.probability).map_err(anyhow::Error::msg)
    }

    /// Margin and calibrated probability of one text.
    pub(crate) fn classify(&mut self, text: &str) -> anyhow::Result<Classification> {
        let encoded = self.encoder.encode(text)?;
        self.worker.run(&[&encoded])?.pop().context("the classifier gave no answer")
    }
}

/// Tier 1 as the settings name it: its package, its model and what renders its input.
pub(crate) fn offline_screening(
    settings: &Settings,
) -> anyhow::Result<(Package, OfflineClassifier, Renderer)> {
    let dir = locate(&settings.screening.package);
    let package = Package::open(&dir)?;
    let library = settings.runtime.library.as_deref().map(locate);
    let classifier = OfflineClassifier::load(&dir, library)?;
    let input = super::template(&package, "input.j2", super::DEFAULT_INPUT)?;
    Ok((package, classifier, Renderer::new(input, None)))
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
    build(settings, None, Registry::new()).await
}

/// The same beside a ledger, to recompute what stands in it.
pub(crate) async fn offline_with_ledger(settings: &Settings) -> anyhow::Result<(Offline, Ledger)> {
    let registry = Registry::new();
    let ledger = Ledger::open(settings.ledger_config()?, &registry).await?;
    Ok((build(settings, Some(ledger.clone()), registry).await?, ledger))
}

async fn build(
    settings: &Settings,
    ledger: Option<Ledger>,
    registry: Registry,
) -> anyhow::Result<Offline> {
    let policy = Policy::parse(&settings.policy_document()?)?;
    let models = Models::load(settings, &registry)?;
    // Nothing waits for an answer here: a slow engine may take its time.
    models.introduced(Duration::from_secs(60)).await;
    let screener = Screener::new(ScreenerParts {
        velocity: Arc::new(VelocityStore::new(settings.velocity_config(), &registry)?),
        renderer: models.renderer.clone(),
        screening: Arc::clone(&models.screening),
        analysis: models.analysis.clone(),
        policies: Arc::new(PolicyDesk::new(Arc::new(policy))),
        ledger,
        metrics: ScreeningMetrics::register(&registry)?,
        options: settings.analysis_options(),
        on_ledger_failure: settings.on_ledger_failure(),
        announcer: Arc::new(Silence),
        shadow: None,
        observer: Arc::new(Unobserved),
    });
    Ok(Offline { screener: Arc::new(screener), models })
}
