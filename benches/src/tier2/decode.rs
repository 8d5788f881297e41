//! Steps of the engine against steps of the bare graph, and how long a case waits to join.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use batching::{SequenceId, SequenceModel, StepOutcome};
use onnx::{BareDecoder, DecoderEngine, EncodedPrompt, Runtime};

use super::{
    decoder::{Options, Served, bare, engine},
    figures::{Figures, Wanted},
};

/// Tokens of each prompt.
const PROMPT: usize = 250;
/// Steps that are timed.
const STEPS: usize = 60;

/// A prompt of so many tokens; `seed` tells it from others.
#[must_use]
pub fn prompt(tokens: usize, seed: usize) -> EncodedPrompt {
    let word = |at: usize| 300 + u32::try_from((at * 7919 + seed * 104_729) % 3600).unwrap_or(0);
    EncodedPrompt { ids: std::iter::once(1).chain((1..tokens).map(word)).collect() }
}

/// Tokens a second of the engine and of the graph it runs, with so many rows.
///
/// # Errors
/// When either fails.
pub fn rates(
    figures: &mut Figures,
    runtime: &Runtime,
    (name, dir): (&str, &Path),
    rows: usize,
    rounds: u32,
) -> anyhow::Result<()> {
    let options = Options { written: STEPS + 30, ..Options::plain(rows) };
    let mut graph = bare(runtime, dir, &options)?;
    let mut engine = engine(runtime, dir, &options)?;
    let names = [
        format!("decode {name} x{rows}: graph, tokens/s"),
        format!("decode {name} x{rows}: engine, tokens/s"),
    ];
    for _ in 0..rounds {
        figures.add(&names[0], graph_rate(&mut graph, rows)?);
        figures.add(&names[1], engine_rate(&mut engine, rows)?);
    }
    let ratio = figures.ratio(&names[1], &names[0]);
    figures.judge(
        &format!("decode rate of the bare loop, {name}, {rows} rows"),
        ratio,
        Wanted::AtLeast(0.9),
    );
    Ok(())
}

fn graph_rate(graph: &mut BareDecoder, rows: usize) -> anyhow::Result<f64> {
    for row in 0..rows {
        graph.extend(row, &prompt(PROMPT, row).ids, 0)?;
    }
    let tokens = vec![500; rows];
    let started = Instant::now();
    for step in 0..STEPS {
        graph.step(&tokens, &vec![PROMPT + step; rows])?;
    }
    Ok((rows * STEPS) as f64 / started.elapsed().as_secs_f64())
}

fn engine_rate(engine: &mut DecoderEngine, rows: usize) -> anyhow::Result<f64> {
    for row in 0..rows {
        let id = SequenceId(row as u64);
        for (_, joined) in engine.join(vec![(id, prompt(PROMPT, row).into())]) {
            joined?;
        }
        while !engine.step()?.iter().any(|(_, outcome)| matches!(outcome, StepOutcome::Opened(_))) {
        }
    }
    let started = Instant::now();
    let mut generated = 0;
    for _ in 0..STEPS {
        let outcomes = engine.step()?;
        let running = |outcome: &StepOutcome<_, _>| matches!(outcome, StepOutcome::Running);
        generated += outcomes.iter().filter(|(_, outcome)| running(outcome)).count();
    }
    let took = started.elapsed().as_secs_f64();
    for row in 0..rows {
        engine.cancel(SequenceId(row as u64));
    }
    ensure!(generated > 0, "nothing was running");
    Ok(generated as f64 / took)
}

/// How long a case that comes while others run waits for its first piece, against the longest it
/// may: one piece of a prompt and one step.
///
/// # Errors
/// When the engine fails.
pub async fn join(
    figures: &mut Figures,
    runtime: &Runtime,
    (name, dir): (&str, &Path),
    joins: usize,
) -> anyhow::Result<()> {
    let slots = 8;
    let options = Options { written: 700, ..Options::plain(slots) };
    let bound = piece_and_step(&mut engine(runtime, dir, &options)?, slots)?;
    let served = Served::start(runtime, dir, &options)?;
    let mut waits = Vec::with_capacity(joins);
    for round in 0..joins.div_ceil(20) {
        let mut busy = Vec::with_capacity(slots);
        for row in 1..slots {
            busy.push(served.busy(prompt(PROMPT, row + round)).await?);
        }
        for number in 0..20 {
            // Any moment of a step is as likely as any other.
            tokio::time::sleep(Duration::from_micros(1_000 + 377 * (number % 13))).await;
            let wait = served.wait_to_join(prompt(PROMPT, 100 + waits.len())).await?;
            waits.push(wait.as_secs_f64());
        }
        drop(busy);
    }
    waits.sort_by(f64::total_cmp);
    let longest = waits.last().copied().unwrap_or_default();
    let p50 = waits.get(waits.len() / 2).copied().unwrap_or_default();
    figures.add(&format!("join {name}: one piece and one step of {}, ms", slots - 1), bound * 1e3);
    figures.add(&format!("join {name}: wait p50, ms"), p50 * 1e3);
    figures.add(&format!("join {name}: wait longest of {}, ms", waits.len()), longest * 1e3);
    let what = format!("longest wait to join 7 running, in pieces plus steps, {name}");
    figures.judge(&what, Some(longest / bound), Wanted::AtMost(1.0));
    Ok(())
}

/// Median seconds of a step that computes a piece beside seven rows.
fn piece_and_step(engine: &mut DecoderEngine, slots: usize) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for row in 0..slots as u64 {
        for (_, joined) in engine.join(vec![(SequenceId(row), prompt(PROMPT, 3).into())]) {
            joined?;
        }
        let mut opened = false;
        while !opened {
            let started = Instant::now();
            let outcomes = engine.step()?;
            opened = outcomes.iter().any(|(_, outcome)| matches!(outcome, StepOutcome::Opened(_)));
            if row + 1 == slots as u64 {
                times.push(started.elapsed().as_secs_f64());
            }
        }
    }
    Ok(times.into_iter().fold(0.0, f64::max))
}
