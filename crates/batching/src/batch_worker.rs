//! Dedicated threads, each owning one [`BatchModel`], fed from one shared queue.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batch_queue::{BatchQueue, Computed, Work};
use crate::core_time::{Stopwatch, give_way};
use crate::cost::{BatchShape, CostModel};
use crate::dynamic::{DynamicConfig, DynamicScheduler, Priority, SessionKind, Sessions};
use crate::error::{BatchError, SpawnError};
use crate::metrics::DynamicMetrics;
use crate::model::{BatchModel, ModelError};
use crate::panics::guarded;
use crate::threads::{Phase, Threads};

/// A model's answer to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted<O> {
    /// What the model said.
    pub output: O,
    /// How long the request waited for a worker.
    pub queue: Duration,
    /// How long the model computed its batch.
    pub run: Duration,
    /// How many requests shared the batch, this one included.
    pub batch_size: usize,
}

/// Runs of known shape, as a warm-up measures them.
pub type Runs = Vec<(BatchShape, Duration)>;

/// The models of a pool, one session each.
#[derive(Debug)]
pub struct Fleet<M> {
    /// Sessions of one thread, one per core.
    pub narrow: Vec<M>,
    /// What the narrow ones took when warming up; none is needed.
    pub narrow_runs: Runs,
    /// A session of several threads for lone requests.
    pub wide: Option<Wide<M>>,
}

/// A session of several threads.
#[derive(Debug)]
pub struct Wide<M> {
    /// The session.
    pub model: M,
    /// Its threads.
    pub cores: usize,
    /// What it took when warming up; none is needed.
    pub runs: Runs,
}

impl<M> Fleet<M> {
    /// Narrow sessions alone, of unknown speed.
    #[must_use]
    pub fn narrow(models: Vec<M>) -> Self {
        Self { narrow: models, narrow_runs: Vec::new(), wide: None }
    }
}

/// Sends requests to a [`BatchPool`]. Cheap to clone; may outlive the pool.
pub struct BatchHandle<I, O> {
    queue: Arc<BatchQueue<I, O>>,
}

type HandleOf<M> = BatchHandle<<M as BatchModel>::Input, <M as BatchModel>::Output>;

impl<I, O> Clone for BatchHandle<I, O> {
    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue) }
    }
}

impl<I, O> fmt::Debug for BatchHandle<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchHandle").finish_non_exhaustive()
    }
}

impl<I, O> BatchHandle<I, O>
where
    I: Eq + std::hash::Hash + Send + Sync,
    O: Clone + Send,
{
    /// Asks for a place in the queue, before any work is put into the request.
    ///
    /// # Errors
    /// When the queue is full, an answer by the deadline is not to be expected, or the pool is
    /// stopped.
    pub fn reserve(
        &self,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Permit<I, O>, BatchError> {
        self.queue.reserve(deadline)?;
        Ok(Permit { queue: Arc::clone(&self.queue), priority, deadline, spent: false })
    }

    /// Asks the model for one output. Must be awaited on a Tokio runtime with time enabled.
    ///
    /// Dropping the future takes the request back: it is not computed unless it has started.
    ///
    /// # Errors
    /// When the queue is full, the deadline passes, the model fails or the pool is stopped.
    pub async fn predict(&self, input: I, deadline: Instant) -> Result<Predicted<O>, BatchError> {
        self.reserve(Priority::Interactive, deadline)?.predict(input).await
    }
}

/// A place in the queue. Dropping it gives the place back.
pub struct Permit<I, O> {
    queue: Arc<BatchQueue<I, O>>,
    priority: Priority,
    deadline: Instant,
    spent: bool,
}

impl<I, O> fmt::Debug for Permit<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl<I, O> Permit<I, O>
where
    I: Eq + std::hash::Hash + Send + Sync,
    O: Clone + Send,
{
    /// Asks the model for one output. Must be awaited on a Tokio runtime with time enabled.
    ///
    /// An input that is equal to one that waits or runs shares its computation. Dropping the
    /// future takes the request back: it is not computed unless it has started.
    ///
    /// # Errors
    /// When the deadline passes, the model fails or the pool is stopped.
    pub async fn predict(mut self, input: I) -> Result<Predicted<O>, BatchError> {
        self.spent = true;
        let pending = self.queue.admit(input, self.priority, self.deadline);
        let pending = pending.inspect_err(|error| self.queue.metrics.tier.count_error(error))?;
        pending.wait(self.deadline).await
    }
}

impl<I, O> Drop for Permit<I, O> {
    fn drop(&mut self) {
        if !self.spent {
            self.queue.release();
        }
    }
}

/// The threads that serve a [`BatchHandle`].
///
/// Dropping it answers all that waits with [`BatchError::Stopped`] and blocks until the
/// batches being computed are done.
pub struct BatchPool {
    threads: Threads,
}

impl fmt::Debug for BatchPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchPool").finish_non_exhaustive()
    }
}

