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
//!    with a `retry_after` that follows the observed service rate; so is one whose deadline the
//!    backlog would outlast.
//! 3. **Nothing is computed for the departed.** A request that is late or whose caller has
//!    dropped the future never starts; a running sequence is cancelled between two steps.
//! 4. **A deadline ends the wait.** The caller is answered when its deadline passes, whatever
//!    the model is doing.
//! 5. **Work-conserving, oldest first.** An idle core never waits for company, unless
//!    `max_queue_delay` says so: the oldest waiting request is in every batch, so none starves.
//!    Bulk requests go after interactive ones, but have their turn. Sequences join first come,
//!    first served, or by what is at stake with one turn in four for the oldest.
//! 6. **Batching must pay.** A [`CostModel`] fitted while serving says what a batch costs. Those
//!    share one that it makes cheaper for each, and none is kept past its deadline for it. A
//!    batch never hoards what idle workers could start on.
//! 7. **A core is never given away twice.** A lone request may run on several cores while no
//!    other wants them.
//! 8. **Equal requests in flight are computed once.**
//!
//! # Shutting down
//!
//! `shutdown` takes no new work and finishes what was admitted. Dropping the pool instead
//! answers all that waits with [`BatchError::Stopped`]. Both join the threads, so call them
//! where blocking is allowed. Handles may outlive the pool; they answer `Stopped`.

mod admission;
mod batch_queue;
mod batch_worker;
mod core_time;
mod cost;
mod dynamic;
mod error;
mod load;
mod metrics;
pub mod model;
mod panics;
mod reply;
mod sequence;
mod sequence_queue;
mod sequence_worker;
mod threads;
mod waiting;
mod window;

pub use admission::Rejected;
pub use batch_worker::{BatchHandle, BatchPool, Fleet, Permit, Predicted, Runs, Wide};
pub use cost::{BatchShape, Coefficients, CostModel, RunTime};
pub use dynamic::{
    Dispatch, DynamicConfig, DynamicScheduler, Priority, RequestId, SessionKind, Sessions, Waiting,
};
pub use error::{BatchError, SpawnError};
pub use metrics::{BatchingMetrics, DynamicMetrics, SequenceMetrics, TierMetrics};
pub use model::{BatchModel, ModelError, SequenceId, SequenceModel, StepOutcome, StepOutcomes};
pub use sequence::{Action, Order, SequenceConfig, SequenceScheduler, Terms};
pub use sequence_worker::{Generated, Opened, SequenceHandle, SequenceWorker, Started};
