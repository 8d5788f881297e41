//! Tier 1: a classifier behind dynamic batching.

use std::{num::NonZeroUsize, sync::Arc};

use anyhow::{Context, bail};
use async_trait::async_trait;
use batching::{BatchHandle, BatchModel, BatchPool, DynamicConfig, TierMetrics};
use domain::{PackageRef, Score};
use onnx::{
    Classification, Classifier, ClassifierConfig, ClassifierWorker, EncodedText, Runtime,
    SessionConfig, TextEncoder,
};
use package::{ClassifierGolden, Package, read_golden};
use screening::{ModelTimings, Scored, ScreeningModel, TierError};
use tokio::time::Instant;

use super::{or_cores, reference, tier_error};
use crate::settings::Screening;

/// How many golden vectors are checked at every start; `weir models verify` checks them all.
const GOLDEN_AT_START: usize = 16;
/// Lengths, in tokens, that every worker runs once before the first request.
const WARM_UP_LENGTHS: &[usize] = &[8, 16, 32, 48, 64, 96, 128];

/// Tier 1 as the cascade sees it.
pub(super) struct ClassifierTier {
    package: PackageRef,
    encoder: Arc<TextEncoder>,
    handle: BatchHandle<EncodedText, Classification>,
}

/// Loads the package and starts its workers.
pub(super) fn start(
    runtime: &Runtime,
    package: &Package,
    settings: &Screening,
    metrics: TierMetrics,
) -> anyhow::Result<(ClassifierTier, BatchPool)> {
    let classifier = load(runtime, package, settings.intra_threads)?;
    let encoder = classifier.encoder();
    let mut workers = classifier.workers(or_cores(settings.workers), settings.intra_threads)?;
    let lengths: Vec<usize> =
        WARM_UP_LENGTHS.iter().copied().filter(|length| *length <= encoder.max_tokens()).collect();
    for worker in &mut workers {
        worker.warm_up(&lengths, &[1, settings.max_batch_size])?;
    }
    if let Some(worker) = workers.first_mut() {
        check_golden(package, &encoder, worker)?;
    }
    let bound = |value: usize| NonZeroUsize::new(value).context("a bound of 0");
    let config = DynamicConfig {
        max_batch_size: bound(settings.max_batch_size)?,
        max_queue_depth: bound(settings.max_queue_depth)?,
        ..DynamicConfig::default()
    };
    let (handle, pool) = BatchPool::spawn(workers, &config, metrics)?;
    Ok((ClassifierTier { package: reference(package), encoder, handle }, pool))
}

pub(super) fn load(
    runtime: &Runtime,
    package: &Package,
    intra_threads: usize,
) -> anyhow::Result<Classifier> {
    let session = SessionConfig { intra_threads, ..SessionConfig::default() };
    let config = ClassifierConfig { session, ..ClassifierConfig::default() };
    Ok(Classifier::load(runtime, package, &config)?)
}

/// A package that scores differently here than where it was made is refused.
fn check_golden(
    package: &Package,
    encoder: &TextEncoder,
    worker: &mut ClassifierWorker,
) -> anyhow::Result<()> {
    let Some(golden) = package.manifest().and_then(|manifest| manifest.golden.as_ref()) else {
        return Ok(());
    };
    let path = package.dir().join(&golden.file);
    let vectors: Vec<ClassifierGolden> = read_golden(&path)?;
    for (n, vector) in vectors.iter().take(GOLDEN_AT_START).enumerate() {
        let encoded = encoder.encode(&vector.text)?;
        let scored = worker.run(&[&encoded])?;
        let probability = scored.first().map_or(f64::NAN, |score| score.probability);
        let difference = (probability - vector.probability).abs();
        if encoded.ids != vector.input_ids || difference.is_nan() || difference > golden.tolerance {
            bail!(
                "{}: vector {} scores {probability:.6} here, {:.6} where it was made (tolerance {}); \
                 run `weir models verify {}`",
                path.display(),
                n + 1,
                vector.probability,
                golden.tolerance,
                package.dir().display()
            );
        }
    }
    Ok(())
}

#[async_trait]
impl ScreeningModel for ClassifierTier {
    fn package(&self) -> &PackageRef {
        &self.package
    }

    async fn score(&self, text: &str, deadline: Instant) -> Result<Scored, TierError> {
        let started = Instant::now();
        let encoded =
            self.encoder.encode(text).map_err(|error| TierError::Input(error.to_string()))?;
        let encode = started.elapsed();
        let predicted =
            self.handle.predict(encoded, deadline.into_std()).await.map_err(tier_error)?;
        let score = Score::new(predicted.output.probability).map_err(TierError::Failed)?;
        let timings = ModelTimings { encode, queue: predicted.queue, run: predicted.run };
        Ok(Scored { score, timings })
    }
}
