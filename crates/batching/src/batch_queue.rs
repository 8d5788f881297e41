//! The one queue that all workers of a pool share: the scheduler, the payloads, one lock.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::batch_worker::Predicted;
use crate::dynamic::{DynamicConfig, DynamicScheduler, RequestId};
use crate::error::BatchError;
use crate::metrics::{DepthShare, TierMetrics};
use crate::reply::{Cancel, Pending, Reply};
use crate::threads::{Phase, Stop};

pub(crate) struct BatchQueue<I, O> {
    state: Mutex<State<I, O>>,
    changed: Condvar,
    pub(crate) metrics: TierMetrics,
    length: fn(&I) -> usize,
}

/// A request with its payload.
pub(crate) struct Request<I, O> {
    pub(crate) input: I,
    pub(crate) length: usize,
    pub(crate) admitted_at: Instant,
    pub(crate) reply: Reply<Predicted<O>>,
}

/// What a worker took. Either list may be empty.
pub(crate) struct Work<I, O> {
    pub(crate) batch: Vec<Request<I, O>>,
    pub(crate) expired: Vec<Request<I, O>>,
}

struct State<I, O> {
    scheduler: DynamicScheduler,
    requests: HashMap<RequestId, Request<I, O>>,
    phase: Phase,
    idle_workers: usize,
    next_id: u64,
    depth: DepthShare,
}

impl<I, O> BatchQueue<I, O> {
    pub(crate) fn new(
        config: &DynamicConfig,
        workers: NonZeroUsize,
        metrics: TierMetrics,
        length: fn(&I) -> usize,
    ) -> Self {
        let state = State {
            scheduler: DynamicScheduler::new(config, workers),
            requests: HashMap::new(),
            phase: Phase::Open,
            idle_workers: 0,
            next_id: 0,
            depth: metrics.depth_share(),
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), metrics, length }
    }

    pub(crate) fn admit(
        &self,
        input: I,
        deadline: Instant,
    ) -> Result<Pending<'_, Self, Predicted<O>>, BatchError> {
        let length = (self.length)(&input);
        let (reply, receiver) = oneshot::channel();
        let id = {
            let mut state = self.state.lock();
            if state.phase != Phase::Open {
                return Err(BatchError::Stopped);
            }
            let id = RequestId(state.next_id);
            let now = Instant::now();
            state.scheduler.admit(now, id, length, deadline)?;
            state.next_id += 1;
            state.requests.insert(id, Request { input, length, admitted_at: now, reply });
            state.show_depth();
            id.0
        };
        self.changed.notify_one();
        Ok(Pending { id, queue: self, metrics: &self.metrics, receiver, settled: false })
    }

    /// Blocks until there is work. `None` when the worker is to leave.
    pub(crate) fn take(&self) -> Option<Work<I, O>> {
        let mut state = self.state.lock();
        loop {
            if let Some(work) = state.take_work(Instant::now()) {
                return Some(work);
            }
            if state.phase != Phase::Open {
                return None;
            }
            state.idle_workers += 1;
            self.changed.wait(&mut state);
            state.idle_workers -= 1;
        }
    }

    pub(crate) fn completed(&self, requests: usize, elapsed: Duration) {
        self.state.lock().scheduler.completed(requests, elapsed);
    }
}

impl<I, O> State<I, O> {
    fn take_work(&mut self, now: Instant) -> Option<Work<I, O>> {
        let dispatch = self.scheduler.next_batch(now, self.idle_workers);
        if dispatch.batch.is_empty() && dispatch.expired.is_empty() {
            return None;
        }
        self.show_depth();
        let mut batch = self.remove(&dispatch.batch);
        // Its caller may be just between leaving and saying so.
        batch.retain(|request| !request.reply.is_closed());
        let expired = self.remove(&dispatch.expired);
        Some(Work { batch, expired })
    }

    fn remove(&mut self, ids: &[RequestId]) -> Vec<Request<I, O>> {
        ids.iter().filter_map(|id| self.requests.remove(id)).collect()
    }

    fn show_depth(&mut self) {
        self.depth.show(self.scheduler.waiting());
    }
}

impl<I, O> Cancel for BatchQueue<I, O> {
    fn cancel(&self, id: u64) {
        // The payload is dropped after the lock: it is of any size.
        let _request = {
            let mut state = self.state.lock();
            state.scheduler.cancel(RequestId(id));
            state.show_depth();
            state.requests.remove(&RequestId(id))
        };
    }
}

impl<I: Send, O: Send> Stop for BatchQueue<I, O> {
    fn stop(&self, phase: Phase) {
        let abandoned = {
            let mut state = self.state.lock();
            state.phase = state.phase.max(phase);
            let ids = match phase {
                Phase::Stopped => state.scheduler.drain(),
                Phase::Open | Phase::Draining => Vec::new(),
            };
            state.show_depth();
            state.remove(&ids)
        };
        self.changed.notify_all();
        for request in abandoned {
            let _ = request.reply.send(Err(BatchError::Stopped));
        }
    }
}
