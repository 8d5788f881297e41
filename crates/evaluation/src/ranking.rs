//! How well scores rank fraud above the rest.

use crate::sample::{Sample, ties};

/// The area under the ROC curve: the chance that a fraud scores above a legitimate one, ties
/// counted by half (Hanley and McNeil, Radiology 143, 1982).
#[must_use]
pub fn auc(sample: &Sample) -> f64 {
    let mut below = 0.0;
    let mut won = 0.0;
    for (_, count, frauds) in ties(sample.rising()) {
        let legitimate = (count - frauds) as f64;
        won += frauds as f64 * (below + legitimate / 2.0);
        below += legitimate;
    }
    won / (sample.frauds() as f64 * sample.legitimate() as f64)
}

/// Average precision: precision at each threshold, weighted by the recall that it adds; equal
/// scores form one threshold.
#[must_use]
pub fn average_precision(sample: &Sample) -> f64 {
    let mut runs: Vec<_> = ties(sample.rising()).collect();
    runs.reverse();
    let (mut flagged, mut caught, mut sum) = (0.0, 0.0, 0.0);
    for (_, count, frauds) in runs {
        flagged += count as f64;
        caught += frauds as f64;
        sum += frauds as f64 * caught / flagged;
    }
    sum / sample.frauds() as f64
}
