//! Measures a decoder package.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use batching::{ModelError, SequenceId, SequenceModel, StepOutcome};
use package::{DecoderGolden, Package};
use prometheus::Registry;

use super::{
    Check, Latency, Stage, Tally, Verification, VerifyConfig, VerifyError, golden, latency, timed,
};
use crate::decoder::{
    DecodeRequest, Decoder, DecoderConfig, DecoderEngine, DecoderMetrics, EncodedPrompt, Extent,
    Finish, Generation, GrammarSpec, Opening,
};
use crate::runtime::Runtime;

/// What a folder without golden prompts is measured with.
const FALLBACK_PROMPT: &str = "card payment of 120.00 eur to a new counterparty at night";

/// Loads and measures a decoder: golden verdicts, invariance, completeness, latency.
///
/// `margin` turns an answer into the log-odds of fraud that the golden file states.
///
/// # Errors
/// When the package does not load or the model fails; what it merely does badly is a failed
/// check.
pub fn verify_decoder(
    runtime: &Runtime,
    package: &Package,
    grammar: &GrammarSpec,
    model: DecoderConfig,
    margin: &dyn Fn(&Generation) -> f64,
    config: &VerifyConfig,
) -> Result<Verification, VerifyError> {
    let decoder = Decoder::load(runtime, package, Some(grammar), model)?;
    let encoder = decoder.encoder();
    let (golden, tolerance) = golden::<DecoderGolden>(package)?;
    let prompts: Vec<&str> = if golden.is_empty() {
        vec![FALLBACK_PROMPT]
    } else {
        golden.iter().map(|line| line.prompt.as_str()).collect()
    };
    let prompts = prompts.iter().map(|text| encoder.encode(text)).collect::<Result<Vec<_>, _>>()?;
    let metrics = DecoderMetrics::register(&Registry::new())
        .map_err(|error| ModelError(error.to_string()))?;
    let mut engine = decoder.into_engine(metrics)?;
    let alone = prompts
        .iter()
        .map(|prompt| engine.generate(prompt.clone()))
        .collect::<Result<Vec<_>, _>>()?;

    let calibration =
        package.manifest().map(|manifest| manifest.calibration.clone()).unwrap_or_default();
    let mut checks = Vec::new();
    if !golden.is_empty() {
        let probability = |generation: &Generation| calibration.probability(margin(generation));
        let expected = |line: &DecoderGolden| {
            line.probability.unwrap_or_else(|| calibration.probability(line.margin))
        };
        checks.push(check_golden(&golden, &alone, tolerance, &probability, &expected));
    }
    checks.push(check_complete(&alone));
    let few = prompts.len().min(config.texts_max);
    checks.push(check_together(&mut engine, &prompts[..few], &alone[..few])?);
    let latencies = measure_latency(&mut engine, &prompts, encoder.max_prompt_tokens(), config)?;
    Ok(Verification { checks, latencies, drift: None })
}

fn check_golden(
    golden: &[DecoderGolden],
    found: &[Generation],
    tolerance: f64,
    probability: &dyn Fn(&Generation) -> f64,
    expected: &dyn Fn(&DecoderGolden) -> f64,
) -> Check {
    let mut tally = Tally::new("golden prompts score as they did where they were made", tolerance);
    for (index, (line, found)) in golden.iter().zip(found).enumerate() {
        let place = index + 1;
        let (is, should) = (probability(found), expected(line));
        tally.add((is - should).abs(), || format!("prompt {place}: {is:.6}, not {should:.6}"));
        let verdict = found.opening.choice.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let verdict = verdict.map_or("", |(verdict, _)| verdict.as_str());
        // Where two verdicts are as likely, rounding decides: the score is what must hold.
        if verdict != line.verdict && !is_near_tie(found, tolerance) {
            tally.fail(|| format!("prompt {place}: `{verdict}`, not `{}`", line.verdict));
        }
    }
    tally.check
}

