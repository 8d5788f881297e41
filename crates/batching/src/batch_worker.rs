//! Dedicated threads, each owning one [`BatchModel`], fed from one shared queue.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batch_queue::{BatchQueue, Request};
use crate::dynamic::DynamicConfig;
use crate::error::{BatchError, SpawnError};
use crate::metrics::TierMetrics;
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

impl<I: Send, O: Send> BatchHandle<I, O> {
    /// Asks the model for one output. Must be awaited on a Tokio runtime with time enabled.
    ///
    /// Dropping the future takes the request back: it is not computed unless it has started.
    ///
    /// # Errors
    /// When the queue is full, the deadline passes, the model fails or the pool is stopped.
    pub async fn predict(&self, input: I, deadline: Instant) -> Result<Predicted<O>, BatchError> {
        let pending = self.queue.admit(input, deadline);
        let pending = pending.inspect_err(|error| self.queue.metrics.count_error(error))?;
        pending.wait(deadline).await
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
    /// When there is no model or the operating system refuses a thread.
    pub fn spawn<M: BatchModel>(
        models: Vec<M>,
        config: &DynamicConfig,
        metrics: TierMetrics,
    ) -> Result<(HandleOf<M>, Self), SpawnError> {
        let workers = NonZeroUsize::new(models.len()).ok_or(SpawnError::NoModel)?;
        let queue = Arc::new(BatchQueue::new(config, workers, metrics, M::length));
        let mut threads = Threads::new(Arc::clone(&queue) as _);
        for (index, model) in models.into_iter().enumerate() {
            let queue = Arc::clone(&queue);
            threads.spawn(format!("batch-{index}"), move || serve(model, &queue))?;
        }
        Ok((BatchHandle { queue }, Self { threads }))
    }

    /// Takes no new requests, computes what waits, and blocks until the threads have left.
    pub fn shutdown(mut self) {
        self.threads.stop(Phase::Draining);
    }
}

fn serve<M: BatchModel>(mut model: M, queue: &BatchQueue<M::Input, M::Output>) {
    while let Some(work) = queue.take() {
        for request in work.expired {
            let _ = request.reply.send(Err(BatchError::DeadlineExceeded));
        }
        if !work.batch.is_empty() {
            run_batch(&mut model, work.batch, queue);
        }
    }
}

fn run_batch<M: BatchModel>(
    model: &mut M,
    batch: Vec<Request<M::Input, M::Output>>,
    queue: &BatchQueue<M::Input, M::Output>,
) {
    let batch_size = batch.len();
    let started_at = Instant::now();
    let outputs = compute(model, &batch);
    let run = started_at.elapsed();
    queue.metrics.batch_size.observe(batch_size as f64);
    queue.metrics.padding_ratio.observe(padding_ratio(&batch));
    match outputs {
        Ok(outputs) => {
            queue.completed(batch_size, run);
            for (request, output) in batch.into_iter().zip(outputs) {
                let queue = started_at.saturating_duration_since(request.admitted_at);
                let _ = request.reply.send(Ok(Predicted { output, queue, run, batch_size }));
            }
        }
        Err(error) => {
            for request in batch {
                let _ = request.reply.send(Err(BatchError::Model(error.clone())));
            }
        }
    }
}

fn compute<M: BatchModel>(
    model: &mut M,
    batch: &[Request<M::Input, M::Output>],
) -> Result<Vec<M::Output>, ModelError> {
    let inputs: Vec<&M::Input> = batch.iter().map(|request| &request.input).collect();
    let outputs = guarded("run", || model.run(&inputs)).flatten()?;
    if outputs.len() == batch.len() {
        return Ok(outputs);
    }
    let (answered, asked) = (outputs.len(), batch.len());
    Err(ModelError(format!("the model answered {answered} outputs for {asked} inputs")))
}

/// The share of the batch's rectangle that is not input, 0 to 1.
fn padding_ratio<I, O>(batch: &[Request<I, O>]) -> f64 {
    let longest = batch.iter().map(|request| request.length).max().unwrap_or(0);
    let padded = longest as f64 * batch.len() as f64;
    let tokens: f64 = batch.iter().map(|request| request.length as f64).sum();
    if padded > 0.0 { 1.0 - tokens / padded } else { 0.0 }
}
