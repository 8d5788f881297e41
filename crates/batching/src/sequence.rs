//! Decides, between two steps of an engine, who leaves, who joins and whether to step.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use crate::admission::{Admission, Rejected};
use crate::model::SequenceId;

const DEFAULT_MAX_QUEUE_DEPTH: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// Under [`Order::Weight`], one in so many goes by arrival, so that the lightest has its turn.
const ARRIVAL_TURN: usize = 4;

/// Who joins first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// First come, first served.
    #[default]
    Arrival,
    /// The heaviest first; one turn in four is the oldest one's, so that none starves.
    Weight,
}

/// What a sequence asks of the scheduler.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// When its first output is of no use any more. It may then not have joined at all.
    pub first_by: Instant,
    /// When its whole output is of no use any more; counts from the first output on.
    pub whole_by: Instant,
    /// What it is worth, in any unit; under [`Order::Weight`] the highest goes first.
    pub weight: f64,
}

impl From<Instant> for Terms {
    /// One deadline for all, and no weight.
    fn from(deadline: Instant) -> Self {
        Self { first_by: deadline, whole_by: deadline, weight: 0.0 }
    }
}

/// How the sequence scheduler is bounded. The engine bounds how many run.
#[derive(Debug, Clone)]
pub struct SequenceConfig {
    /// Most sequences that wait; those running do not count.
    pub max_queue_depth: NonZeroUsize,
    /// Who joins first.
    pub order: Order,
    /// Least that a turned-away caller is asked to wait.
    pub retry_after_min: Duration,
    /// Most that a turned-away caller is asked to wait, where it exceeds the least.
    pub retry_after_max: Duration,
}

impl Default for SequenceConfig {
    fn default() -> Self {
        Self {
            max_queue_depth: DEFAULT_MAX_QUEUE_DEPTH,
            order: Order::default(),
            retry_after_min: Duration::from_secs(1),
            retry_after_max: Duration::from_secs(120),
        }
    }
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// These have left the scheduler. Answer them as late, unless their caller left.
    Evict {
        /// Never joined: nothing to undo.
        waiting: Vec<SequenceId>,
        /// The engine must drop them.
        running: Vec<SequenceId>,
    },
    /// Hand these to the engine, in this order. They count as running from now on.
    Join(Vec<SequenceId>),
    /// Advance all that runs by one step.
    Step,
    /// Nothing can be done before something arrives, leaves, or `until` has come.
    Idle {
        /// The first deadline of those that wait for a slot; `None` when none waits.
        until: Option<Instant>,
    },
}

/// Admits, joins and evicts sequences in the order asked for. Pure: time is an argument.
///
/// It asks the engine only how many may join, so a static engine (none until its batch has
/// ended) and a continuous one (its free slots) are treated alike.
///
/// Every admitted id leaves exactly once: evicted, [`finished`](Self::finished),
/// [`failed`](Self::failed), cancelled while waiting, or [`drained`](Self::drain_waiting).
#[derive(Debug)]
pub struct SequenceScheduler {
    admission: Admission,
    order: Order,
    /// How many have joined since the oldest had its turn.
    overtaken: usize,
    /// In order of arrival.
    waiting: VecDeque<Waiting>,
    running: BTreeMap<SequenceId, Running>,
    /// Engine time since the last sequence finished, and how many have finished meanwhile.
    busy: Duration,
    finished: usize,
}

#[derive(Debug)]
struct Waiting {
    id: SequenceId,
    terms: Terms,
}

#[derive(Debug)]
struct Running {
    terms: Terms,
    opened: bool,
    cancelled: bool,
}

impl Running {
    fn leaves(&self, now: Instant) -> bool {
        let deadline = if self.opened { self.terms.whole_by } else { self.terms.first_by };
        self.cancelled || deadline <= now
    }
}

impl SequenceScheduler {
    /// An empty scheduler for one engine.
    #[must_use]
    pub fn new(config: &SequenceConfig) -> Self {
        let admission = Admission {
            max_queue_depth: config.max_queue_depth,
            retry_after_min: config.retry_after_min,
            retry_after_max: config.retry_after_max,
            servers: NonZeroUsize::MIN,
            service_time: None,
        };
        Self {
            admission,
            order: config.order,
            overtaken: 0,
            waiting: VecDeque::new(),
            running: BTreeMap::new(),
            busy: Duration::ZERO,
            finished: 0,
        }
    }

