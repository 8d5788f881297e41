//! The one queue that all workers of a pool share: the scheduler, the payloads, one lock.
//!
//! Work is handed out, not fetched: whoever changes the state (a caller that arrives, a worker
//! that has become idle) asks the scheduler what to begin, puts it into the mailbox of an idle
//! worker and wakes that worker alone. So a batch is formed at the moment it can start, and the
//! scheduler's choice of a session is final.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::admission::Rejected;
use crate::batch_worker::Predicted;
use crate::cost::{BatchShape, RunTime};
use crate::dynamic::{DynamicScheduler, Priority, RequestId, SessionKind, Sessions};
use crate::error::BatchError;
use crate::metrics::{DepthShare, DynamicMetrics, TierMetrics};
use crate::model::ModelError;
use crate::reply::{Cancel, Claim, Pending, Reply};
use crate::threads::{Phase, Stop};
use crate::waiting::Waiting;

pub(crate) struct BatchQueue<I, O> {
    state: Mutex<State<I, O>>,
    /// One per worker: only the one that has mail is woken.
    mailboxes: Vec<Condvar>,
    pub(crate) metrics: DynamicMetrics,
    length: fn(&I) -> usize,
    hasher: RandomState,
}

/// A batch that a worker is to compute.
pub(crate) struct Work<I> {
    pub(crate) ids: Vec<RequestId>,
    pub(crate) inputs: Vec<Arc<I>>,
    pub(crate) shape: BatchShape,
    /// Tokens that are input, not padding.
    pub(crate) tokens: usize,
}

/// What became of a batch.
pub(crate) struct Computed<O> {
    pub(crate) outputs: Result<Vec<O>, ModelError>,
    pub(crate) started_at: Instant,
    pub(crate) time: RunTime,
}

struct State<I, O> {
    scheduler: DynamicScheduler,
    /// Those that wait and those that run.
    requests: HashMap<RequestId, Request<I, O>>,
    /// By the hash of the input.
    by_input: HashMap<u64, RequestId>,
    /// Callers that share a request begun for somebody else: ticket to request.
    shared: HashMap<u64, RequestId>,
    workers: Vec<Worker<I>>,
    sessions: Sessions,
    /// Callers that were promised a place and have not taken it.
    reserved: usize,
    phase: Phase,
    next_id: u64,
    depth: DepthShare,
}

struct Request<I, O> {
    input: Arc<I>,
    length: usize,
    hash: u64,
    callers: Vec<Caller<O>>,
    running: bool,
}

struct Caller<O> {
    ticket: u64,
    admitted_at: Instant,
    reply: Reply<Predicted<O>>,
}

struct Worker<I> {
    kind: SessionKind,
    idle: bool,
    mail: Option<Work<I>>,
}

impl<I: Eq + Hash, O: Clone> BatchQueue<I, O> {
    /// Worker `i` runs sessions of the kind `kinds[i]`.
    pub(crate) fn new(
        scheduler: DynamicScheduler,
        sessions: Sessions,
        kinds: &[SessionKind],
        metrics: DynamicMetrics,
        length: fn(&I) -> usize,
    ) -> Self {
        let worker = |kind: &SessionKind| Worker { kind: *kind, idle: false, mail: None };
        let state = State {
            scheduler,
            requests: HashMap::new(),
            by_input: HashMap::new(),
            shared: HashMap::new(),
            workers: kinds.iter().map(worker).collect(),
            sessions,
            reserved: 0,
            phase: Phase::Open,
            next_id: 0,
            depth: metrics.tier.depth_share(),
        };
        metrics.show_costs(&state.scheduler);
        let mailboxes = kinds.iter().map(|_| Condvar::new()).collect();
        Self { state: Mutex::new(state), mailboxes, metrics, length, hasher: RandomState::new() }
    }

