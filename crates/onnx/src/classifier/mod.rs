//! Any sequence-classification export: text in, a calibrated probability of fraud out.

mod graph;
mod worker;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use package::{Calibration, Package};
use serde_json::Value;

use self::graph::InputPlan;
pub use self::worker::{Classification, ClassifierWorker};
use crate::error::LoadError;
use crate::runtime::Runtime;
use crate::session::{SessionConfig, SessionFactory};
use crate::tokenizer::TextEncoder;
use crate::{files, labels};

const MAX_TOKENS_DEFAULT: usize = 512;
/// Model types whose position ids start behind the padding id.
const OFFSET_POSITIONS: [&str; 7] = [
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "roberta-prelayernorm",
    "camembert",
    "data2vec-text",
    "mpnet",
];

/// How a classifier is loaded.
#[derive(Debug, Clone, Default)]
pub struct ClassifierConfig {
    /// Settings of each session; `intra_threads` is the default for [`Classifier::workers`].
    pub session: SessionConfig,
    /// Truncate to fewer tokens than the package and the model allow.
    pub max_tokens: Option<usize>,
    /// The label that means fraud, for a bare export whose labels do not tell.
    pub fraud_label: Option<String>,
}

/// A loaded classifier: hands out workers and the encoder that feeds them.
pub struct Classifier {
    factory: SessionFactory,
    encoder: Arc<TextEncoder>,
    plan: Arc<InputPlan>,
    labels: Vec<String>,
    threads: usize,
    /// The worker that the graph was tried with, for the first who wants one of its kind.
    tried: Mutex<Option<ClassifierWorker>>,
}

impl Classifier {
    /// Loads a package or a bare export folder and runs it once.
    ///
    /// # Errors
    /// When a file is missing, damaged or does not fit the others; the error names it.
    pub fn load(
        runtime: &Runtime,
        package: &Package,
        config: &ClassifierConfig,
    ) -> Result<Self, LoadError> {
        Self::load_graph(runtime, package, &files::graph(package)?, config)
    }

    pub(crate) fn load_graph(
        runtime: &Runtime,
        package: &Package,
        graph: &Path,
        config: &ClassifierConfig,
    ) -> Result<Self, LoadError> {
        let path = package.dir().join("config.json");
        let model: Value = files::read_json(&path)?;
        let labels = files::labels(&model, &path)?;
        let manifest = package.manifest().and_then(|manifest| manifest.classifier.as_ref());
        let wanted = manifest
            .map(|manifest| manifest.fraud_label.as_str())
            .or(config.fraud_label.as_deref());
        let fraud = labels::fraud_label(&labels, wanted)
            .map_err(|reason| LoadError::invalid(&path, reason))?;
        let limits = [manifest.map(|manifest| manifest.max_tokens), config.max_tokens];
        let longest = longest_input(&model);
        let max_tokens = limits.into_iter().flatten().fold(longest, usize::min);
        let vocabulary = required(&model, "vocab_size", &path)?;
        let tokenizer = package.dir().join("tokenizer.json");
        let encoder = TextEncoder::load(&tokenizer, max_tokens, vocabulary)?;
        let factory = SessionFactory::new(runtime, graph, &config.session).sharing_weights()?;
        let session = factory.open(config.session.intra_threads)?;
        let plan = InputPlan {
            inputs: graph::plan(&session, graph, labels.len())?,
            pad_id: model["pad_token_id"].as_i64().unwrap_or(0),
            labels: labels.len(),
            fraud,
            calibration: calibration(package),
        };
        let threads = config.session.intra_threads;
        let classifier = Self {
            factory,
            encoder: Arc::new(encoder),
            plan: Arc::new(plan),
            labels,
            threads,
            tried: Mutex::new(None),
        };
        let mut worker = ClassifierWorker::new(session, Arc::clone(&classifier.plan));
        classifier.check(&mut worker)?;
        *classifier.tried.lock().unwrap_or_else(PoisonError::into_inner) = Some(worker);
        Ok(classifier)
    }

    /// Opens `count` workers, each for a thread of its own, with `intra_threads` threads each.
    ///
    /// # Errors
    /// When ONNX Runtime cannot open another session.
    pub fn workers(
        &self,
        count: usize,
        intra_threads: usize,
    ) -> Result<Vec<ClassifierWorker>, LoadError> {
        (0..count).map(|_| self.worker(intra_threads)).collect()
    }

    /// Opens one worker with the configured number of threads.
    ///
    /// # Errors
    /// When ONNX Runtime cannot open another session.
    pub fn default_worker(&self) -> Result<ClassifierWorker, LoadError> {
        self.worker(self.threads)
    }

    /// Opens one worker with so many threads.
    ///
    /// # Errors
    /// When ONNX Runtime cannot open another session.
    pub fn worker(&self, intra_threads: usize) -> Result<ClassifierWorker, LoadError> {
        if intra_threads == self.threads {
            let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(worker) = tried.take() {
                return Ok(worker);
            }
        }
        Ok(ClassifierWorker::new(self.factory.open(intra_threads)?, Arc::clone(&self.plan)))
    }

    /// The encoder for this classifier's texts.
    #[must_use]
    pub fn encoder(&self) -> Arc<TextEncoder> {
        Arc::clone(&self.encoder)
    }

    /// The labels, in the order of the logits.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The index of the label that means fraud.
    #[must_use]
    pub fn fraud_index(&self) -> usize {
        self.plan.fraud
    }

    /// The graph file in use.
    #[must_use]
    pub fn graph(&self) -> &Path {
        self.factory.model()
    }

    /// A graph that loads may still not run, for instance because it wants an operator's input
    /// in another shape: better to learn it now than with the first transaction.
    fn check(&self, worker: &mut ClassifierWorker) -> Result<(), LoadError> {
        worker.warm_up(&[self.encoder.max_tokens().min(8)], &[1]).map_err(|error| {
            LoadError::WarmUp { path: self.graph().to_path_buf(), reason: error.to_string() }
        })
    }
}

fn calibration(package: &Package) -> Calibration {
    package.manifest().map(|manifest| manifest.calibration.clone()).unwrap_or_default()
}

/// The longest input in tokens that the position embeddings allow.
fn longest_input(model: &Value) -> usize {
    let positions = model["max_position_embeddings"].as_u64();
    let positions = positions.and_then(|count| usize::try_from(count).ok());
    let positions = positions.unwrap_or(MAX_TOKENS_DEFAULT);
    let kind = model["model_type"].as_str().unwrap_or_default();
    if !OFFSET_POSITIONS.contains(&kind) {
        return positions;
    }
    let pad = model["pad_token_id"].as_u64().and_then(|id| usize::try_from(id).ok());
    positions.saturating_sub(pad.unwrap_or(1) + 1)
}

fn required(model: &Value, key: &str, path: &Path) -> Result<usize, LoadError> {
    model[key]
        .as_u64()
        .and_then(|value| usize::try_from(value).ok())
        .ok_or_else(|| LoadError::invalid(path, format!("{key} is missing or not a count")))
}
