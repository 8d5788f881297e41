//! Measures whether a package does what it promises on this machine. Prints nothing.

mod classifier;
mod decoder;

use std::path::Path;
use std::time::{Duration, Instant};

use batching::ModelError;
use package::{GoldenError, Package, read_golden};
use serde::de::DeserializeOwned;

pub use self::classifier::verify_classifier;
pub use self::decoder::verify_decoder;
use crate::error::{EncodeError, LoadError};

const GOLDEN_FILE: &str = "golden.jsonl";
/// How near a golden probability must come where the manifest does not say.
const TOLERANCE_DEFAULT: f64 = 1e-3;

/// How thoroughly a package is measured.
#[derive(Debug, Clone)]
pub struct VerifyConfig {
    /// At most this many golden lines take part in the invariance checks.
    pub texts_max: usize,
    /// Batch sizes of the invariance checks.
    pub batch_sizes: Vec<usize>,
    /// Lengths in tokens at which latency is measured.
    pub lengths: Vec<usize>,
    /// Runs behind each latency.
    pub runs: usize,
}

impl Default for VerifyConfig {
    fn default() -> Self {
        Self { texts_max: 64, batch_sizes: vec![2, 8, 16], lengths: vec![32, 64, 128], runs: 15 }
    }
}

/// Everything that was found out about a package.
#[derive(Debug, Clone)]
pub struct Verification {
    /// What must hold, and whether it does.
    pub checks: Vec<Check>,
    /// What one run takes.
    pub latencies: Vec<Latency>,
    /// The quantized graph against the full-precision one, where both are there.
    pub drift: Option<Drift>,
}

impl Verification {
    /// Whether every check passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }
}

/// One property that must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The property, as a sentence.
    pub property: &'static str,
    /// Whether it holds.
    pub passed: bool,
    /// How many inputs were tried.
    pub inputs: usize,
    /// The largest deviation found: of a logit for an invariance, of a probability for the
    /// golden vectors.
    pub worst: f64,
    /// The largest deviation that passes.
    pub tolerance: f64,
    /// The first input that failed, and how; empty when none did.
    pub detail: String,
}

/// What one kind of run takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Latency {
    /// What ran.
    pub stage: Stage,
    /// Tokens per input.
    pub tokens: usize,
    /// Inputs per run.
    pub batch: usize,
    /// The median over all runs.
    pub median: Duration,
    /// The fastest run.
    pub fastest: Duration,
}

/// What a latency is the latency of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// One call of a classifier.
    Classify,
    /// One prompt up to its verdict.
    Prefill,
    /// One more token for each running sequence.
    Step,
}

/// How far a quantized graph is from the full-precision one.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// Texts compared.
    pub texts: usize,
    /// Mean difference in probability.
    pub mean: f64,
    /// Largest difference in probability.
    pub worst: f64,
    /// Texts that change sides at a probability of one half.
    pub flips: usize,
}

/// Why a package could not be measured at all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It does not load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Its golden file cannot be read.
    #[error(transparent)]
    Golden(#[from] GoldenError),
    /// One of its texts cannot be encoded.
    #[error("a golden text cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// It loads and then fails.
    #[error("the model failed: {0}")]
    Model(#[from] ModelError),
}

/// Gathers deviations of one property.
struct Tally {
    check: Check,
}

impl Tally {
    fn new(property: &'static str, tolerance: f64) -> Self {
        let check = Check {
            property,
            passed: true,
            inputs: 0,
            worst: 0.0,
            tolerance,
            detail: String::new(),
        };
        Self { check }
    }

    /// One input deviates by `deviation`; `NaN` fails.
    fn add(&mut self, deviation: f64, detail: impl FnOnce() -> String) {
        let check = &mut self.check;
        check.inputs += 1;
        check.worst = if deviation.is_nan() { deviation } else { check.worst.max(deviation) };
        if deviation.is_nan() || deviation > check.tolerance {
            self.fail(detail);
        }
    }

    fn fail(&mut self, detail: impl FnOnce() -> String) {
        if self.check.passed {
            self.check.detail = detail();
        }
        self.check.passed = false;
    }
}

/// The golden vectors and their tolerance; none for a bare folder without any.
fn golden<T: DeserializeOwned>(package: &Package) -> Result<(Vec<T>, f64), GoldenError> {
    let manifest = package.manifest().and_then(|manifest| manifest.golden.as_ref());
    if let Some(manifest) = manifest {
        let lines = read_golden(&package.dir().join(&manifest.file))?;
        return Ok((lines, manifest.tolerance));
    }
    let path = package.dir().join(GOLDEN_FILE);
    let lines = if Path::is_file(&path) { read_golden(&path)? } else { Vec::new() };
    Ok((lines, TOLERANCE_DEFAULT))
}

/// The largest difference between two rows; `NaN` when they are not of one length.
fn deviation(left: &[f32], right: &[f32]) -> f64 {
    if left.len() != right.len() {
        return f64::NAN;
    }
    let pairs = left.iter().zip(right);
    pairs.map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
}

fn timed<T>(run: impl FnOnce() -> Result<T, ModelError>) -> Result<(T, Duration), ModelError> {
    let started = Instant::now();
    let value = run()?;
    Ok((value, started.elapsed()))
}

fn latency(stage: Stage, tokens: usize, batch: usize, mut times: Vec<Duration>) -> Latency {
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let fastest = times.first().copied().unwrap_or_default();
    Latency { stage, tokens, batch, median, fastest }
}

/// Picks `size` of `count` inputs, another set each round, the same ones every time.
fn pick(round: usize, size: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..size).map(move |place| (round + place * (2 * round + 3)) % count)
}
