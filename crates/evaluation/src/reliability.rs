//! Whether probabilities mean what they say. Samples here hold probabilities, 0 to 1.

use serde::{Deserialize, Serialize};

use crate::{
    intervals::{Interval, wilson},
    sample::{Labelled, Sample},
};

/// The closest to 0 or 1 that a probability is taken for in a logarithm: one certain and wrong
/// score would otherwise outweigh all others.
const CERTAIN: f64 = 1e-15;

/// Neighbouring scores, and how often they were fraud.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// The lowest probability in it.
    pub from: f64,
    /// The highest probability in it.
    pub to: f64,
    /// How many scores.
    pub count: usize,
    /// How many of them were fraud.
    pub frauds: usize,
    /// The mean probability.
    pub predicted: f64,
    /// The share of fraud.
    pub observed: f64,
    /// Wilson's interval around the share of fraud.
    pub interval: Interval,
}

/// Proper scores and their like, of one sample of probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Proper {
    /// Mean negative logarithm of the probability of what happened, in nats.
    pub log_loss: f64,
    /// Mean squared error of the probability (Brier, 1950).
    pub brier: f64,
    /// Expected calibration error over equal-mass bins.
    pub calibration_error: f64,
    /// Mean probability.
    pub mean_probability: f64,
    /// Share of fraud.
    pub fraud_share: f64,
}

/// Bins of equal mass, by rising probability; equal scores are never parted, so that there may be
/// fewer than asked for.
#[must_use]
pub fn reliability(sample: &Sample, bins: usize, confidence: f64) -> Vec<Bin> {
    let mut rest = sample.rising();
    let mut made = Vec::new();
    for left in (1..=bins.max(1)).rev() {
        if rest.is_empty() {
            break;
        }
        let mut end = rest.len().div_ceil(left);
        let last = rest[end - 1].score;
        end += rest[end..].partition_point(|point| point.score <= last);
        let (bin, beyond) = rest.split_at(end);
        made.push(bin_of(bin, confidence));
        rest = beyond;
    }
    made
}

fn bin_of(points: &[Labelled], confidence: f64) -> Bin {
    let count = points.len();
    let frauds = points.iter().filter(|point| point.fraud).count();
    Bin {
        from: points.first().map_or(0.0, |point| point.score),
        to: points.last().map_or(0.0, |point| point.score),
        count,
        frauds,
        predicted: points.iter().map(|point| point.score).sum::<f64>() / count as f64,
        observed: frauds as f64 / count as f64,
        interval: wilson(frauds, count, confidence),
    }
}

/// The expected calibration error: the mean distance between predicted and observed share over
/// bins, weighted by their size (Naeini, Cooper and Hauskrecht, AAAI 2015). With equal-mass bins it
/// is biased less than with equal-width ones (Roelofs et al., AISTATS 2022); it never is 0 on a
/// finite sample.
#[must_use]
pub fn calibration_error(bins: &[Bin]) -> f64 {
    let all: usize = bins.iter().map(|bin| bin.count).sum();
    let sum: f64 =
        bins.iter().map(|bin| bin.count as f64 * (bin.predicted - bin.observed).abs()).sum();
    sum / all.max(1) as f64
}

/// The mean squared error of the probability (Brier, Monthly Weather Review 78, 1950).
#[must_use]
pub fn brier(sample: &Sample) -> f64 {
    let error = |point: &Labelled| (point.score - f64::from(u8::from(point.fraud))).powi(2);
    sample.rising().iter().map(error).sum::<f64>() / sample.len() as f64
}

/// The mean negative log-likelihood, in nats.
#[must_use]
pub fn log_loss(sample: &Sample) -> f64 {
    let loss = |point: &Labelled| loss(point.score, point.fraud);
    sample.rising().iter().map(loss).sum::<f64>() / sample.len() as f64
}

/// How much more log loss the second of two probabilities has on the same cases: the mean of the
/// paired differences and its standard error, in nats. Items are `(first, second, fraud)`.
#[must_use]
pub fn log_loss_difference(cases: &[(f64, f64, bool)]) -> (f64, f64) {
    let n = cases.len().max(1) as f64;
    let difference =
        |(first, second, fraud): &(f64, f64, bool)| loss(*second, *fraud) - loss(*first, *fraud);
    let mean = cases.iter().map(difference).sum::<f64>() / n;
    let squares: f64 = cases.iter().map(|case| (difference(case) - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0).max(1.0) / n).sqrt())
}

/// All at once, over so many equal-mass bins.
#[must_use]
pub fn proper(sample: &Sample, bins: usize) -> Proper {
    let mean = sample.rising().iter().map(|point| point.score).sum::<f64>() / sample.len() as f64;
    Proper {
        log_loss: log_loss(sample),
        brier: brier(sample),
        calibration_error: calibration_error(&reliability(sample, bins, 0.95)),
        mean_probability: mean,
        fraud_share: sample.frauds() as f64 / sample.len() as f64,
    }
}

fn loss(probability: f64, fraud: bool) -> f64 {
    let happened = if fraud { probability } else { 1.0 - probability };
    -happened.clamp(CERTAIN, 1.0).ln()
}
