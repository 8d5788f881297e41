//! One dedicated thread that owns a [`SequenceModel`].

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{BatchError, SpawnError};
use crate::metrics::SequenceMetrics;
use crate::model::{ModelError, SequenceId, SequenceModel, StepOutcome};
use crate::panics::guarded;
use crate::reply::{Answer, Claim};
use crate::sequence::{SequenceConfig, Terms};
use crate::sequence_queue::{Admitted, Ended, Replies, Request, SequenceQueue, Turn};
use crate::threads::{Phase, Threads};

/// What an engine knows of an answer as soon as it has computed the prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened<F> {
    /// What the engine found.
    pub first: F,
    /// How long the prompt waited for a slot.
    pub queue: Duration,
    /// From joining the engine to here.
    pub run: Duration,
}

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
pub struct SequenceHandle<P, F, O> {
    queue: Arc<SequenceQueue<P, F, O>>,
}

type HandleOf<M> = SequenceHandle<
    <M as SequenceModel>::Prompt,
    <M as SequenceModel>::First,
    <M as SequenceModel>::Output,
>;
type RequestOf<M> = Request<
    <M as SequenceModel>::Prompt,
    <M as SequenceModel>::First,
    <M as SequenceModel>::Output,
>;
type QueueOf<M> = SequenceQueue<
    <M as SequenceModel>::Prompt,
    <M as SequenceModel>::First,
    <M as SequenceModel>::Output,
>;

impl<P, F, O> Clone for SequenceHandle<P, F, O> {
    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue) }
    }
}

impl<P, F, O> fmt::Debug for SequenceHandle<P, F, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SequenceHandle").finish_non_exhaustive()
    }
}

impl<P: Send, F: Send, O: Send> SequenceHandle<P, F, O> {
    /// Asks the engine for one output and waits for the whole of it. Must be awaited on a Tokio
    /// runtime with time enabled.
    ///
    /// Dropping the future takes the prompt back: it never joins, or is cancelled between
    /// two steps.
    ///
    /// # Errors
    /// When the queue is full, the deadline passes, the engine fails or is stopped.
    pub async fn generate(&self, prompt: P, deadline: Instant) -> Result<Generated<O>, BatchError> {
        self.start(prompt, deadline).await?.whole().await
    }

    /// Asks the engine for one output and waits for the first of it. The rest may be waited for
    /// or dropped, which cancels it.
    ///
    /// # Errors
    /// When the queue is full, `first_by` passes, the engine fails or is stopped.
    pub async fn start(
        &self,
        prompt: P,
        terms: impl Into<Terms>,
    ) -> Result<Started<P, F, O>, BatchError> {
        let terms = terms.into();
        let admitted = self.queue.admit(prompt, terms);
        let Admitted { mut first, whole, mut claim } =
            admitted.inspect_err(|error| self.queue.metrics.tier.count_error(error))?;
        let opened = claim.wait(&mut first, terms.first_by).await?;
        Ok(Started { opened, whole_by: terms.whole_by, whole, claim })
    }
}

/// A sequence whose first output is known. Dropping it cancels the rest between two steps.
pub struct Started<P, F, O> {
    /// What is known.
    pub opened: Opened<F>,
    whole_by: Instant,
    whole: Answer<Generated<O>>,
    claim: Claim<Arc<SequenceQueue<P, F, O>>>,
}

impl<P, F: fmt::Debug, O> fmt::Debug for Started<P, F, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").field("opened", &self.opened).finish_non_exhaustive()
    }
}

impl<P: Send, F: Send, O: Send> Started<P, F, O> {
    /// Waits for the whole output, no longer than to the `whole_by` of its terms.
    ///
    /// # Errors
    /// When the deadline passes, the engine fails or is stopped.
    pub async fn whole(mut self) -> Result<Generated<O>, BatchError> {
        let generated = self.claim.wait(&mut self.whole, self.whole_by).await?;
        self.claim.end();
        Ok(generated)
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
        metrics: SequenceMetrics,
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
    queue: Arc<QueueOf<M>>,
    running: HashMap<SequenceId, Running<M::First, M::Output>>,
}

struct Running<F, O> {
    queue: Duration,
    joined_at: Instant,
    replies: Replies<F, O>,
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
            running.replies.fail(BatchError::Stopped);
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
            request.replies.fail(BatchError::DeadlineExceeded);
        }
        for id in running {
            self.cancel(id);
            if let Some(running) = self.running.remove(&id) {
                running.replies.fail(BatchError::DeadlineExceeded);
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
            let Request { prompt, admitted_at, replies } = request;
            // Its caller may be just between leaving and saying so.
            if replies.is_closed() {
                ended.failed.push(id);
                continue;
            }
            let queue = joined_at.saturating_duration_since(admitted_at);
            let running = Running { queue, joined_at, replies };
            self.running.insert(id, running);
            prompts.push((id, prompt));
        }
        prompts
    }

    fn step(&mut self) -> Ended {
        let mut ended = Ended::default();
        let batch_size = &self.queue.metrics.tier.batch_size;
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
                StepOutcome::Opened(first) => self.open(id, first, &mut ended),
                StepOutcome::Finished(output) => self.finish(id, output, &mut ended),
                StepOutcome::Failed(error) => self.fail(id, error, &mut ended),
            }
        }
        ended
    }

    fn open(&mut self, id: SequenceId, first: M::First, ended: &mut Ended) {
        let Some(running) = self.running.get_mut(&id) else { return };
        let Some(reply) = running.replies.first.take() else { return };
        let (queue, run) = (running.queue, running.joined_at.elapsed());
        self.queue.metrics.first_output.observe((queue + run).as_secs_f64());
        let _ = reply.send(Ok(Opened { first, queue, run }));
        ended.opened.push(id);
    }

    fn finish(&mut self, id: SequenceId, output: M::Output, ended: &mut Ended) {
        let unopened = self.running.get(&id).is_some_and(|it| it.replies.first.is_some());
        if unopened {
            let error = ModelError("the engine finished what it had not opened".to_owned());
            return self.fail(id, error, ended);
        }
        if let Some(Running { queue, joined_at, replies }) = self.running.remove(&id) {
            let _ = replies.whole.send(Ok(Generated { output, queue, run: joined_at.elapsed() }));
            ended.finished.push(id);
        }
    }

    fn fail(&mut self, id: SequenceId, error: ModelError, ended: &mut Ended) {
        if let Some(running) = self.running.remove(&id) {
            running.replies.fail(BatchError::Model(error));
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
            running.replies.fail(BatchError::Model(error.clone()));
            ended.failed.push(id);
        }
    }
}
