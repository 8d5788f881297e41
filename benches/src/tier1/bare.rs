//! The graph alone: plain threads, tokens ready, no server.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use batching::{BatchModel, ModelError};
use onnx::{ClassifierWorker, EncodedText};
use parking_lot::{Condvar, Mutex};

use super::{
    book::Sample,
    graph::{Graph, wrong},
    process::Watch,
};

/// Hands out batches of texts to threads that ask in turn.
pub trait Feed: Send {
    /// The next batch for a thread, while `idle` other threads have none. Empty when nothing
    /// waits until another thread is done.
    fn take(&mut self, idle: usize) -> Vec<usize>;

    /// A batch was computed.
    fn done(&mut self, batch: &[usize], took: Duration);
}

struct Shared<'a> {
    feed: &'a mut dyn Feed,
    idle: usize,
}

/// What one thread did.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    texts: u64,
    batches: u64,
    wrong: u64,
    seconds: f64,
}

/// Runs the feed on all narrow sessions for `duration`. Throughput is the sum of the threads'
/// own rates, so that the last batches of a run are counted with the time they took.
///
/// # Errors
/// When the model fails.
pub fn drive(graph: &mut Graph, feed: &mut dyn Feed, duration: Duration) -> anyhow::Result<Sample> {
    let shared = Mutex::new(Shared { feed, idle: 0 });
    let freed = Condvar::new();
    let watch = Watch::start()?;
    let until = Instant::now() + duration;
    let (encoded, references) = (&graph.encoded, &graph.references);
    let (shared, freed) = (&shared, &freed);
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = graph
            .workers
            .iter_mut()
            .map(|worker| {
                scope.spawn(move || work(worker, encoded, references, (shared, freed), until))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a measuring thread panicked"))?)
            .collect::<anyhow::Result<Vec<Done>>>()
    })?;
    let watched = watch.end()?;
    let texts: u64 = done.iter().map(|done| done.texts).sum();
    let batches: u64 = done.iter().map(|done| done.batches).sum();
    Ok(Sample {
        per_second: done.iter().map(|done| done.texts as f64 / done.seconds).sum(),
        server_cpu_ms: watched.own.as_secs_f64() * 1e3 / texts.max(1) as f64,
        answered: texts,
        wrong: done.iter().map(|done| done.wrong).sum(),
        mean_batch: texts as f64 / batches.max(1) as f64,
        others: watched.others(Duration::ZERO),
        ..Sample::default()
    })
}

fn work(
    worker: &mut ClassifierWorker,
    encoded: &[EncodedText],
    references: &[f64],
    (shared, freed): (&Mutex<Shared<'_>>, &Condvar),
    until: Instant,
) -> anyhow::Result<Done> {
    let started = Instant::now();
    let mut done = Done::default();
    while let Some(batch) = next(shared, freed, until) {
        let at = Instant::now();
        let answers = run(worker, encoded, &batch)?;
        let took = at.elapsed();
        shared.lock().feed.done(&batch, took);
        freed.notify_all();
        done.texts += batch.len() as u64;
        done.batches += 1;
        done.wrong += wrong(&answers, &batch, references);
    }
    done.seconds = started.elapsed().as_secs_f64();
    Ok(done)
}

/// `None` when the time is up.
fn next(shared: &Mutex<Shared<'_>>, freed: &Condvar, until: Instant) -> Option<Vec<usize>> {
    let mut guard = shared.lock();
    loop {
        if Instant::now() >= until {
            return None;
        }
        let idle = guard.idle;
        let batch = guard.feed.take(idle);
        if !batch.is_empty() {
            return Some(batch);
        }
        guard.idle += 1;
        freed.wait_until(&mut guard, until);
        guard.idle -= 1;
    }
}

fn run(
    worker: &mut ClassifierWorker,
    encoded: &[EncodedText],
    batch: &[usize],
) -> Result<Vec<onnx::Classification>, ModelError> {
    let inputs: Vec<&EncodedText> = batch.iter().map(|text| &encoded[*text]).collect();
    worker.run(&inputs)
}

/// Lone calls, one after the other, for `duration`.
///
/// # Errors
/// When the model fails.
pub fn lone(
    worker: &mut ClassifierWorker,
    encoded: &[EncodedText],
    first: usize,
    duration: Duration,
) -> anyhow::Result<Sample> {
    let mut calls = Vec::new();
    let watch = Watch::start()?;
    let started = Instant::now();
    for text in (0..encoded.len()).cycle().skip(first % encoded.len()) {
        if started.elapsed() >= duration {
            break;
        }
        let at = Instant::now();
        run(worker, encoded, &[text])?;
        calls.push(at.elapsed().as_secs_f64() * 1e3);
    }
    let per_second = calls.len() as f64 / started.elapsed().as_secs_f64();
    calls.sort_by(f64::total_cmp);
    let quantile = |q: f64| calls.get(((calls.len() as f64) * q) as usize).copied();
    Ok(Sample {
        per_second,
        answered: calls.len() as u64,
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        mean_batch: 1.0,
        others: watch.end()?.others(Duration::ZERO),
        ..Sample::default()
    })
}

/// Every text's score, each computed alone.
///
/// # Errors
/// When the model fails.
pub fn references(
    workers: &mut [ClassifierWorker],
    encoded: &[EncodedText],
) -> anyhow::Result<Vec<f64>> {
    let share = encoded.len().div_ceil(workers.len().max(1)).max(1);
    let parts = std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .zip(encoded.chunks(share))
            .map(|(worker, texts)| scope.spawn(move || alone(worker, texts)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a scoring thread panicked"))?)
            .collect::<anyhow::Result<Vec<Vec<f64>>>>()
    })?;
    Ok(parts.concat())
}

fn alone(worker: &mut ClassifierWorker, texts: &[EncodedText]) -> anyhow::Result<Vec<f64>> {
    texts
        .iter()
        .map(|text| {
            let scored = worker.run(&[text])?;
            scored.first().map(|score| score.probability).ok_or_else(|| anyhow!("no score"))
        })
        .collect()
}
