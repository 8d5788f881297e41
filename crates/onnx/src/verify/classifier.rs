//! Measures a classifier package.

use batching::BatchModel;
use package::{ClassifierGolden, Package};

use super::{
    Check, Drift, Latency, Stage, Tally, Verification, VerifyConfig, VerifyError, deviation,
    golden, latency, pick, timed,
};
use crate::classifier::{Classification, Classifier, ClassifierConfig, ClassifierWorker};
use crate::files;
use crate::runtime::Runtime;
use crate::tokenizer::EncodedText;

/// What a folder without golden texts is measured with.
const FALLBACK_TEXTS: [&str; 4] = [
    "card payment",
    "transfer of 120.00 eur to a new counterparty at night",
    "cash withdrawal abroad, first seen device, velocity high, memo: gift",
    "refund",
];

/// Loads and measures a classifier: golden vectors, invariance, drift, latency.
///
/// # Errors
/// When the package does not load or the model fails; what it merely does badly is a failed
/// check.
pub fn verify_classifier(
    runtime: &Runtime,
    package: &Package,
    model: &ClassifierConfig,
    config: &VerifyConfig,
) -> Result<Verification, VerifyError> {
    let classifier = Classifier::load(runtime, package, model)?;
    let encoder = classifier.encoder();
    let mut worker = classifier.default_worker()?;
    let (golden, tolerance) = golden::<ClassifierGolden>(package)?;
    let texts: Vec<&str> = if golden.is_empty() {
        FALLBACK_TEXTS.to_vec()
    } else {
        golden.iter().map(|line| line.text.as_str()).collect()
    };
    let encoded =
        texts.iter().map(|text| encoder.encode(text)).collect::<Result<Vec<EncodedText>, _>>()?;
    let alone = encoded.iter().map(|text| one(&mut worker, text)).collect::<Result<Vec<_>, _>>()?;

    let mut checks = Vec::new();
    if !golden.is_empty() {
        checks.push(check_golden(&golden, &encoded, &alone, tolerance));
    }
    let few = encoded.len().min(config.texts_max);
    checks.push(check_padding(&mut worker, &encoded[..few], &alone[..few], config)?);
    checks.push(check_batch(&mut worker, &encoded[..few], &alone[..few], config)?);
    let drift = match files::reference_graph(package, classifier.graph()) {
        Some(graph) => {
            let mut plain =
                Classifier::load_graph(runtime, package, &graph, model)?.default_worker()?;
            Some(measure_drift(&mut plain, &encoded, &alone)?)
        }
        None => None,
    };
    let latencies = measure_latency(&mut worker, &encoded, encoder.max_tokens(), config)?;
    Ok(Verification { checks, latencies, drift })
}

fn one(
    worker: &mut ClassifierWorker,
    text: &EncodedText,
) -> Result<Classification, batching::ModelError> {
    worker.run(&[text])?.pop().ok_or_else(|| batching::ModelError("no answer".into()))
}

fn check_golden(
    golden: &[ClassifierGolden],
    encoded: &[EncodedText],
    found: &[Classification],
    tolerance: f64,
) -> Check {
    let mut tally = Tally::new("golden vectors score as they did where they were made", tolerance);
    for (index, ((line, encoded), found)) in golden.iter().zip(encoded).zip(found).enumerate() {
        let place = index + 1;
        tally.add((found.probability - line.probability).abs(), || {
            format!("vector {place}: {:.6}, not {:.6}", found.probability, line.probability)
        });
        if encoded.ids != line.input_ids {
            tally.fail(|| format!("vector {place}: the tokenizer answers other tokens"));
        }
    }
    tally.check
}

/// Texts of different lengths in one batch: the shorter ones are padded.
fn check_padding(
    worker: &mut ClassifierWorker,
    texts: &[EncodedText],
    alone: &[Classification],
    config: &VerifyConfig,
) -> Result<Check, VerifyError> {
    let mut tally = Tally::new("a padded text scores as it does alone, to the bit", 0.0);
    for &size in &config.batch_sizes {
        for round in 0..texts.len().div_ceil(size) {
            let picked: Vec<usize> = pick(round, size, texts.len()).collect();
            let batch: Vec<&EncodedText> = picked.iter().map(|&index| &texts[index]).collect();
            for (found, &index) in worker.run(&batch)?.iter().zip(&picked) {
                tally.add(deviation(&found.logits, &alone[index].logits), || {
                    format!("text {} differs in a batch of {size}", index + 1)
                });
            }
        }
    }
    Ok(tally.check)
}

/// A text beside others of its own length: nothing is padded.
fn check_batch(
    worker: &mut ClassifierWorker,
    texts: &[EncodedText],
    alone: &[Classification],
    config: &VerifyConfig,
) -> Result<Check, VerifyError> {
    let mut tally = Tally::new("a text scores the same beside any other, to the bit", 0.0);
    for (index, text) in texts.iter().enumerate() {
        let size = config.batch_sizes[index % config.batch_sizes.len().max(1)];
        let mates: Vec<EncodedText> = pick(index, size.saturating_sub(1), texts.len())
            .map(|mate| resized(&texts[mate], text.ids.len()))
            .collect();
        let batch: Vec<&EncodedText> = std::iter::once(text).chain(&mates).collect();
        let found = worker.run(&batch)?;
        tally.add(deviation(&found[0].logits, &alone[index].logits), || {
            format!("text {} differs in a batch of {size}", index + 1)
        });
    }
    Ok(tally.check)
}

fn measure_drift(
    plain: &mut ClassifierWorker,
    encoded: &[EncodedText],
    served: &[Classification],
) -> Result<Drift, VerifyError> {
    let (mut sum, mut worst, mut flips) = (0.0, 0.0f64, 0);
    for (text, served) in encoded.iter().zip(served) {
        let exact = one(plain, text)?;
        let difference = (exact.probability - served.probability).abs();
        sum += difference;
        worst = worst.max(difference);
        flips += usize::from((exact.probability > 0.5) != (served.probability > 0.5));
    }
    Ok(Drift { texts: encoded.len(), mean: sum / encoded.len() as f64, worst, flips })
}

fn measure_latency(
    worker: &mut ClassifierWorker,
    encoded: &[EncodedText],
    longest: usize,
    config: &VerifyConfig,
) -> Result<Vec<Latency>, VerifyError> {
    let mut latencies = Vec::new();
    for &tokens in config.lengths.iter().filter(|tokens| **tokens <= longest) {
        for batch in [1, 8] {
            let texts: Vec<EncodedText> =
                (0..batch).map(|place| resized(&encoded[place % encoded.len()], tokens)).collect();
            let texts: Vec<&EncodedText> = texts.iter().collect();
            worker.run(&texts)?;
            let times = (0..config.runs)
                .map(|_| timed(|| worker.run(&texts)).map(|(_, time)| time))
                .collect::<Result<Vec<_>, _>>()?;
            latencies.push(latency(Stage::Classify, tokens, batch, times));
        }
    }
    Ok(latencies)
}

/// The text with its tokens repeated or cut to a length; first and last token stay.
fn resized(text: &EncodedText, length: usize) -> EncodedText {
    let take = |ids: &[u32]| -> Vec<u32> {
        let mut taken: Vec<u32> = ids.iter().copied().cycle().take(length).collect();
        if let (Some(target), Some(last)) = (taken.last_mut(), ids.last()) {
            *target = *last;
        }
        taken
    };
    EncodedText { ids: take(&text.ids), type_ids: take(&text.type_ids), truncated: true }
}
