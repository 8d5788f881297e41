//! Tier 2: an embedded decoder behind sequence batching.

use std::num::NonZeroUsize;

use anyhow::Context;
use async_trait::async_trait;
use batching::{SequenceConfig, SequenceHandle, SequenceWorker, TierMetrics};
use domain::{PackageRef, Score, Verdict};
use onnx::{
    ChoiceProbe, Decoder, DecoderConfig, DecoderEncoder, DecoderMetrics, EncodedPrompt, Finish,
    Generation, GrammarSpec, Runtime, SessionConfig,
};
use package::{Calibration, Package};
use screening::{
    AnalysisModel, Generated, ModelTimings, REPORT_PREFIX, TierError, report_schema, verdict_words,
};
use tokio::time::Instant;

use super::{or_cores, reference, tier_error};
use crate::settings::Analysis;

/// Tier 2 as the cascade sees it.
pub(super) struct DecoderTier {
    package: PackageRef,
    encoder: DecoderEncoder,
    handle: SequenceHandle<EncodedPrompt, Generation>,
    calibration: Calibration,
}

/// Loads the package and starts its engine.
pub(super) fn start(
    runtime: &Runtime,
    package: &Package,
    settings: &Analysis,
    tier: TierMetrics,
    metrics: DecoderMetrics,
) -> anyhow::Result<(DecoderTier, SequenceWorker)> {
    let intra_threads = or_cores(settings.intra_threads);
    let config = DecoderConfig {
        session: SessionConfig { intra_threads, ..SessionConfig::default() },
        max_batch_size: settings.max_batch_size,
        // A narrative must not depend on what else was running when it was written.
        fast_forward: false,
        ..DecoderConfig::default()
    };
    let decoder = Decoder::load(runtime, package, Some(&grammar()), config)?;
    let encoder = decoder.encoder();
    let engine = decoder.into_engine(metrics)?;
    let bound = SequenceConfig {
        max_queue_depth: NonZeroUsize::new(settings.max_queue_depth).context("a bound of 0")?,
        ..SequenceConfig::default()
    };
    let (handle, worker) = SequenceWorker::spawn(engine, &bound, tier)?;
    let calibration = package.manifest().map(|manifest| manifest.calibration).unwrap_or_default();
    Ok((DecoderTier { package: reference(package), encoder, handle, calibration }, worker))
}

/// What every report must look like, and where its verdict stands.
pub(crate) fn grammar() -> GrammarSpec {
    let choices = verdict_words().into_iter().map(str::to_owned).collect();
    GrammarSpec {
        schema_json: report_schema().to_string(),
        choice: ChoiceProbe { prefix: REPORT_PREFIX.to_owned(), choices },
    }
}

#[async_trait]
impl AnalysisModel for DecoderTier {
    fn package(&self) -> &PackageRef {
        &self.package
    }

    async fn analyse(&self, prompt: &str, deadline: Instant) -> Result<Generated, TierError> {
        let started = Instant::now();
        let encoded =
            self.encoder.encode(prompt).map_err(|error| TierError::Input(error.to_string()))?;
        let encode = started.elapsed();
        let generated =
            self.handle.generate(encoded, deadline.into_std()).await.map_err(tier_error)?;
        let timings = ModelTimings { encode, queue: generated.queue, run: generated.run };
        let generation = generated.output;
        if generation.finish == Finish::Length {
            return Err(TierError::Failed("the report was cut off at max_new_tokens".into()));
        }
        let verdict = most_probable(&generation)?;
        let probability = self.calibration.probability(margin(&generation));
        let score = Score::new(probability).map_err(TierError::Failed)?;
        Ok(Generated { text: generation.text, verdict, score, timings })
    }
}

fn probability_of(generation: &Generation, verdict: Verdict) -> f64 {
    let found = generation.choice.iter().find(|(word, _)| word == verdict.as_str());
    found.map_or(0.0, |(_, probability)| *probability)
}

/// Log-odds of fraud from the verdict's token probabilities: `suspicious` counts half for
/// either side, so that the margin rises from `legitimate` over `suspicious` to `fraud`.
pub(crate) fn margin(generation: &Generation) -> f64 {
    let half = 0.5 * probability_of(generation, Verdict::Suspicious);
    let fraud = probability_of(generation, Verdict::Fraud) + half;
    let legitimate = probability_of(generation, Verdict::Legitimate) + half;
    fraud.max(f64::MIN_POSITIVE).ln() - legitimate.max(f64::MIN_POSITIVE).ln()
}

fn most_probable(generation: &Generation) -> Result<Verdict, TierError> {
    Verdict::ALL
        .iter()
        .copied()
        .max_by(|a, b| probability_of(generation, *a).total_cmp(&probability_of(generation, *b)))
        .ok_or_else(|| TierError::Failed("no verdict".into()))
}
