//! Thresholds that bound how much fraud is missed.
//!
//! All look at labelled frauds alone, through their scores, and miss what scores strictly below the
//! threshold. All need the next frauds to be drawn like these; a fraud of a new kind is covered by
//! none. Frauds of one account come in bursts and resemble each other: only
//! [`conformal_threshold_by_group`] allows for that, the others take frauds for exchangeable and,
//! for the confidence, independent.
//!
//! None depends on the calibration: a rising calibration moves scores and threshold together. So
//! labels that a calibration was fitted on may be used here as well; labels that the *model*
//! was trained on may not.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    error::{EvaluationError, inside_unit},
    intervals::clopper_pearson_upper,
};

/// What a threshold promises.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Promise {
    /// The chance that the next fraud is missed is at most `max_missed`, averaged over the samples
    /// that could have been drawn. The threshold from the sample at hand may miss more.
    Expected {
        /// The largest share of fraud missed.
        max_missed: f64,
    },
    /// The share of its frauds that the next group (an account, a ring) has missed is at most
    /// `max_missed`, averaged over groups and over the samples that could have been drawn. Frauds of
    /// one group may resemble each other as they like.
    ExpectedByGroup {
        /// The largest mean share of a group's fraud missed.
        max_missed: f64,
    },
    /// With this confidence, the threshold from the sample at hand misses at most `max_missed` of
    /// all fraud.
    Confident {
        /// The largest share of fraud missed.
        max_missed: f64,
        /// How often such a threshold keeps its word, over the samples that could have been drawn.
        confidence: f64,
    },
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected { max_missed } => {
                write!(f, "at most {} % of fraud missed, expected", percent(*max_missed))
            }
            Self::ExpectedByGroup { max_missed } => {
                write!(
                    f,
                    "at most {} % of an account's fraud missed, expected",
                    percent(*max_missed)
                )
            }
            Self::Confident { max_missed, confidence } => write!(
                f,
                "at most {} % of fraud missed, with {} % confidence",
                percent(*max_missed),
                percent(*confidence)
            ),
        }
    }
}

impl Promise {
    /// What the labels are counted in.
    pub(crate) fn unit(&self) -> &'static str {
        match self {
            Self::Expected { .. } | Self::Confident { .. } => "frauds",
            Self::ExpectedByGroup { .. } => "accounts with fraud",
        }
    }
}

/// A percentage without the noise of its last bits.
fn percent(share: f64) -> f64 {
    (share * 1e6).round() / 1e4
}

/// A threshold with its promise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MissedBound {
    /// What it promises.
    pub promise: Promise,
    /// Escalate at this score or above.
    pub threshold: f64,
    /// Labelled frauds it rests on.
    pub frauds: usize,
    /// How many of them it misses.
    pub missed: usize,
    /// How many it was allowed to miss; by groups, as many as it does.
    pub allowed: usize,
}

/// How many of these scores lie strictly below a threshold.
#[must_use]
pub fn missed_below(scores: &[f64], threshold: f64) -> usize {
    scores.iter().filter(|score| **score < threshold).count()
}

/// The fewest labelled frauds that can promise anything in expectation: `ceil(1 / alpha - 1)`.
#[must_use]
pub fn frauds_needed_conformal(max_missed: f64) -> usize {
    // 1 / 0.05 may come out a hair above 20: that is rounding, not a fraud more.
    (1.0 / max_missed - 1.0 - 1e-9).ceil().max(1.0) as usize
}

/// The fewest labelled frauds that can promise anything with confidence, all of them found:
/// `(1 - alpha)^n <= delta`.
#[must_use]
pub fn frauds_needed_confident(max_missed: f64, confidence: f64) -> usize {
    ((1.0 - confidence).ln() / (1.0 - max_missed).ln() - 1e-9).ceil().max(1.0) as usize
}

/// The highest threshold for which the expected share of missed fraud is at most `max_missed`.
///
/// Conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster, 2022, theorem 1) with the
/// loss "this fraud is missed", so that `B = 1`: the threshold satisfies
/// `n / (n + 1) * R + 1 / (n + 1) <= alpha`, `R` being the share missed among `n` labelled frauds.
/// Under exchangeability `P(the next fraud is missed) <= alpha`, a mean over both the sample and
/// the next fraud.
///
/// # Errors
/// When the labelled frauds are too few, a score is not finite, or `max_missed` is out of range.
pub fn conformal_threshold(
    fraud_scores: &[f64],
    max_missed: f64,
) -> Result<MissedBound, EvaluationError> {
    inside_unit("max_missed", max_missed)?;
    let promise = Promise::Expected { max_missed };
    let n = fraud_scores.len();
    let needed = frauds_needed_conformal(max_missed);
    // The rule, solved for the number missed; the slack keeps 0.05 * 20 from being below 1.
    let allowed = max_missed * (n as f64 + 1.0) - 1.0 + 1e-9;
    if allowed < 0.0 {
        return Err(EvaluationError::TooFewFrauds { frauds: n, needed, promise });
    }
    bound(fraud_scores, allowed as usize, promise)
}

