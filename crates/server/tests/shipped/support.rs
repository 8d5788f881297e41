//! Loads the shipped packages and the samples.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    sync::Arc,
};

use domain::{Label, LabelSource, ParseContext, Transaction, TransactionId, TruthLabel};
use jiff::Timestamp;
use ledger::Ledger;
use policy::Policy;
use prometheus::Registry;
use screening::{
    AnalysisOptions, Facts, OnLedgerFailure, PolicyDesk, Renderer, Screener, ScreenerParts,
    ScreeningMetrics, Silence, Unobserved,
};
use server::{Settings, models::Models};
use velocity::VelocityStore;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub(crate) fn models_dir(tier: &str) -> PathBuf {
    root().join("models").join(tier)
}

pub(crate) fn settings(analysis: bool) -> Settings {
    let mut settings = Settings::default();
    settings.screening.package = models_dir("screening");
    settings.analysis.package = models_dir("analysis");
    settings.analysis.enabled = analysis;
    settings.runtime.library = Some(library());
    settings
}

/// The pinned library that `scripts/fetch-onnxruntime` puts in place.
fn library() -> PathBuf {
    let folder = root().join(".onnxruntime").join(onnx::VERSION);
    assert!(folder.is_dir(), "{} is missing: run scripts/fetch-onnxruntime", folder.display());
    folder
}

pub(crate) fn shipped() -> Models {
    Models::load(&settings(true), &Registry::new()).unwrap()
}

pub(crate) fn screening_only() -> Models {
    Models::load(&settings(false), &Registry::new()).unwrap()
}

/// A labelled transaction of the samples.
pub(crate) struct Sample {
    pub(crate) transaction: Transaction,
    pub(crate) fraud: bool,
    label_at: Option<Timestamp>,
}

fn read(file: &str) -> Vec<Sample> {
    let text = std::fs::read_to_string(root().join("samples").join(file)).unwrap();
    let context = ParseContext { now: Timestamp::MAX };
    let parse = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        Sample {
            transaction: Transaction::parse(&value["transaction"], &context).unwrap(),
            fraud: value["label"] == "fraud",
            label_at: value["label_at"].as_str().map(|at| at.parse().unwrap()),
        }
    };
    text.lines().map(parse).collect()
}

/// The samples that are screened, in event order.
pub(crate) fn cases() -> Vec<Sample> {
    read("payments.ndjson")
}

/// The first texts of the samples as tier 1 reads them.
pub(crate) fn rendered_samples(renderer: &Renderer, count: usize) -> Vec<String> {
    let velocity = VelocityStore::new(velocity::Config::default(), &Registry::new()).unwrap();
    let mut texts = Vec::new();
    for sample in cases().into_iter().take(count) {
        let seen = velocity.observe(&sample.transaction);
        texts.push(renderer.screening_text(&Facts::new(sample.transaction, seen)).unwrap());
    }
    texts
}

/// The cascade on the samples' history, without a ledger.
pub(crate) struct Cascade {
    pub(crate) screener: Arc<Screener>,
    waiting: RefCell<Vec<(Timestamp, TransactionId)>>,
    _models: Models,
}

impl Cascade {
    pub(crate) fn start(models: Models) -> Self {
        Self::with_ledger(models, None)
    }

    /// The same with a ledger to record in.
    pub(crate) fn with_ledger(models: Models, ledger: Option<Ledger>) -> Self {
        let registry = Registry::new();
        let velocity =
            Arc::new(VelocityStore::new(velocity::Config::default(), &registry).unwrap());
        let screener = Screener::new(ScreenerParts {
            velocity: Arc::clone(&velocity),
            renderer: models.renderer.clone(),
            screening: Arc::clone(&models.screening),
            analysis: models.analysis.clone(),
            policies: Arc::new(PolicyDesk::new(Arc::new(Policy::parse(Policy::DEFAULT).unwrap()))),
            ledger,
            metrics: ScreeningMetrics::register(&registry).unwrap(),
            options: AnalysisOptions::default(),
            on_ledger_failure: OnLedgerFailure::Refuse,
            announcer: Arc::new(Silence),
            shadow: None,
            observer: Arc::new(Unobserved),
        });
        let cascade =
            Self { screener: Arc::new(screener), waiting: RefCell::default(), _models: models };
        for sample in read("history.ndjson") {
            cascade.release_labels(&sample);
            velocity.observe(&sample.transaction);
        }
        cascade
    }

    /// Applies the labels known by now, and keeps this sample's own for its time.
    pub(crate) fn release_labels(&self, sample: &Sample) {
        let now = sample.transaction.timestamp;
        let mut waiting = self.waiting.borrow_mut();
        for (effective_at, id) in waiting.extract_if(.., |(at, _)| *at <= now) {
            let label = Label {
                label: TruthLabel::Fraud,
                source: LabelSource::Simulation,
                effective_at,
                reversed: false,
            };
            self.screener.velocity().label(&id, &label);
        }
        if let (true, Some(at)) = (sample.fraud, sample.label_at) {
            waiting.push((at, sample.transaction.id.clone()));
        }
    }
}