    /// Lets a sequence wait.
    ///
    /// # Errors
    /// When it is late already or the queue is full. It is then not the scheduler's concern.
    pub fn admit(
        &mut self,
        now: Instant,
        id: SequenceId,
        terms: impl Into<Terms>,
    ) -> Result<(), Rejected> {
        let terms = terms.into();
        self.admission.check(now, self.waiting.len(), terms.first_by)?;
        self.waiting.push_back(Waiting { id, terms });
        Ok(())
    }

    /// Decides what to do next, given how many sequences may join the engine now.
    pub fn next_action(&mut self, now: Instant, capacity: usize) -> Action {
        if let Some(eviction) = self.evict(now) {
            return eviction;
        }
        let joining = capacity.min(self.waiting.len());
        if joining > 0 {
            return self.join(joining);
        }
        if !self.running.is_empty() {
            return Action::Step;
        }
        Action::Idle { until: self.waiting.iter().map(|waiting| waiting.terms.first_by).min() }
    }

    /// The caller has left. One that waits is forgotten at once and `true` is answered; one
    /// that runs is evicted by a later action.
    pub fn cancel(&mut self, id: SequenceId) -> bool {
        if let Some(running) = self.running.get_mut(&id) {
            running.cancelled = true;
            return false;
        }
        let position = self.waiting.iter().position(|waiting| waiting.id == id);
        position.and_then(|position| self.waiting.remove(position)).is_some()
    }

    /// A running sequence has its first output: from now on the deadline of the whole counts.
    pub fn opened(&mut self, id: SequenceId) {
        if let Some(running) = self.running.get_mut(&id) {
            running.opened = true;
        }
    }

    /// A running sequence has its output. Answers whether it was running.
    pub fn finished(&mut self, id: SequenceId) -> bool {
        let was_running = self.running.remove(&id).is_some();
        self.finished += usize::from(was_running);
        was_running
    }

    /// A running sequence has failed, in joining or later. Answers whether it was running.
    pub fn failed(&mut self, id: SequenceId) -> bool {
        self.running.remove(&id).is_some()
    }

    /// The engine joined or stepped for `elapsed`. To be told after what that finished.
    pub fn worked(&mut self, elapsed: Duration) {
        self.busy = self.busy.saturating_add(elapsed);
        if self.finished > 0 {
            self.admission.observe(self.finished, self.busy);
            self.busy = Duration::ZERO;
            self.finished = 0;
        }
    }

    /// How many sequences wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many sequences run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Forgets all that waits and names it, oldest first.
    pub fn drain_waiting(&mut self) -> Vec<SequenceId> {
        self.waiting.drain(..).map(|waiting| waiting.id).collect()
    }

    fn evict(&mut self, now: Instant) -> Option<Action> {
        let mut waiting = Vec::new();
        self.waiting.retain(|entry| {
            let late = entry.terms.first_by <= now;
            if late {
                waiting.push(entry.id);
            }
            !late
        });
        let leaves = |_: &SequenceId, entry: &mut Running| entry.leaves(now);
        let running: Vec<_> = self.running.extract_if(.., leaves).map(|(id, _)| id).collect();
        let nobody = waiting.is_empty() && running.is_empty();
        (!nobody).then_some(Action::Evict { waiting, running })
    }

    fn join(&mut self, count: usize) -> Action {
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            let next = self.next_in_turn();
            let Some(Waiting { id, terms }) = self.waiting.remove(next) else { break };
            self.running.insert(id, Running { terms, opened: false, cancelled: false });
            ids.push(id);
        }
        Action::Join(ids)
    }

    /// Who of those that wait joins next, by position; equal weights go by arrival.
    fn next_in_turn(&mut self) -> usize {
        if self.order == Order::Arrival || self.overtaken + 1 >= ARRIVAL_TURN {
            self.overtaken = 0;
            return 0;
        }
        let weights = self.waiting.iter().map(|waiting| waiting.terms.weight).enumerate();
        let heaviest = weights.rev().max_by(|(_, a), (_, b)| a.total_cmp(b));
        let position = heaviest.map_or(0, |(position, _)| position);
        self.overtaken = if position == 0 { 0 } else { self.overtaken + 1 };
        position
    }
}
