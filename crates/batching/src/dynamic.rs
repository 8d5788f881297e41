//! Decides which waiting requests share the next batch, and which kind of session runs it.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use crate::admission::Rejected;
use crate::cost::{BatchShape, CostModel, RunTime};
use crate::load::Load;
pub use crate::waiting::Waiting;
use crate::waiting::WaitingRoom;
use crate::window::{Limits, best_window};

const DEFAULT_MAX_BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(8).unwrap();
const DEFAULT_MAX_QUEUE_DEPTH: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// How the dynamic scheduler groups and bounds.
#[derive(Debug, Clone)]
pub struct DynamicConfig {
    /// Most requests in one batch.
    pub max_batch_size: NonZeroUsize,
    /// Most requests that wait; those being computed do not count.
    pub max_queue_depth: NonZeroUsize,
    /// How long a request may be kept waiting for company while a worker is idle. Zero, the
    /// default, means never: batches form by themselves while all workers are busy.
    pub max_queue_delay: Duration,
    /// Of so many batches in a row at least one is begun for [`Priority::Bulk`] if any waits.
    pub bulk_turn: NonZeroUsize,
    /// Least that a turned-away caller is asked to wait.
    pub retry_after_min: Duration,
    /// Most that a turned-away caller is asked to wait, where it exceeds the least.
    pub retry_after_max: Duration,
}

impl Default for DynamicConfig {
    fn default() -> Self {
        Self {
            max_batch_size: DEFAULT_MAX_BATCH_SIZE,
            max_queue_depth: DEFAULT_MAX_QUEUE_DEPTH,
            max_queue_delay: Duration::ZERO,
            bulk_turn: DEFAULT_MAX_BATCH_SIZE,
            retry_after_min: Duration::from_millis(100),
            retry_after_max: Duration::from_secs(60),
        }
    }
}

/// Names one request inside a scheduler. Whoever admits chooses it, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Who goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Somebody waits for this one answer.
    #[default]
    Interactive,
    /// One of many, as in a file: takes what the others leave, and a turn now and then.
    Bulk,
}

/// The sessions that compute side by side, or those of them that are idle.
///
/// A narrow session computes on one core. A wide one spreads one computation over several: it
/// answers a lone request sooner, and wastes cores when there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sessions {
    /// Sessions of one thread.
    pub narrow: usize,
    /// Sessions of `wide_cores` threads: none or one.
    pub wide: usize,
    /// Cores that a wide session keeps busy.
    pub wide_cores: usize,
}

impl Sessions {
    /// Narrow sessions alone.
    #[must_use]
    pub fn narrow(count: usize) -> Self {
        Self { narrow: count, wide: 0, wide_cores: 0 }
    }
}

/// A kind of session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SessionKind {
    /// One thread.
    Narrow,
    /// Several threads.
    Wide,
}

/// What to do now. Every id in it has left the scheduler.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dispatch {
    /// Compute these together, oldest first, on an idle session of this kind.
    pub batch: Option<(SessionKind, Vec<RequestId>)>,
    /// These are late: answer them without computing.
    pub expired: Vec<RequestId>,
    /// Nothing to compute before this moment, unless something arrives or ends: a request is
    /// kept waiting for company.
    pub wait_until: Option<Instant>,
}

/// Groups waiting requests so that the cores do as little as possible for each. Pure: time is
/// an argument.
///
/// Every admitted id leaves exactly once: by [`dispatch`](Self::dispatch),
/// [`cancel`](Self::cancel) or [`drain`](Self::drain).
#[derive(Debug)]
pub struct DynamicScheduler {
    config: DynamicConfig,
    sessions: Sessions,
    narrow_cost: CostModel,
    wide_cost: CostModel,
    waiting: WaitingRoom,
    load: Load,
    running: Vec<Running>,
    /// Batches begun for interactive requests while bulk waited.
    passed_over: usize,
}

/// A batch that is being computed.
#[derive(Debug)]
struct Running {
    texts: usize,
    /// When it should end.
    end: Instant,
}