/// The highest threshold for which the expected share of a group's missed frauds is at most
/// `max_missed`. Items are `(score, group)`.
///
/// The same conformal risk control with groups as the exchangeable units, the loss of a group being
/// the share of its frauds below the threshold: the sum of losses must be at most
/// `alpha * (n + 1) - 1` for `n` groups. Each group weighs the same, whatever its size.
///
/// # Errors
/// When the groups are too few, a score is not finite, or `max_missed` is out of range.
pub fn conformal_threshold_by_group(
    frauds: &[(f64, u32)],
    max_missed: f64,
) -> Result<MissedBound, EvaluationError> {
    inside_unit("max_missed", max_missed)?;
    let promise = Promise::ExpectedByGroup { max_missed };
    let mut sizes: HashMap<u32, usize> = HashMap::new();
    for (_, group) in frauds {
        *sizes.entry(*group).or_default() += 1;
    }
    let allowed = max_missed * (sizes.len() as f64 + 1.0) - 1.0 + 1e-9;
    if allowed < 0.0 {
        let (frauds, needed) = (sizes.len(), frauds_needed_conformal(max_missed));
        return Err(EvaluationError::TooFewFrauds { frauds, needed, promise });
    }
    let mut rising = frauds.to_vec();
    rising.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut lost = 0.0;
    let below = rising.iter().take_while(|(_, group)| {
        lost += 1.0 / sizes[group] as f64;
        lost <= allowed
    });
    let below = below.count();
    let scores: Vec<f64> = rising.into_iter().map(|(score, _)| score).collect();
    bound(&scores, below, promise)
}

/// The highest threshold that misses at most `max_missed` of all fraud with this confidence.
///
/// The number of frauds allowed below it follows from `n`, `max_missed` and `confidence` alone: the
/// largest `x` whose one-sided Clopper-Pearson bound is at most `max_missed`. The threshold is then
/// the `(x + 1)`-th smallest score, an order statistic, so that choosing it from the data costs
/// nothing: the mass below it is stochastically at most Beta(x + 1, n - x) (Wilks, Annals of
/// Mathematical Statistics 12, 1941), the distribution of the Clopper-Pearson bound.
///
/// # Errors
/// When the labelled frauds are too few, a score is not finite, or a parameter is out of range.
pub fn confident_threshold(
    fraud_scores: &[f64],
    max_missed: f64,
    confidence: f64,
) -> Result<MissedBound, EvaluationError> {
    inside_unit("max_missed", max_missed)?;
    inside_unit("confidence", confidence)?;
    let promise = Promise::Confident { max_missed, confidence };
    let n = fraud_scores.len();
    let needed = frauds_needed_confident(max_missed, confidence);
    if n < needed {
        return Err(EvaluationError::TooFewFrauds { frauds: n, needed, promise });
    }
    // The bound rises with the number missed: bisect for the last that keeps the promise.
    let (mut kept, mut broken) = (0, n);
    while broken - kept > 1 {
        let middle = usize::midpoint(kept, broken);
        if clopper_pearson_upper(middle, n, confidence) <= max_missed {
            kept = middle;
        } else {
            broken = middle;
        }
    }
    bound(fraud_scores, kept, promise)
}

fn bound(scores: &[f64], allowed: usize, promise: Promise) -> Result<MissedBound, EvaluationError> {
    if let Some(index) = scores.iter().position(|score| !score.is_finite()) {
        return Err(EvaluationError::NotFinite { index, value: scores[index] });
    }
    let mut rising = scores.to_vec();
    rising.sort_by(f64::total_cmp);
    let allowed = allowed.min(rising.len().saturating_sub(1));
    let Some(&threshold) = rising.get(allowed) else { return Err(EvaluationError::Empty) };
    let missed = missed_below(scores, threshold);
    Ok(MissedBound { promise, threshold, frauds: scores.len(), missed, allowed })
}