impl BatchPool {
    /// Starts one thread for each model.
    ///
    /// # Errors
    /// When there is no narrow model or the operating system refuses a thread.
    pub fn spawn<M: BatchModel>(
        fleet: Fleet<M>,
        config: &DynamicConfig,
        metrics: DynamicMetrics,
    ) -> Result<(HandleOf<M>, Self), SpawnError> {
        if fleet.narrow.is_empty() {
            return Err(SpawnError::NoModel);
        }
        let sessions = Sessions {
            narrow: fleet.narrow.len(),
            wide: usize::from(fleet.wide.is_some()),
            wide_cores: fleet.wide.as_ref().map_or(0, |wide| wide.cores),
        };
        let narrow_cost = CostModel::new(&fleet.narrow_runs);
        let wide_cost = CostModel::new(fleet.wide.as_ref().map_or(&[][..], |wide| &wide.runs));
        let scheduler = DynamicScheduler::new(config, sessions, narrow_cost, wide_cost);
        let narrow = fleet.narrow.into_iter().map(|model| (SessionKind::Narrow, model));
        let wide = fleet.wide.map(|wide| (SessionKind::Wide, wide.model));
        let (kinds, models): (Vec<_>, Vec<_>) = narrow.chain(wide).unzip();
        let queue = BatchQueue::new(scheduler, sessions, &kinds, metrics, M::length);
        let queue = Arc::new(queue);
        let mut threads = Threads::new(Arc::clone(&queue) as _);
        for (index, (kind, model)) in kinds.into_iter().zip(models).enumerate() {
            let queue = Arc::clone(&queue);
            threads.spawn(format!("batch-{index}"), move || serve(model, index, kind, &queue))?;
        }
        Ok((BatchHandle { queue }, Self { threads }))
    }

    /// Takes no new requests, computes what waits, and blocks until the threads have left.
    pub fn shutdown(mut self) {
        self.threads.stop(Phase::Draining);
    }
}

fn serve<M: BatchModel>(
    mut model: M,
    index: usize,
    kind: SessionKind,
    queue: &BatchQueue<M::Input, M::Output>,
) {
    give_way();
    while let Some(work) = queue.take(index) {
        let stopwatch = Stopwatch::start();
        let outputs = compute(&mut model, &work);
        let time = stopwatch.stop(kind == SessionKind::Narrow);
        let started_at = stopwatch.started_at();
        let padded = work.shape.texts * work.shape.tokens;
        queue.metrics.ran(kind, work.shape.texts, work.tokens, padded);
        queue.complete(kind, &work, Computed { outputs, started_at, time });
    }
}

fn compute<M: BatchModel>(
    model: &mut M,
    work: &Work<M::Input>,
) -> Result<Vec<M::Output>, ModelError> {
    let inputs: Vec<&M::Input> = work.inputs.iter().map(AsRef::as_ref).collect();
    let outputs = guarded("run", || model.run(&inputs)).flatten()?;
    if outputs.len() == inputs.len() {
        return Ok(outputs);
    }
    let (answered, asked) = (outputs.len(), inputs.len());
    Err(ModelError(format!("the model answered {answered} outputs for {asked} inputs")))
}