    /// Promises a place. Each promise is to be kept by [`admit`](Self::admit) or broken by
    /// [`release`](Self::release).
    pub(crate) fn reserve(&self, deadline: Instant) -> Result<(), BatchError> {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return Err(BatchError::Stopped);
        }
        let (reserved, idle) = (state.reserved, state.idle());
        state.scheduler.check(Instant::now(), deadline, reserved, idle).map_err(|rejected| {
            self.metrics.tier.count_rejected(rejected);
            BatchError::from(rejected)
        })?;
        state.reserved += 1;
        Ok(())
    }

    /// Takes the place that was reserved.
    pub(crate) fn admit(
        &self,
        input: I,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Pending<&Self, Predicted<O>>, BatchError> {
        let length = (self.length)(&input);
        let hash = self.hasher.hash_one(&input);
        let (reply, answer) = oneshot::channel();
        let mut state = self.state.lock();
        state.reserved -= 1;
        if state.phase != Phase::Open {
            return Err(BatchError::Stopped);
        }
        let now = Instant::now();
        if deadline <= now {
            return Err(Rejected::AlreadyLate.into());
        }
        let ticket = state.next_id;
        state.next_id += 1;
        let caller = Caller { ticket, admitted_at: now, reply };
        let waiting = Waiting::new(length, priority, now, deadline);
        if state.enter(input, hash, caller, waiting) {
            self.metrics.coalesced.inc();
        }
        self.hand_out(&mut state, now);
        drop(state);
        Ok(Pending { answer, claim: Claim::new(ticket, self) })
    }

    /// Blocks until there is work for this worker. `None` when it is to leave.
    pub(crate) fn take(&self, worker: usize) -> Option<Work<I>> {
        let mut state = self.state.lock();
        state.workers[worker].idle = true;
        loop {
            let wake_at = self.hand_out(&mut state, Instant::now());
            if let Some(work) = state.workers[worker].mail.take() {
                return Some(work);
            }
            if state.phase != Phase::Open && state.scheduler.waiting() == 0 {
                state.workers[worker].idle = false;
                return None;
            }
            let mailbox = &self.mailboxes[worker];
            match wake_at {
                Some(at) => _ = mailbox.wait_until(&mut state, at),
                None => mailbox.wait(&mut state),
            }
            if let Some(work) = state.workers[worker].mail.take() {
                return Some(work);
            }
        }
    }

    /// Answers every caller of a batch.
    pub(crate) fn complete(&self, kind: SessionKind, work: &Work<I>, computed: Computed<O>) {
        let Computed { outputs, started_at, time } = computed;
        let run = time.wall;
        let requests: Vec<Request<I, O>> = {
            let mut state = self.state.lock();
            if outputs.is_ok() {
                state.scheduler.completed(kind, work.shape, time);
                self.metrics.show_cost(kind, state.scheduler.cost(kind));
            } else {
                state.scheduler.failed(work.shape.texts);
            }
            work.ids.iter().filter_map(|id| state.remove(*id)).collect()
        };
        let batch_size = work.ids.len();
        let mut outputs = outputs.map(Vec::into_iter);
        for request in requests {
            let answer = match &mut outputs {
                Ok(outputs) => outputs.next().ok_or(BatchError::Stopped),
                Err(error) => Err(BatchError::Model(error.clone())),
            };
            for caller in request.callers {
                let queue = started_at.saturating_duration_since(caller.admitted_at);
                let predicted = |output| Predicted { output, queue, run, batch_size };
                let _ = caller.reply.send(answer.clone().map(predicted));
            }
        }
    }

    /// Begins whatever can begin. Answers when to ask again though nothing has changed.
    fn hand_out(&self, state: &mut MutexGuard<'_, State<I, O>>, now: Instant) -> Option<Instant> {
        loop {
            let idle = state.idle();
            let dispatch = state.scheduler.dispatch(now, idle);
            for id in dispatch.expired {
                for caller in state.remove(id).into_iter().flat_map(|request| request.callers) {
                    let _ = caller.reply.send(Err(BatchError::DeadlineExceeded));
                }
            }
            state.show_depth();
            let begun =
                dispatch.batch.and_then(|(kind, ids)| Some((state.idle_worker(kind)?, ids)));
            let Some((worker, ids)) = begun else {
                if state.phase != Phase::Open && state.scheduler.waiting() == 0 {
                    self.mailboxes.iter().for_each(|mailbox| _ = mailbox.notify_one());
                }
                return dispatch.wait_until;
            };
            let work = state.begin(ids);
            state.workers[worker].idle = false;
            state.workers[worker].mail = Some(work);
            self.mailboxes[worker].notify_one();
        }
    }
}

