//! One dedicated thread that owns a [`SequenceModel`].

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{BatchError, SpawnError};
use crate::metrics::TierMetrics;
use crate::model::{ModelError, SequenceId, SequenceModel, StepOutcome};
use crate::panics::guarded;
use crate::reply::Reply;
use crate::sequence::SequenceConfig;
use crate::sequence_queue::{Ended, Request, SequenceQueue, Turn};
use crate::threads::{Phase, Threads};

/// An engine's answer to one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated<O> {
    /// What the engine generated.
    pub output: O,
    /// How long the prompt waited for a slot.
    pub queue: Duration,
    /// From joining the engine to the last token.
    pub run: Duration,
}

/// Sends prompts to a [`SequenceWorker`]. Cheap to clone; may outlive the worker.
pub struct SequenceHandle<P, O> {
    queue: Arc<SequenceQueue<P, O>>,
}

type HandleOf<M> = SequenceHandle<<M as SequenceModel>::Prompt, <M as SequenceModel>::Output>;
type RequestOf<M> = Request<<M as SequenceModel>::Prompt, <M as SequenceModel>::Output>;

impl<P, O> Clone for SequenceHandle<P, O> {
    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue) }
    }
}

impl<P, O> fmt::Debug for SequenceHandle<P, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SequenceHandle").finish_non_exhaustive()
    }
}

impl<P: Send, O: Send> SequenceHandle<P, O> {
    /// Asks the engine for one output. Must be awaited on a Tokio runtime with time enabled.
    ///
    /// Dropping the future takes the prompt back: it never joins, or is cancelled between
    /// two steps.
    ///
    /// # Errors
    /// When the queue is full, the deadline passes, the engine fails or is stopped.
    pub async fn generate(&self, prompt: P, deadline: Instant) -> Result<Generated<O>, BatchError> {
        let pending = self.queue.admit(prompt, deadline);
        let pending = pending.inspect_err(|error| self.queue.metrics.count_error(error))?;
        pending.wait(deadline).await
    }
}

/// The thread that serves a [`SequenceHandle`].
///
/// Dropping it answers all that waits or runs with [`BatchError::Stopped`] and blocks until
/// the present step is done.
pub struct SequenceWorker {
    threads: Threads,
}

impl fmt::Debug for SequenceWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SequenceWorker").finish_non_exhaustive()
    }
}

impl SequenceWorker {
    /// Starts the engine's thread.
    ///
    /// # Errors
    /// When the operating system refuses the thread.
    pub fn spawn<M: SequenceModel>(
        model: M,
        config: &SequenceConfig,
        metrics: TierMetrics,
    ) -> Result<(HandleOf<M>, Self), SpawnError> {
        let queue = Arc::new(SequenceQueue::new(config, metrics));
        let mut threads = Threads::new(Arc::clone(&queue) as _);
        let engine = Engine { model, queue: Arc::clone(&queue), running: HashMap::new() };
        threads.spawn("sequence".to_owned(), move || engine.serve())?;
        Ok((SequenceHandle { queue }, Self { threads }))
    }

    /// Takes no new prompts, finishes what waits and runs, and blocks until the thread has
    /// left. No longer than to the last deadline.
    pub fn shutdown(mut self) {
        self.threads.stop(Phase::Draining);
    }
}

struct Engine<M: SequenceModel> {
    model: M,
    queue: Arc<SequenceQueue<M::Prompt, M::Output>>,
    running: HashMap<SequenceId, Running<M::Output>>,
}

struct Running<O> {
    queue: Duration,
    joined_at: Instant,
    reply: Reply<Generated<O>>,
}

impl<M: SequenceModel> Engine<M> {
    fn serve(mut self) {
        while let Some(turn) = self.queue.next_turn(self.capacity()) {
            match turn {
                Turn::Evict { waiting, running } => self.evict(waiting, running),
                Turn::Join(requests) => self.timed(|engine| engine.join(requests)),
                Turn::Step => self.timed(Self::step),
            }
        }
        for (id, running) in std::mem::take(&mut self.running) {
            self.cancel(id);
            let _ = running.reply.send(Err(BatchError::Stopped));
        }
    }

    fn capacity(&self) -> usize {
        guarded("capacity", || self.model.capacity()).unwrap_or(0)
    }