impl DynamicScheduler {
    /// An empty scheduler for these sessions, with what is known of their speed.
    #[must_use]
    pub fn new(
        config: &DynamicConfig,
        sessions: Sessions,
        narrow_cost: CostModel,
        wide_cost: CostModel,
    ) -> Self {
        Self {
            config: config.clone(),
            sessions,
            narrow_cost,
            wide_cost,
            waiting: WaitingRoom::default(),
            load: Load::default(),
            running: Vec::new(),
            passed_over: 0,
        }
    }

    /// Whether a request that arrives now, of about the usual length, can be answered by its
    /// deadline, while `reserved` others that were told yes are on their way.
    ///
    /// # Errors
    /// When it is late already, as many wait as may, or those before it take too long.
    pub fn check(
        &self,
        now: Instant,
        deadline: Instant,
        reserved: usize,
        idle: Sessions,
    ) -> Result<(), Rejected> {
        if deadline <= now {
            return Err(Rejected::AlreadyLate);
        }
        let before = self.share_of_work(now, reserved);
        let before = Duration::try_from_secs_f64(before).unwrap_or(Duration::MAX);
        let retry_after = before.min(self.config.retry_after_max).max(self.config.retry_after_min);
        if self.waiting.len() + reserved >= self.config.max_queue_depth.get() {
            return Err(Rejected::QueueFull { retry_after });
        }
        // With nothing before it a request is always let in: else a wrong prediction, which
        // only runs can correct, could keep everybody out for ever.
        let lets_in = self.waiting.len() + reserved == 0 && idle.narrow + idle.wide > 0;
        let answered = self.load.answered_after(before);
        if lets_in || answered <= deadline.saturating_duration_since(now) {
            return Ok(());
        }
        Err(Rejected::WouldBeLate { retry_after })
    }

    /// Lets a request that was checked wait.
    pub fn admit(&mut self, id: RequestId, request: Waiting) {
        self.load.arrived(request.length);
        self.waiting.insert(id, request);
    }

    /// Another caller wants what a waiting request computes.
    pub fn join(&mut self, id: RequestId, priority: Priority, deadline: Instant) {
        self.waiting.join(id, priority, deadline);
    }

    /// What an idle session should do. To be called until it answers no batch.
    ///
    /// The oldest request is in the batch, and with it those neighbours in length that make the
    /// batch cheaper for each, up to the batch size and a fair share of all the work there is: a
    /// session must not hoard what idle ones could start on, nor what those could that will be
    /// idle before it is.
    pub fn dispatch(&mut self, now: Instant, idle: Sessions) -> Dispatch {
        let expired = self.waiting.take_expired(now);
        let Some(kind) = self.session_for_next(idle) else {
            return Dispatch { expired, ..Dispatch::default() };
        };
        let Some(anchor) = self.anchor() else {
            return Dispatch { expired, ..Dispatch::default() };
        };
        if let Some(until) = self.company_comes_until(now, anchor) {
            return Dispatch { expired, wait_until: Some(until), ..Dispatch::default() };
        }
        let batch = self.take_batch(now, anchor, kind);
        if kind == SessionKind::Wide || idle == self.sessions {
            self.load.began_alone(now);
        }
        Dispatch { batch: Some((kind, batch)), expired, wait_until: None }
    }