impl<I, O> BatchQueue<I, O> {
    pub(crate) fn release(&self) {
        self.state.lock().reserved -= 1;
    }
}

impl<I: Eq, O> State<I, O> {
    /// Puts a caller where its answer will come from. Answers whether that had begun already.
    fn enter(&mut self, input: I, hash: u64, caller: Caller<O>, waiting: Waiting) -> bool {
        if let Some(id) = self.by_input.get(&hash).copied()
            && let Some(request) = self.requests.get_mut(&id)
            && *request.input == input
        {
            self.shared.insert(caller.ticket, id);
            request.callers.push(caller);
            self.scheduler.join(id, waiting.priority, waiting.deadline_last);
            return true;
        }
        let id = RequestId(caller.ticket);
        let length = waiting.length;
        self.scheduler.admit(id, waiting);
        self.by_input.insert(hash, id);
        let input = Arc::new(input);
        let request = Request { input, length, hash, callers: vec![caller], running: false };
        self.requests.insert(id, request);
        false
    }
}

impl<I, O> State<I, O> {
    fn idle(&self) -> Sessions {
        let count = |kind| self.workers.iter().filter(|w| w.idle && w.kind == kind).count();
        Sessions {
            narrow: count(SessionKind::Narrow),
            wide: count(SessionKind::Wide),
            ..self.sessions
        }
    }

    fn idle_worker(&self, kind: SessionKind) -> Option<usize> {
        self.workers.iter().position(|worker| worker.idle && worker.kind == kind)
    }

    fn begin(&mut self, ids: Vec<RequestId>) -> Work<I> {
        let mut inputs = Vec::with_capacity(ids.len());
        let (mut tokens, mut longest) = (0, 0);
        for id in &ids {
            if let Some(request) = self.requests.get_mut(id) {
                request.running = true;
                tokens += request.length;
                longest = longest.max(request.length);
                inputs.push(Arc::clone(&request.input));
            }
        }
        let shape = BatchShape { texts: inputs.len(), tokens: longest };
        Work { ids, inputs, shape, tokens }
    }

    fn remove(&mut self, id: RequestId) -> Option<Request<I, O>> {
        let request = self.requests.remove(&id)?;
        if self.by_input.get(&request.hash) == Some(&id) {
            self.by_input.remove(&request.hash);
        }
        for caller in &request.callers {
            self.shared.remove(&caller.ticket);
        }
        Some(request)
    }

    fn show_depth(&mut self) {
        self.depth.show(self.scheduler.waiting());
    }
}

impl<I, O> Cancel for BatchQueue<I, O> {
    fn metrics(&self) -> &TierMetrics {
        &self.metrics.tier
    }

    fn cancel(&self, ticket: u64) {
        // The payload is dropped after the lock: it is of any size.
        let _request = {
            let mut state = self.state.lock();
            let id = state.shared.remove(&ticket).unwrap_or(RequestId(ticket));
            let Some(request) = state.requests.get_mut(&id) else { return };
            request.callers.retain(|caller| caller.ticket != ticket);
            if !request.callers.is_empty() || request.running {
                return;
            }
            state.scheduler.cancel(id);
            state.show_depth();
            state.remove(id)
        };
    }
}

impl<I: Send + Sync, O: Send> Stop for BatchQueue<I, O> {
    fn stop(&self, phase: Phase) {
        let abandoned: Vec<_> = {
            let mut state = self.state.lock();
            state.phase = state.phase.max(phase);
            state.scheduler.hurry();
            let ids = match phase {
                Phase::Stopped => state.scheduler.drain(),
                Phase::Open | Phase::Draining => Vec::new(),
            };
            state.show_depth();
            ids.into_iter().filter_map(|id| state.remove(id)).collect()
        };
        for mailbox in &self.mailboxes {
            mailbox.notify_all();
        }
        for caller in abandoned.into_iter().flat_map(|request| request.callers) {
            let _ = caller.reply.send(Err(BatchError::Stopped));
        }
    }
}