fn is_near_tie(found: &Generation, tolerance: f64) -> bool {
    let mut probabilities: Vec<f64> = found.opening.choice.iter().map(|(_, p)| *p).collect();
    probabilities.sort_by(|a, b| b.total_cmp(a));
    matches!(probabilities.as_slice(), [first, second, ..] if first - second <= tolerance)
}

fn check_complete(found: &[Generation]) -> Check {
    let mut tally = Tally::new("every answer is complete within its limit", 0.0);
    for (index, found) in found.iter().enumerate() {
        let cut = f64::from(u8::from(found.finish == Finish::Length));
        tally.add(cut, || format!("prompt {} was cut off: {}", index + 1, found.text));
    }
    tally.check
}

fn check_together(
    engine: &mut DecoderEngine,
    prompts: &[EncodedPrompt],
    alone: &[Generation],
) -> Result<Check, VerifyError> {
    let mut tally = Tally::new("an answer is the same beside any other prompt, to the bit", 0.0);
    let together = run_together(engine, prompts)?;
    for (index, (found, alone)) in together.iter().zip(alone).enumerate() {
        let pairs = found.opening.choice_log_probs.iter();
        let pairs = pairs.zip(&alone.opening.choice_log_probs);
        let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        tally.add(worst, || format!("the verdict of prompt {} differs", index + 1));
        if found.tokens != alone.tokens {
            tally.fail(|| format!("the wording of prompt {} differs", index + 1));
        }
    }
    Ok(tally.check)
}

fn run_together(
    engine: &mut DecoderEngine,
    prompts: &[EncodedPrompt],
) -> Result<Vec<Generation>, ModelError> {
    let requests = prompts.iter().cloned().map(DecodeRequest::from);
    let mut waiting: VecDeque<_> = (0..).map(SequenceId).zip(requests).collect();
    let mut done: HashMap<u64, Generation> = HashMap::new();
    while done.len() < prompts.len() {
        let room = engine.capacity().min(waiting.len());
        for (_, joined) in engine.join(waiting.drain(..room).collect()) {
            joined?;
        }
        for (id, outcome) in engine.step()? {
            match outcome {
                StepOutcome::Running | StepOutcome::Opened(_) => {}
                StepOutcome::Finished(generation) => _ = done.insert(id.0, generation),
                StepOutcome::Failed(error) => return Err(error),
            }
        }
    }
    let mut done: Vec<(u64, Generation)> = done.into_iter().collect();
    done.sort_by_key(|(id, _)| *id);
    Ok(done.into_iter().map(|(_, generation)| generation).collect())
}

fn measure_latency(
    engine: &mut DecoderEngine,
    prompts: &[EncodedPrompt],
    longest: usize,
    config: &VerifyConfig,
) -> Result<Vec<Latency>, VerifyError> {
    let mut latencies = Vec::new();
    for &tokens in config.lengths.iter().filter(|tokens| **tokens <= longest) {
        let mut prefills = Vec::with_capacity(config.runs);
        let mut steps: Vec<Duration> = Vec::new();
        for run in 0..config.runs {
            let prompt = resized(&prompts[run % prompts.len()], tokens);
            let choice =
                DecodeRequest { extent: Extent::Choice, ..DecodeRequest::from(prompt.clone()) };
            let (_, time) = timed(|| engine.generate(choice))?;
            prefills.push(time);
            let id = SequenceId(0);
            for (_, joined) in engine.join(vec![(id, prompt.into())]) {
                joined?;
            }
            while !engine.step()?.iter().any(|(_, outcome)| opened(outcome)) {}
            let (_, time) = timed(|| engine.step())?;
            steps.push(time);
            engine.cancel(id);
        }
        latencies.push(latency(Stage::Prefill, tokens, 1, prefills));
        latencies.push(latency(Stage::Step, tokens, 1, steps));
    }
    Ok(latencies)
}

fn opened(outcome: &StepOutcome<Opening, Generation>) -> bool {
    matches!(outcome, StepOutcome::Opened(_) | StepOutcome::Failed(_))
}

fn resized(prompt: &EncodedPrompt, length: usize) -> EncodedPrompt {
    EncodedPrompt { ids: prompt.ids.iter().copied().cycle().take(length).collect() }
}
