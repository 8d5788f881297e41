//! Tier 2: an embedded decoder behind sequence batching.

use std::num::NonZeroUsize;

use anyhow::Context;
use async_trait::async_trait;
use batching::{
    Opened, Order, SequenceConfig, SequenceHandle, SequenceMetrics, SequenceWorker, Started, Terms,
};
use domain::{PackageRef, Score, Verdict};
use onnx::{
    ChoiceProbe, DecodeRequest, Decoder, DecoderConfig, DecoderEncoder, DecoderMetrics, Finish,
    Generation, GrammarSpec, Opening, Runtime, Sampling, SessionConfig,
};
use package::{Calibration, Package};
use screening::{
    Analysing, AnalysisModel, Basis, Case, Extent, Judgement, ModelTimings, PendingReport,
    REPORT_PREFIX, TierError, Written, report_schema, verdict_words,
};
use tokio::time::Instant;

use super::{or_cores, reference, tier_error};
use crate::settings::{Analysis, AnalysisOrder, CpuPriority};

/// Tier 2 as the cascade sees it.
pub(super) struct DecoderTier {
    package: PackageRef,
    encoder: DecoderEncoder,
    handle: SequenceHandle<DecodeRequest, Opening, Generation>,
    calibration: Calibration,
}

type StartedReport = Started<DecodeRequest, Opening, Generation>;

/// Loads the package and starts its engine.
pub(super) fn start(
    runtime: &Runtime,
    package: &Package,
    settings: &Analysis,
    tier: SequenceMetrics,
    metrics: DecoderMetrics,
) -> anyhow::Result<(DecoderTier, SequenceWorker)> {
    let bound = |value: usize| NonZeroUsize::new(value).context("a bound of 0");
    let intra_threads = or_cores(settings.intra_threads);
    // Who computes only on a core that nobody wants may as well stay awake on it.
    let spinning = settings.cpu_priority == CpuPriority::Idle;
    let config = DecoderConfig {
        session: SessionConfig { intra_threads, spinning, ..SessionConfig::default() },
        max_batch_size: settings.max_batch_size,
        prefill_chunk: bound(settings.prefill_chunk_tokens)?,
        forced_run: bound(settings.forced_run_tokens)?,
        instruction_prefix: instruction_prefix(package)?,
        ..DecoderConfig::default()
    };
    let decoder = Decoder::load(runtime, package, Some(&grammar()), config)?;
    let encoder = decoder.encoder();
    let engine = decoder.into_engine(metrics)?;
    let bound = SequenceConfig {
        max_queue_depth: bound(settings.max_queue_depth)?,
        order: match settings.order {
            AnalysisOrder::Arrival => Order::Arrival,
            AnalysisOrder::Amount => Order::Weight,
        },
        ..SequenceConfig::default()
    };
    let (handle, worker) = SequenceWorker::spawn(engine, &bound, tier)?;
    let calibration =
        package.manifest().map(|manifest| manifest.calibration.clone()).unwrap_or_default();
    Ok((DecoderTier { package: reference(package), encoder, handle, calibration }, worker))
}

/// A prefix shorter than this, in characters, is not worth a copy.
const PREFIX_MIN: usize = 64;

/// What every prompt of the package starts with, when that is much.
fn instruction_prefix(package: &Package) -> anyhow::Result<Option<String>> {
    let Some(template) = package.template()? else { return Ok(None) };
    let text = template.leading_text();
    Ok((text.len() >= PREFIX_MIN).then(|| text.to_owned()))
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

    async fn analyse(&self, case: Case) -> Result<Analysing, TierError> {
        let started = Instant::now();
        let prompt = self.encoder.encode(&case.prompt);
        let prompt = prompt.map_err(|error| TierError::Input(error.to_string()))?;
        let encode = started.elapsed();
        let wants_report = case.extent == Extent::Report;
        let extent = if wants_report { onnx::Extent::Whole } else { onnx::Extent::Choice };
        let request = DecodeRequest { prompt, extent, sampling: Sampling::Greedy };
        let terms = Terms {
            first_by: case.verdict_by.into_std(),
            whole_by: case.report_by.into_std(),
            weight: case.at_stake,
        };
        let started = self.handle.start(request, terms).await.map_err(tier_error)?;
        let Opened { first: opening, queue, run } = &started.opened;
        let probability = self.calibration.probability(margin(opening));
        let judgement = Judgement {
            verdict: most_probable(opening)?,
            score: Score::new(probability).map_err(TierError::Failed)?,
            basis: Basis::Calibrated,
            prompt_tokens: u32::try_from(opening.prompt_tokens).ok(),
            timings: ModelTimings { encode, queue: *queue, run: *run },
        };
        let report = if wants_report {
            Some(Box::pin(report(started)) as PendingReport)
        } else {
            // It has ended with its verdict; to be told so costs one step at most.
            started.whole().await.map_err(tier_error)?;
            None
        };
        Ok(Analysing { judgement, report })
    }
}

async fn report(started: StartedReport) -> Result<Written, TierError> {
    let generated = started.whole().await.map_err(tier_error)?;
    let generation = generated.output;
    if generation.finish == Finish::Length {
        return Err(TierError::Failed("the report was cut off at max_new_tokens".into()));
    }
    Ok(Written {
        text: generation.text,
        tokens: u32::try_from(generation.generated_tokens).ok(),
        token_ids: generation.tokens,
        run: generated.run,
    })
}

fn probability_of(choice: &[(String, f64)], verdict: Verdict) -> f64 {
    let found = choice.iter().find(|(word, _)| word == verdict.as_str());
    found.map_or(0.0, |(_, probability)| *probability)
}

/// See [`log_odds`].
pub(crate) fn margin(opening: &Opening) -> f64 {
    log_odds(&opening.choice)
}

/// Log-odds of fraud from the verdict's token probabilities: `suspicious` counts half for
/// either side, so that the margin rises from `legitimate` over `suspicious` to `fraud`.
pub(super) fn log_odds(choice: &[(String, f64)]) -> f64 {
    let half = 0.5 * probability_of(choice, Verdict::Suspicious);
    let fraud = probability_of(choice, Verdict::Fraud) + half;
    let legitimate = probability_of(choice, Verdict::Legitimate) + half;
    fraud.max(f64::MIN_POSITIVE).ln() - legitimate.max(f64::MIN_POSITIVE).ln()
}

fn most_probable(opening: &Opening) -> Result<Verdict, TierError> {
    Verdict::ALL
        .iter()
        .copied()
        .max_by(|a, b| {
            probability_of(&opening.choice, *a).total_cmp(&probability_of(&opening.choice, *b))
        })
        .ok_or_else(|| TierError::Failed("no verdict".into()))
}
