//! Tier 1: a classifier behind dynamic batching.

use std::{num::NonZeroUsize, sync::Arc, thread, time::Duration};

use anyhow::{Context, anyhow, bail};
use async_trait::async_trait;
use batching::{
    BatchHandle, BatchModel, BatchPool, BatchShape, DynamicConfig, DynamicMetrics, Fleet, Permit,
    Runs, Wide,
};
use domain::{PackageRef, Score};
use onnx::{
    Classification, Classifier, ClassifierConfig, ClassifierWorker, EncodedText, Runtime,
    SessionConfig, TextEncoder,
};
use package::{ClassifierGolden, Package, read_golden};
use screening::{ModelTimings, Place, Priority, Scored, ScreeningModel, TierError};
use tokio::time::Instant;

use super::{cores, reference, tier_error};
use crate::settings::{ExecutionProvider, Screening};

/// How many golden vectors are checked at every start; `weir models verify` checks them all.
const GOLDEN_AT_START: usize = 16;
/// Lengths, in tokens, that every session runs before the first request.
const WARM_UP_LENGTHS: &[usize] = &[16, 32, 64, 128];
/// More threads than this gain a text of a hundred tokens nothing.
const WIDE_THREADS_MAX: usize = 4;

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
    metrics: DynamicMetrics,
) -> anyhow::Result<(ClassifierTier, BatchPool)> {
    let session = SessionConfig {
        intra_threads: settings.intra_threads,
        provider: provider(settings.execution_provider),
        ..SessionConfig::default()
    };
    let classifier = load(runtime, package, session)?;
    let encoder = classifier.encoder();
    let mut fleet = fleet(&classifier, settings)?;
    if let Some(worker) = fleet.narrow.first_mut() {
        check_golden(package, &encoder, worker)?;
    }
    let bound = |value: usize| NonZeroUsize::new(value).context("a bound of 0");
    let config = DynamicConfig {
        max_batch_size: bound(settings.max_batch_size)?,
        max_queue_depth: bound(settings.max_queue_depth)?,
        max_queue_delay: Duration::from_micros(settings.max_queue_delay_us),
        ..DynamicConfig::default()
    };
    let (handle, pool) = BatchPool::spawn(fleet, &config, metrics)?;
    Ok((ClassifierTier { package: reference(package), encoder, handle }, pool))
}

/// One narrow session per core and, where there are several cores, a wide one over all of them;
/// all warm.
fn fleet(classifier: &Classifier, settings: &Screening) -> anyhow::Result<Fleet<ClassifierWorker>> {
    let threads = settings.intra_threads;
    let count = match settings.workers {
        0 => (cores() / threads).max(1),
        set => set,
    };
    let wide_threads = match settings.wide_threads {
        0 => (count * threads).min(WIDE_THREADS_MAX),
        set => set,
    };
    let sizes = [1, settings.max_batch_size];
    let longest = classifier.encoder().max_tokens();
    // Opened one after the other: side by side, each would pack the weights for itself.
    let mut fleet = Fleet::narrow(classifier.workers(count, threads)?);
    let warm_narrow = |worker: &mut ClassifierWorker| warm_up(worker, longest, &sizes);
    for runs in side_by_side(&mut fleet.narrow, warm_narrow)? {
        fleet.narrow_runs.extend(runs?);
    }
    if wide_threads > threads {
        let mut model = classifier.worker(wide_threads)?;
        let runs = warm_up(&mut model, longest, &[1])?;
        fleet.wide = Some(Wide { model, cores: wide_threads, runs });
    }
    Ok(fleet)
}

/// What `work` answers for each item, on a thread each.
fn side_by_side<I: Send, T: Send>(
    items: &mut [I],
    work: impl Fn(&mut I) -> T + Sync,
) -> anyhow::Result<Vec<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = items.iter_mut().map(|item| scope.spawn(|| work(item))).collect();
        let panicked = |_| anyhow!("a thread panicked");
        threads.into_iter().map(|thread| thread.join().map_err(panicked)).collect()
    })
}

/// Runs every shape twice: the first time pays for allocations, the second is measured.
fn warm_up(worker: &mut ClassifierWorker, longest: usize, sizes: &[usize]) -> anyhow::Result<Runs> {
    let mut runs = Runs::new();
    for &tokens in WARM_UP_LENGTHS.iter().filter(|length| **length <= longest) {
        for &texts in sizes {
            worker.warm_up(&[tokens], &[texts])?;
            let started = Instant::now();
            worker.warm_up(&[tokens], &[texts])?;
            runs.push((BatchShape { texts, tokens }, started.elapsed()));
        }
    }
    Ok(runs)
}

fn provider(setting: ExecutionProvider) -> onnx::ExecutionProvider {
    match setting {
        ExecutionProvider::Cpu => onnx::ExecutionProvider::Cpu,
        ExecutionProvider::OpenVino => onnx::ExecutionProvider::OpenVino,
        ExecutionProvider::Cuda => onnx::ExecutionProvider::Cuda,
    }
}

pub(super) fn load(
    runtime: &Runtime,
    package: &Package,
    session: SessionConfig,
) -> anyhow::Result<Classifier> {
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

impl ScreeningModel for ClassifierTier {
    fn package(&self) -> &PackageRef {
        &self.package
    }

    fn reserve(
        &self,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Box<dyn Place + '_>, TierError> {
        let priority = match priority {
            Priority::Interactive => batching::Priority::Interactive,
            Priority::Bulk => batching::Priority::Bulk,
        };
        let permit = self.handle.reserve(priority, deadline.into_std()).map_err(tier_error)?;
        Ok(Box::new(Reserved { encoder: &self.encoder, permit }))
    }
}

/// A place in the queue, with what turns text into tokens on the caller's thread.
struct Reserved<'a> {
    encoder: &'a TextEncoder,
    permit: Permit<EncodedText, Classification>,
}

#[async_trait]
impl Place for Reserved<'_> {
    async fn score(self: Box<Self>, text: &str) -> Result<Scored, TierError> {
        let started = Instant::now();
        let encoded =
            self.encoder.encode(text).map_err(|error| TierError::Input(error.to_string()))?;
        let encode = started.elapsed();
        let predicted = self.permit.predict(encoded).await.map_err(tier_error)?;
        let score = Score::new(predicted.output.probability).map_err(TierError::Failed)?;
        let timings = ModelTimings { encode, queue: predicted.queue, run: predicted.run };
        Ok(Scored { score, timings })
    }
}
