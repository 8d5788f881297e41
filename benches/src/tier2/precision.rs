//! The shipped decoder in FP32, INT8 and INT4: how fast, and how near to FP32.

use std::sync::Arc;

use onnx::{EncodedPrompt, Generation, Runtime};

use super::{
    closed::Window,
    decoder::{Options, Served, golden_texts, load},
    figures::{Figures, Wanted},
    settings::Settings,
};

/// The precisions, the reference first.
const PRECISIONS: [&str; 3] = ["fp32-last", "int8-last", "int4-last"];

/// Reports a second of each precision, and what of its reports and scores is that of FP32.
///
/// # Errors
/// When a decoder fails.
pub async fn compare(
    figures: &mut Figures,
    settings: &Settings,
    runtime: &Runtime,
) -> anyhow::Result<()> {
    let (read, written, schema) = (512, 192, true);
    let options = Options { slots: 8, read, written, schema, prefix: None, forced_run: None };
    let mut engines = Vec::new();
    let mut prompts: Arc<[EncodedPrompt]> = Arc::new([]);
    for precision in PRECISIONS {
        let dir = settings.made.join("shipped").join(precision);
        let encoder = load(runtime, &dir, &options)?.encoder();
        prompts = golden_texts()?
            .iter()
            .map(|text| Ok(encoder.encode(text)?))
            .collect::<anyhow::Result<_>>()?;
        engines.push(Served::start(runtime, &dir, &options)?);
    }
    let duration = settings.window();
    for _ in 0..settings.rounds {
        for (engine, precision) in engines.iter().zip(PRECISIONS) {
            for callers in [1, 8] {
                let window = Window { callers, warm_up: duration / 8, duration: duration / 2 };
                let measured = engine.reports(&prompts, window).await?;
                let label = format!("precision {precision}: x{callers}, reports/s");
                figures.add(&label, measured.per_second);
            }
        }
    }
    let mut answers = Vec::new();
    for engine in &engines {
        answers.push(engine.answers(&prompts).await?);
    }
    for (found, precision) in answers.iter().zip(PRECISIONS) {
        let valid =
            share(found, |answer| serde_json::from_str::<serde_json::Value>(&answer.text).is_ok());
        figures.add(&format!("precision {precision}: valid reports, share"), valid);
        figures.judge(
            &format!("reports valid against the schema, {precision}"),
            Some(valid),
            Wanted::AtLeast(1.0),
        );
        let pairs = || found.iter().zip(&answers[0]);
        let same = |what: &dyn Fn(&Generation, &Generation) -> bool| {
            pairs().filter(|(a, b)| what(a, b)).count() as f64 / found.len() as f64
        };
        let verdicts = same(&|a, b| verdict(a) == verdict(b));
        let texts = same(&|a, b| a.text == b.text);
        let worst = pairs().map(|(a, b)| distance(a, b)).fold(0.0, f64::max);
        figures.add(&format!("precision {precision}: verdicts as in FP32, share"), verdicts);
        figures.add(&format!("precision {precision}: whole reports as in FP32, share"), texts);
        figures.add(
            &format!("precision {precision}: largest difference of a verdict's probability"),
            worst,
        );
    }
    Ok(())
}

/// The shipped decoder, by the shortest run of forced tokens that is fed at once.
///
/// # Errors
/// When it fails.
pub async fn forced_runs(
    figures: &mut Figures,
    settings: &Settings,
    runtime: &Runtime,
) -> anyhow::Result<()> {
    let dir = std::path::Path::new("models/analysis");
    let (read, written, schema, prefix) = (512, 192, true, None);
    let options = Options { slots: 8, read, written, schema, prefix, forced_run: None };
    let encoder = load(runtime, dir, &options)?.encoder();
    let texts = golden_texts()?;
    let encode = |text: &String| Ok(encoder.encode(text)?);
    let prompts: Arc<[EncodedPrompt]> = texts.iter().map(encode).collect::<anyhow::Result<_>>()?;
    let mut engines = Vec::new();
    for run in [2, 4, 8, 1000] {
        let options = Options { forced_run: Some(run), ..options.clone() };
        engines.push((run, Served::start(runtime, dir, &options)?));
    }
    let duration = settings.window() / 2;
    for _ in 0..settings.rounds {
        for (run, engine) in &engines {
            for callers in [1, 8] {
                let window = Window { callers, warm_up: duration / 4, duration };
                let measured = engine.reports(&prompts, window).await?;
                let label =
                    format!("precision int8, forced runs from {run}: x{callers}, reports/s");
                figures.add(&label, measured.per_second);
            }
        }
    }
    Ok(())
}

fn share(answers: &[Generation], holds: impl Fn(&Generation) -> bool) -> f64 {
    answers.iter().filter(|answer| holds(answer)).count() as f64 / answers.len().max(1) as f64
}

fn verdict(answer: &Generation) -> Option<&str> {
    let likeliest = answer.opening.choice.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    likeliest.map(|(word, _)| word.as_str())
}

fn distance(a: &Generation, b: &Generation) -> f64 {
    let pairs = a.opening.choice.iter().zip(&b.opening.choice);
    pairs.map(|((_, a), (_, b))| (a - b).abs()).fold(0.0, f64::max)
}
