//! The queue before one engine: the scheduler, the prompts that wait, one lock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::error::BatchError;
use crate::metrics::{DepthShare, TierMetrics};
use crate::model::SequenceId;
use crate::reply::{Cancel, Pending, Reply};
use crate::sequence::{Action, SequenceConfig, SequenceScheduler};
use crate::sequence_worker::Generated;
use crate::threads::{Phase, Stop};

pub(crate) struct SequenceQueue<P, O> {
    state: Mutex<State<P, O>>,
    changed: Condvar,
    pub(crate) metrics: TierMetrics,
}

/// A request with its payload.
pub(crate) struct Request<P, O> {
    pub(crate) prompt: P,
    pub(crate) admitted_at: Instant,
    pub(crate) reply: Reply<Generated<O>>,
}

/// What the engine thread is to do, with what it needs for it.
pub(crate) enum Turn<P, O> {
    Evict { waiting: Vec<Request<P, O>>, running: Vec<SequenceId> },
    Join(Vec<(SequenceId, Request<P, O>)>),
    Step,
}

/// What a join or a step ended.
#[derive(Default)]
pub(crate) struct Ended {
    pub(crate) finished: Vec<SequenceId>,
    pub(crate) failed: Vec<SequenceId>,
}

struct State<P, O> {
    scheduler: SequenceScheduler,
    /// Those that wait; the engine thread keeps those that run.
    requests: HashMap<SequenceId, Request<P, O>>,
    phase: Phase,
    next_id: u64,
    depth: DepthShare,
}

impl<P, O> SequenceQueue<P, O> {
    pub(crate) fn new(config: &SequenceConfig, metrics: TierMetrics) -> Self {
        let state = State {
            scheduler: SequenceScheduler::new(config),
            requests: HashMap::new(),
            phase: Phase::Open,
            next_id: 0,
            depth: metrics.depth_share(),
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), metrics }
    }

    pub(crate) fn admit(
        &self,
        prompt: P,
        deadline: Instant,
    ) -> Result<Pending<'_, Self, Generated<O>>, BatchError> {
        let (reply, receiver) = oneshot::channel();
        let id = {
            let mut state = self.state.lock();
            if state.phase != Phase::Open {
                return Err(BatchError::Stopped);
            }
            let id = SequenceId(state.next_id);
            let now = Instant::now();
            state.scheduler.admit(now, id, deadline)?;
            state.next_id += 1;
            state.requests.insert(id, Request { prompt, admitted_at: now, reply });
            state.show_depth();
            id.0
        };
        self.changed.notify_one();
        Ok(Pending { id, queue: self, metrics: &self.metrics, receiver, settled: false })
    }

    /// Blocks until there is something to do. `None` when the engine thread is to leave.
    pub(crate) fn next_turn(&self, capacity: usize) -> Option<Turn<P, O>> {
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
        for id in &ended.finished {
            state.scheduler.finished(*id);
        }
        for id in &ended.failed {
            state.scheduler.failed(*id);
        }
        state.scheduler.worked(elapsed);
    }
}

impl<P, O> State<P, O> {
    fn remove(&mut self, ids: &[SequenceId]) -> impl Iterator<Item = (SequenceId, Request<P, O>)> {
        ids.iter().filter_map(|id| self.requests.remove(id).map(|request| (*id, request)))
    }

    fn show_depth(&mut self) {
        self.depth.show(self.scheduler.waiting());
    }
}

impl<P, O> Cancel for SequenceQueue<P, O> {
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

impl<P: Send, O: Send> Stop for SequenceQueue<P, O> {
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
            let _ = request.reply.send(Err(BatchError::Stopped));
        }
    }
}
