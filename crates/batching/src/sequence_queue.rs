//! The queue before one engine: the scheduler, the prompts that wait, one lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::error::BatchError;
use crate::metrics::{DepthShare, SequenceMetrics, TierMetrics};
use crate::model::SequenceId;
use crate::reply::{Answer, Cancel, Claim, Reply};
use crate::sequence::{Action, SequenceConfig, SequenceScheduler, Terms};
use crate::sequence_worker::{Generated, Opened};
use crate::threads::{Phase, Stop};

pub(crate) struct SequenceQueue<P, F, O> {
    state: Mutex<State<P, F, O>>,
    changed: Condvar,
    pub(crate) metrics: SequenceMetrics,
}

/// A request with its payload.
pub(crate) struct Request<P, F, O> {
    pub(crate) prompt: P,
    pub(crate) admitted_at: Instant,
    pub(crate) replies: Replies<F, O>,
}

/// Where the engine answers: first what is known first, then the whole.
pub(crate) struct Replies<F, O> {
    /// `None` once it has been used.
    pub(crate) first: Option<Reply<Opened<F>>>,
    pub(crate) whole: Reply<Generated<O>>,
}

impl<F, O> Replies<F, O> {
    /// Whether the caller has left.
    pub(crate) fn is_closed(&self) -> bool {
        self.whole.is_closed()
    }

    /// Answers whichever the caller waits for.
    pub(crate) fn fail(self, error: BatchError) {
        match self.first {
            Some(first) => _ = first.send(Err(error)),
            None => _ = self.whole.send(Err(error)),
        }
    }
}

/// What an admitted caller holds.
pub(crate) struct Admitted<P, F, O> {
    pub(crate) first: Answer<Opened<F>>,
    pub(crate) whole: Answer<Generated<O>>,
    pub(crate) claim: Claim<Arc<SequenceQueue<P, F, O>>>,
}

/// What the engine thread is to do, with what it needs for it.
pub(crate) enum Turn<P, F, O> {
    Evict { waiting: Vec<Request<P, F, O>>, running: Vec<SequenceId> },
    Join(Vec<(SequenceId, Request<P, F, O>)>),
    Step,
}

/// Whose fate a join or a step changed.
#[derive(Default)]
pub(crate) struct Ended {
    pub(crate) opened: Vec<SequenceId>,
    pub(crate) finished: Vec<SequenceId>,
    pub(crate) failed: Vec<SequenceId>,
}

struct State<P, F, O> {
    scheduler: SequenceScheduler,
    /// Those that wait; the engine thread keeps those that run.
    requests: HashMap<SequenceId, Request<P, F, O>>,
    phase: Phase,
    next_id: u64,
    depth: DepthShare,
}

impl<P, F, O> SequenceQueue<P, F, O> {
    pub(crate) fn new(config: &SequenceConfig, metrics: SequenceMetrics) -> Self {
        let state = State {
            scheduler: SequenceScheduler::new(config),
            requests: HashMap::new(),
            phase: Phase::Open,
            next_id: 0,
            depth: metrics.tier.depth_share(),
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), metrics }
    }

    pub(crate) fn admit(
        self: &Arc<Self>,
        prompt: P,
        terms: Terms,
    ) -> Result<Admitted<P, F, O>, BatchError> {
        let (first_reply, first) = oneshot::channel();
        let (whole_reply, whole) = oneshot::channel();
        let replies = Replies { first: Some(first_reply), whole: whole_reply };
        let id = {
            let mut state = self.state.lock();
            if state.phase != Phase::Open {
                return Err(BatchError::Stopped);
            }
            let id = SequenceId(state.next_id);
            let now = Instant::now();
            state.scheduler.admit(now, id, terms)?;
            state.next_id += 1;
            state.requests.insert(id, Request { prompt, admitted_at: now, replies });
            state.show_depth();
            id.0
        };
        self.changed.notify_one();
        Ok(Admitted { first, whole, claim: Claim::new(id, Arc::clone(self)) })
    }

    /// Blocks until there is something to do. `None` when the engine thread is to leave.
    pub(crate) fn next_turn(&self, capacity: usize) -> Option<Turn<P, F, O>> {
        let mut state = self.state.lock();
        loop {
            if state.phase == Phase::Stopped {
                return None;
            }
            let action = state.scheduler.next_action(Instant::now(), capacity);
            state.show_depth();
            match action {
                Action::Evict { waiting, running } => {
                    let waiting = state.remove(&waiting).map(|(_, request)| request).collect();
                    return Some(Turn::Evict { waiting, running });
                }
                Action::Join(ids) => return Some(Turn::Join(state.remove(&ids).collect())),
                Action::Step => return Some(Turn::Step),
                Action::Idle { until: None } if state.phase != Phase::Open => return None,
                Action::Idle { until: None } => self.changed.wait(&mut state),
                Action::Idle { until: Some(until) } => {
                    self.changed.wait_until(&mut state, until);
                }
            }
        }
    }

    /// The engine joined or stepped for `elapsed`, which ended some.
    pub(crate) fn worked(&self, elapsed: Duration, ended: &Ended) {
        let mut state = self.state.lock();
        for id in &ended.opened {
            state.scheduler.opened(*id);
        }
        for id in &ended.finished {
            state.scheduler.finished(*id);
        }
        for id in &ended.failed {
            state.scheduler.failed(*id);
        }
        state.scheduler.worked(elapsed);
    }
}

impl<P, F, O> State<P, F, O> {
    fn remove(
        &mut self,
        ids: &[SequenceId],
    ) -> impl Iterator<Item = (SequenceId, Request<P, F, O>)> {
        ids.iter().filter_map(|id| self.requests.remove(id).map(|request| (*id, request)))
    }

    fn show_depth(&mut self) {
        self.depth.show(self.scheduler.waiting());
    }
}

impl<P, F, O> Cancel for SequenceQueue<P, F, O> {
    fn metrics(&self) -> &TierMetrics {
        &self.metrics.tier
    }

    fn cancel(&self, id: u64) {
        // The payload is dropped after the lock: it is of any size.
        let _request = {
            let mut state = self.state.lock();
            state.scheduler.cancel(SequenceId(id));
            state.show_depth();
            state.requests.remove(&SequenceId(id))
        };
        self.changed.notify_one();
    }
}

impl<P: Send, F: Send, O: Send> Stop for SequenceQueue<P, F, O> {
    fn stop(&self, phase: Phase) {
        let abandoned: Vec<_> = {
            let mut state = self.state.lock();
            state.phase = state.phase.max(phase);
            let ids = match phase {
                Phase::Stopped => state.scheduler.drain_waiting(),
                Phase::Open | Phase::Draining => Vec::new(),
            };
            state.show_depth();
            state.remove(&ids).collect()
        };
        self.changed.notify_all();
        for (_, request) in abandoned {
            request.replies.fail(BatchError::Stopped);
        }
    }
}
