//! Groups work for a model. Knows no fraud, HTTP or ONNX.
//!
//! Two pure schedulers decide, two thin shells of operating system threads obey:
//!
//! | | decides | runs it | what it calls |
//! |---|---|---|---|
//! | whole batches | [`DynamicScheduler`] | [`BatchPool`], reached by [`BatchHandle`] | [`BatchModel`] |
//! | token by token | [`SequenceScheduler`] | [`SequenceWorker`], reached by [`SequenceHandle`] | [`SequenceModel`] |
//!
//! A scheduler has no thread, no channel and no clock: time is an argument, so its promises
//! are property tests. A shell holds the scheduler and the payloads under one lock that is
//! never held while a model computes.
//!
//! # Invariants
//!
//! 1. **Answered exactly once.** Each admitted request gets its output or one
//!    [`BatchError`]; a panicking or lying model answers with an error and its thread lives on.
//! 2. **Bounded.** At most `max_queue_depth` requests wait. One more is turned away at once
//!    with a `retry_after` that follows the observed service rate.
//! 3. **Nothing is computed for the departed.** A request that is late or whose caller has
//!    dropped the future never starts; a running sequence is cancelled between two steps.
//! 4. **A deadline ends the wait.** The caller is answered when its deadline passes, whatever
//!    the model is doing.
//! 5. **Work-conserving, oldest first.** An idle worker never waits for company: the oldest
//!    waiting request is in every batch, so none starves. Sequences join first come, first
//!    served.
//! 6. **Batching must pay.** Only requests of near-equal length share a batch, because padding
//!    is computed too, and a batch never hoards what idle workers could start on.
//!
//! # Shutting down
//!
//! `shutdown` takes no new work and finishes what was admitted. Dropping the pool instead
//! answers all that waits with [`BatchError::Stopped`]. Both join the threads, so call them
//! where blocking is allowed. Handles may outlive the pool; they answer `Stopped`.

mod admission;
mod batch_queue;
mod batch_worker;
mod dynamic;
mod error;
mod metrics;
pub mod model;
mod panics;
mod reply;
mod sequence;
mod sequence_queue;
mod sequence_worker;
mod threads;

pub use admission::Rejected;
pub use batch_worker::{BatchHandle, BatchPool, Predicted};
pub use dynamic::{Dispatch, DynamicConfig, DynamicScheduler, LengthTolerance, RequestId};
pub use error::{BatchError, SpawnError};
pub use metrics::{BatchingMetrics, TierMetrics};
pub use model::{BatchModel, ModelError, SequenceId, SequenceModel, StepOutcome, StepOutcomes};
pub use sequence::{Action, SequenceConfig, SequenceScheduler};
pub use sequence_worker::{Generated, SequenceHandle, SequenceWorker};
