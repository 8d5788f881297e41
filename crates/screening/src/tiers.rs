//! The seams to the two models. The server introduces whatever implements them.

use std::{pin::Pin, time::Duration};

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

/// How far a case is analysed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// To the verdict; nothing is written.
    Verdict,
    /// To the end of the report.
    Report,
}

/// A case for tier 2.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What tier 2 reads.
    pub prompt: String,
    /// How far to go.
    pub extent: Extent,
    /// When the verdict is needed.
    pub verdict_by: Instant,
    /// When the report is.
    pub report_by: Instant,
    /// The amount, in major units: who goes first when not all can.
    pub at_stake: f64,
}

/// What tier 2's score rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The verdict's token probabilities, calibrated.
    Calibrated,
    /// The verdict's word alone, because the engine tells no probabilities.
    Stated,
}

/// Tier 2's verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// The most probable verdict by its token probabilities.
    pub verdict: Verdict,
    /// Probability of fraud.
    pub score: Score,
    /// What the score rests on.
    pub basis: Basis,
    /// Tokens of the prompt, where the engine tells.
    pub prompt_tokens: Option<u32>,
    /// Where the time went, up to the verdict.
    pub timings: ModelTimings,
}

/// The report as written, not checked yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// JSON.
    pub text: String,
    /// How many tokens that took, where the engine tells.
    pub tokens: Option<u32>,
    /// The tokens themselves, where the engine tells.
    pub token_ids: Vec<u32>,
    /// From the start of the run to the last token.
    pub run: Duration,
}

/// A report that is being written. Dropping it stops the writing.
pub type PendingReport = Pin<Box<dyn Future<Output = Result<Written, TierError>> + Send>>;

/// Tier 2's answer: the verdict, and the report to come if one was asked for.
pub struct Analysing {
    /// The verdict.
    pub judgement: Judgement,
    /// The report; `None` for [`Extent::Verdict`].
    pub report: Option<PendingReport>,
}

impl Analysing {
    /// The answer of an engine that gives verdict and report at once.
    #[must_use]
    pub fn complete(judgement: Judgement, written: Written) -> Self {
        Self { judgement, report: Some(Box::pin(std::future::ready(Ok(written)))) }
    }
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

/// Tier 2: judges a rendered case and writes a report about it.
#[async_trait]
pub trait AnalysisModel: Send + Sync {
    /// Which package analyses.
    fn package(&self) -> &PackageRef;

    /// The verdict on a case, as soon as it is known.
    async fn analyse(&self, case: Case) -> Result<Analysing, TierError>;
}
