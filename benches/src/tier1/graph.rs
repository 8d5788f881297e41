//! One version of a model: its sessions, its tokens and the scores it must give.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use batching::BatchModel;
use onnx::{Classification, Classifier, ClassifierConfig, ClassifierWorker, EncodedText, Runtime};
use package::Package;

use super::{bare, texts::Text};

/// Lengths, in tokens, that every session runs once before anything is timed.
const WARM_UP_LENGTHS: [usize; 5] = [16, 32, 48, 64, 96];

/// A graph with all that is measured on it.
pub struct Graph {
    /// Its package's folder.
    pub dir: PathBuf,
    /// Size of the graph's file in bytes.
    pub bytes: u64,
    /// Each text's tokens.
    pub encoded: Arc<[EncodedText]>,
    /// Each text's score, computed alone.
    pub references: Arc<[f64]>,
    /// One session of one thread for each core.
    pub workers: Vec<ClassifierWorker>,
    /// One session that spreads a call over all cores.
    pub wide: ClassifierWorker,
    /// Texts, tokens and time of the calls that warmed the first session up.
    pub warm_up: Vec<(usize, usize, Duration)>,
}

impl Graph {
    /// Loads the package, opens its sessions and computes the reference scores.
    ///
    /// # Errors
    /// When the package cannot be loaded or a text cannot be scored.
    pub fn load(
        runtime: &Runtime,
        dir: &Path,
        texts: &[Text],
        cores: usize,
    ) -> anyhow::Result<Self> {
        let context = || dir.display().to_string();
        let package = Package::open(dir).with_context(context)?;
        let classifier = Classifier::load(runtime, &package, &ClassifierConfig::default())
            .with_context(context)?;
        let encoder = classifier.encoder();
        let encoded: Vec<EncodedText> =
            texts.iter().map(|text| encoder.encode(&text.rendered)).collect::<Result<_, _>>()?;
        let mut workers = classifier.workers(cores, 1)?;
        let mut wide = classifier.workers(1, cores)?.pop().context("no session")?;
        for worker in workers.iter_mut().chain([&mut wide]) {
            worker.warm_up(&WARM_UP_LENGTHS, &[1, 4, 16])?;
        }
        let warm_up = workers.first_mut().map(time_shapes).transpose()?.unwrap_or_default();
        let references = bare::references(&mut workers, &encoded)?;
        Ok(Self {
            dir: dir.to_owned(),
            bytes: classifier.graph().metadata()?.len(),
            encoded: encoded.into(),
            references: references.into(),
            workers,
            wide,
            warm_up,
        })
    }

    /// Tokens of a text.
    #[must_use]
    pub fn tokens(&self, text: usize) -> usize {
        ClassifierWorker::length(&self.encoded[text])
    }
}

/// The second call of each shape, as the product times its warm-up.
fn time_shapes(worker: &mut ClassifierWorker) -> anyhow::Result<Vec<(usize, usize, Duration)>> {
    let mut timed = Vec::new();
    for tokens in WARM_UP_LENGTHS {
        for texts in [1, 4, 8] {
            worker.warm_up(&[tokens], &[texts])?;
            let at = Instant::now();
            worker.warm_up(&[tokens], &[texts])?;
            timed.push((texts, tokens, at.elapsed()));
        }
    }
    Ok(timed)
}

/// How many answers are not the reference to the bit.
#[must_use]
pub fn wrong(answers: &[Classification], batch: &[usize], references: &[f64]) -> u64 {
    let differs = |(answer, text): (&Classification, &usize)| {
        u64::from(answer.probability.to_bits() != references[*text].to_bits())
    };
    answers.iter().zip(batch).map(differs).sum()
}