    fn cancel(&mut self, id: SequenceId) {
        // A panic is logged; the sequence is answered either way.
        let _ = guarded("cancel", || self.model.cancel(id));
    }

    fn timed(&mut self, work: impl FnOnce(&mut Self) -> Ended) {
        let started_at = Instant::now();
        let ended = work(self);
        self.queue.worked(started_at.elapsed(), &ended);
    }

    fn evict(&mut self, waiting: Vec<RequestOf<M>>, running: Vec<SequenceId>) {
        for request in waiting {
            let _ = request.reply.send(Err(BatchError::DeadlineExceeded));
        }
        for id in running {
            self.cancel(id);
            if let Some(running) = self.running.remove(&id) {
                let _ = running.reply.send(Err(BatchError::DeadlineExceeded));
            }
        }
    }

    fn join(&mut self, requests: Vec<(SequenceId, RequestOf<M>)>) -> Ended {
        let mut ended = Ended::default();
        let prompts = self.start(requests, &mut ended);
        if prompts.is_empty() {
            return ended;
        }
        let ids: Vec<_> = prompts.iter().map(|(id, _)| *id).collect();
        let answers = match guarded("join", || self.model.join(prompts)) {
            Ok(answers) => answers,
            Err(panic) => {
                self.cancel_all();
                self.fail_all(&panic, &mut ended);
                return ended;
            }
        };
        let mut answers: HashMap<_, _> = answers.into_iter().collect();
        for id in ids {
            match answers.remove(&id) {
                Some(Ok(())) => {}
                Some(Err(error)) => self.fail(id, error, &mut ended),
                None => {
                    self.cancel(id);
                    let error = ModelError("the engine did not say whether it joined".to_owned());
                    self.fail(id, error, &mut ended);
                }
            }
        }
        ended
    }

    /// Keeps the reply sides and answers the prompts.
    fn start(
        &mut self,
        requests: Vec<(SequenceId, RequestOf<M>)>,
        ended: &mut Ended,
    ) -> Vec<(SequenceId, M::Prompt)> {
        let joined_at = Instant::now();
        let mut prompts = Vec::with_capacity(requests.len());
        for (id, request) in requests {
            let Request { prompt, admitted_at, reply } = request;
            // Its caller may be just between leaving and saying so.
            if reply.is_closed() {
                ended.failed.push(id);
                continue;
            }
            let queue = joined_at.saturating_duration_since(admitted_at);
            let running = Running { queue, joined_at, reply };
            self.running.insert(id, running);
            prompts.push((id, prompt));
        }
        prompts
    }

    fn step(&mut self) -> Ended {
        let mut ended = Ended::default();
        let batch_size = &self.queue.metrics.batch_size;
        batch_size.observe(self.running.len() as f64);
        let outcomes = guarded("step", || self.model.step()).unwrap_or_else(|panic| {
            self.cancel_all();
            Err(panic)
        });
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) => {
                self.fail_all(&error, &mut ended);
                return ended;
            }
        };
        for (id, outcome) in outcomes {
            match outcome {
                StepOutcome::Running => {}
                StepOutcome::Finished(output) => self.finish(id, output, &mut ended),
                StepOutcome::Failed(error) => self.fail(id, error, &mut ended),
            }
        }
        ended
    }

    fn finish(&mut self, id: SequenceId, output: M::Output, ended: &mut Ended) {
        if let Some(Running { queue, joined_at, reply }) = self.running.remove(&id) {
            let _ = reply.send(Ok(Generated { output, queue, run: joined_at.elapsed() }));
            ended.finished.push(id);
        }
    }

    fn fail(&mut self, id: SequenceId, error: ModelError, ended: &mut Ended) {
        if let Some(running) = self.running.remove(&id) {
            let _ = running.reply.send(Err(BatchError::Model(error)));
            ended.failed.push(id);
        }
    }

    /// After a panic the engine may still hold sequences that nobody waits for.
    fn cancel_all(&mut self) {
        let ids: Vec<_> = self.running.keys().copied().collect();
        for id in ids {
            self.cancel(id);
        }
    }

    fn fail_all(&mut self, error: &ModelError, ended: &mut Ended) {
        for (id, running) in self.running.drain() {
            let _ = running.reply.send(Err(BatchError::Model(error.clone())));
            ended.failed.push(id);
        }
    }
}
