//! The seams between the schedulers and whatever computes.
//!
//! An implementor is owned by one operating system thread; nothing here is async.

use std::fmt;
use std::hash::Hash;

/// A model call that failed. The batch it belonged to is answered with this error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelError(pub String);

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ModelError {}

/// A model that maps each input of a batch to one output, such as a text classifier.
///
/// Equal inputs must have equal outputs, whatever they are batched with: they are computed once.
pub trait BatchModel: Send + 'static {
    /// One encoded request.
    type Input: Eq + Hash + Send + Sync + 'static;
    /// What one request is answered with.
    type Output: Clone + Send + 'static;

    /// The length of an input in tokens; inputs of near-equal length share a batch.
    fn length(input: &Self::Input) -> usize;

    /// Computes all inputs at once. Answers one output per input, in order.
    ///
    /// # Errors
    /// When the whole batch failed; every request in it is told.
    fn run(&mut self, inputs: &[&Self::Input]) -> Result<Vec<Self::Output>, ModelError>;
}

/// Names one sequence inside an engine, chosen by the scheduler, unique while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

/// What one step did to one running sequence.
#[derive(Debug)]
pub enum StepOutcome<F, O> {
    /// Still computing its prompt, or generating.
    Running,
    /// Its first output is known; more comes, if only [`Finished`](Self::Finished) in the same
    /// step.
    Opened(F),
    /// Finished; the engine has freed its slot.
    Finished(O),
    /// Failed; the engine has freed its slot. The others go on.
    Failed(ModelError),
}

/// What one step did to the running sequences, in the order in which it happened. One sequence
/// may be named twice: opened, then finished or failed.
pub type StepOutcomes<F, O> = Vec<(SequenceId, StepOutcome<F, O>)>;

/// An autoregressive engine that advances several sequences by one token per step.
///
/// A static engine answers `capacity() == 0` until its batch has ended; a continuous one
/// answers its free slots at any time. The scheduler treats both alike.
pub trait SequenceModel: Send + 'static {
    /// One encoded prompt with all that constrains its answer.
    type Prompt: Send + 'static;
    /// What is known as soon as the prompt is computed, before the rest is written.
    type First: Send + 'static;
    /// What one request is answered with.
    type Output: Send + 'static;

    /// How many sequences may join now.
    fn capacity(&self) -> usize;

    /// Takes the prompts in; steps will compute them. At most `capacity()` prompts.
    /// Answers, per prompt and in order, whether it joined.
    fn join(
        &mut self,
        prompts: Vec<(SequenceId, Self::Prompt)>,
    ) -> Vec<(SequenceId, Result<(), ModelError>)>;

    /// Computes at most one bounded piece of a prompt, and advances every sequence whose prompt
    /// is computed by one token (or by a run of forced tokens).
    ///
    /// # Errors
    /// When the engine failed as a whole; every running sequence is then gone.
    fn step(&mut self) -> Result<StepOutcomes<Self::First, Self::Output>, ModelError>;

    /// Drops a running sequence (cancelled or late) without an answer. Ignores an id that
    /// does not run, as after a panic nobody knows what ran.
    fn cancel(&mut self, id: SequenceId);
}