    /// Forgets a waiting request. Answers whether it was waiting.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        self.waiting.remove(id).is_some()
    }

    /// A session failed to compute a batch of so many requests.
    pub fn failed(&mut self, requests: usize) {
        self.ended(requests);
    }

    /// A session of this kind computed a batch.
    pub fn completed(&mut self, kind: SessionKind, shape: BatchShape, time: RunTime) {
        self.ended(shape.texts);
        let cost = match kind {
            SessionKind::Narrow => &mut self.narrow_cost,
            SessionKind::Wide => &mut self.wide_cost,
        };
        cost.observe(shape, time.busy);
        self.load.completed(shape.texts, time);
    }

    /// Keeps nobody waiting for company any more.
    pub fn hurry(&mut self) {
        self.config.max_queue_delay = Duration::ZERO;
    }

    /// How many requests wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What batches cost on a session of this kind, as far as known.
    #[must_use]
    pub fn cost(&self, kind: SessionKind) -> &CostModel {
        match kind {
            SessionKind::Narrow => &self.narrow_cost,
            SessionKind::Wide => &self.wide_cost,
        }
    }

    /// Forgets all that waits and names it, oldest first.
    pub fn drain(&mut self) -> Vec<RequestId> {
        self.waiting.drain()
    }

    /// The oldest interactive request; the oldest of all when it is bulk's turn.
    fn anchor(&mut self) -> Option<RequestId> {
        let interactive = self.waiting.oldest(Priority::Interactive);
        let bulk = self.waiting.oldest(Priority::Bulk);
        let (Some(first), Some(second)) = (interactive, bulk) else {
            return interactive.or(bulk);
        };
        Some(if self.passed_over + 1 >= self.config.bulk_turn.get() { second } else { first })
    }

    /// Which kind of session should begin now: none where the cores are taken.
    fn session_for_next(&self, idle: Sessions) -> Option<SessionKind> {
        let busy_narrow = self.sessions.narrow - idle.narrow.min(self.sessions.narrow);
        let wide_runs = idle.wide < self.sessions.wide;
        let cores = self.sessions.narrow.max(self.sessions.wide_cores);
        let busy = busy_narrow + if wide_runs { self.sessions.wide_cores } else { 0 };
        if busy >= cores {
            return None;
        }
        let alone = busy == 0 && self.waiting.len() == 1 && idle.wide > 0;
        if alone && self.wide_pays() {
            return Some(SessionKind::Wide);
        }
        (idle.narrow > 0).then_some(SessionKind::Narrow)
    }

    /// Whether the lone request gains more on all cores than others, who may come meanwhile and
    /// find no free core, lose: on average they wait for half of the run.
    fn wide_pays(&self) -> bool {
        let Some(length) = self.waiting.lengths().next() else { return false };
        let shape = BatchShape { texts: 1, tokens: length };
        let wide = self.wide_cost.seconds(shape);
        let saved = self.narrow_cost.seconds(shape) - wide;
        saved > self.load.arrivals_beside_a_lone_run() * wide * wide / 2.0
    }

    fn company_comes_until(&self, now: Instant, anchor: RequestId) -> Option<Instant> {
        if self.config.max_queue_delay.is_zero()
            || self.waiting.len() >= self.config.max_batch_size.get()
        {
            return None;
        }
        let arrived = self.waiting.get(anchor)?.arrived;
        Some(arrived + self.config.max_queue_delay).filter(|until| *until > now)
    }

    fn ended(&mut self, requests: usize) {
        let ended = self.running.iter().position(|running| running.texts == requests);
        if let Some(ended) = ended {
            self.running.swap_remove(ended);
        }
    }

    /// Seconds until all that waits, is promised or runs would be done, evenly spread over the
    /// narrow sessions.
    fn share_of_work(&self, now: Instant, reserved: usize) -> f64 {
        let left = |running: &Running| running.end.saturating_duration_since(now).as_secs_f64();
        let running: f64 = self.running.iter().map(left).sum();
        let waiting = self.load.backlog(&self.waiting, reserved, &self.narrow_cost);
        (waiting + running) / self.sessions.narrow.max(1) as f64
    }

    fn take_batch(&mut self, now: Instant, anchor: RequestId, kind: SessionKind) -> Vec<RequestId> {
        let limits = Limits {
            texts: self.config.max_batch_size.get(),
            seconds: self.share_of_work(now, 0),
            stretch: self.load.stretch(),
            now,
        };
        let candidates = self.waiting.neighbours(anchor, limits.texts);
        let place = candidates.iter().position(|candidate| candidate.id == anchor).unwrap_or(0);
        let window = best_window(&candidates, place, &self.narrow_cost, limits);
        let window = &candidates[window];
        let mut batch: Vec<_> = window.iter().map(|candidate| candidate.id).collect();
        batch.sort_unstable();
        let bulk_waits = self.waiting.oldest(Priority::Bulk);
        let passed_over = bulk_waits.is_some_and(|oldest| !batch.contains(&oldest));
        self.passed_over = if passed_over { self.passed_over + 1 } else { 0 };
        let tokens = window.last().map_or(0, |longest| longest.length);
        let shape = BatchShape { texts: batch.len(), tokens };
        let seconds = self.cost(kind).seconds(shape) * limits.stretch;
        let takes = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.running.push(Running { texts: batch.len(), end: now + takes });
        for id in &batch {
            self.waiting.remove(*id);
        }
        batch
    }
}
