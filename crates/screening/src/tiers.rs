//! The seams to the two models. The server introduces whatever implements them.

use std::time::Duration;

use async_trait::async_trait;
use domain::{PackageRef, Score, Verdict};
use tokio::time::Instant;

/// Why a tier gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TierError {
    /// The queue is full.
    #[error("overloaded; retry in {} ms", retry_after.as_millis())]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The deadline came first.
    #[error("the deadline passed")]
    Deadline,
    /// The input does not fit the model.
    #[error("input refused: {0}")]
    Input(String),
    /// The model failed.
    #[error("model failed: {0}")]
    Failed(String),
    /// The tier is shutting down.
    #[error("stopped")]
    Stopped,
}

/// How long a model call took, stage by stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelTimings {
    /// Tokenization.
    pub encode: Duration,
    /// Waiting for a worker or a slot.
    pub queue: Duration,
    /// The model.
    pub run: Duration,
}

/// Tier 1's answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Calibrated probability of fraud.
    pub score: Score,
    /// Where the time went.
    pub timings: ModelTimings,
}

/// Tier 2's raw answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// The report as written: JSON.
    pub text: String,
    /// The most probable verdict by its token probabilities.
    pub verdict: Verdict,
    /// Calibrated probability of fraud from the verdict's token probabilities.
    pub score: Score,
    /// Where the time went.
    pub timings: ModelTimings,
}

/// Whose transaction tier 1 scores first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Priority {
    /// A payment waits for this one answer.
    #[default]
    Interactive,
    /// One line of a batch.
    Bulk,
}

/// Tier 1: scores rendered transactions.
pub trait ScreeningModel: Send + Sync {
    /// Which package scores.
    fn package(&self) -> &PackageRef;

    /// Asks for a place in the queue, before anything is counted or rendered.
    ///
    /// # Errors
    /// When the queue is full, or an answer by the deadline is not to be expected.
    fn reserve(
        &self,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Box<dyn Place + '_>, TierError>;
}

/// A place in tier 1's queue; whoever drops it gives it back.
#[async_trait]
pub trait Place: Send {
    /// The calibrated score of a text, by the deadline of the reservation.
    async fn score(self: Box<Self>, text: &str) -> Result<Scored, TierError>;
}

/// Tier 2: writes a report about a rendered case.
#[async_trait]
pub trait AnalysisModel: Send + Sync {
    /// Which package analyses.
    fn package(&self) -> &PackageRef;

    /// A report about the case.
    async fn analyse(&self, prompt: &str, deadline: Instant) -> Result<Generated, TierError>;
}
