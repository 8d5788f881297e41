//! Labelled scores, checked once.

use serde::{Deserialize, Serialize};

use crate::error::EvaluationError;

/// A score with its truth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Labelled {
    /// A margin in log-odds or a probability: whatever rises with the risk.
    pub score: f64,
    /// Whether it was fraud.
    pub fraud: bool,
}

/// Labelled scores in rising order: all finite, at least one fraud and one legitimate.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    rising: Vec<Labelled>,
    frauds: usize,
}

impl Sample {
    /// Checks and sorts.
    ///
    /// # Errors
    /// When there is none, a score is not finite, or all are of one class.
    pub fn new(mut points: Vec<Labelled>) -> Result<Self, EvaluationError> {
        if points.is_empty() {
            return Err(EvaluationError::Empty);
        }
        if let Some(index) = points.iter().position(|point| !point.score.is_finite()) {
            return Err(EvaluationError::NotFinite { index, value: points[index].score });
        }
        let frauds = points.iter().filter(|point| point.fraud).count();
        let legitimate = points.len() - frauds;
        if frauds == 0 || legitimate == 0 {
            return Err(EvaluationError::OneClass { frauds, legitimate });
        }
        points.sort_by(|a, b| a.score.total_cmp(&b.score));
        Ok(Self { rising: points, frauds })
    }

    /// The same labels under another score, as a calibration gives it.
    ///
    /// # Errors
    /// When a new score is not finite.
    pub fn map(&self, score: impl Fn(f64) -> f64) -> Result<Self, EvaluationError> {
        Self::new(
            self.rising
                .iter()
                .map(|point| Labelled { score: score(point.score), ..*point })
                .collect(),
        )
    }

    /// All, by rising score.
    #[must_use]
    pub fn rising(&self) -> &[Labelled] {
        &self.rising
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rising.len()
    }

    /// Never: a sample has both classes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rising.is_empty()
    }

    /// How many are fraud.
    #[must_use]
    pub fn frauds(&self) -> usize {
        self.frauds
    }

    /// How many are legitimate.
    #[must_use]
    pub fn legitimate(&self) -> usize {
        self.rising.len() - self.frauds
    }
}

/// Runs of equal score in rising order: score, all, frauds.
pub(crate) fn ties(rising: &[Labelled]) -> impl Iterator<Item = (f64, usize, usize)> {
    rising
        .chunk_by(|a, b| a.score == b.score)
        .map(|run| (run[0].score, run.len(), run.iter().filter(|point| point.fraud).count()))
}
