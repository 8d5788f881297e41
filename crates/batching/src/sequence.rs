//! Decides, between two steps of an engine, who leaves, who joins and whether to step.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use crate::admission::{Admission, Rejected};
use crate::model::SequenceId;

const DEFAULT_MAX_QUEUE_DEPTH: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// How the sequence scheduler is bounded. The engine bounds how many run.
#[derive(Debug, Clone)]
pub struct SequenceConfig {
    /// Most sequences that wait; those running do not count.
    pub max_queue_depth: NonZeroUsize,
    /// Least that a turned-away caller is asked to wait.
    pub retry_after_min: Duration,
    /// Most that a turned-away caller is asked to wait, where it exceeds the least.
    pub retry_after_max: Duration,
}

impl Default for SequenceConfig {
    fn default() -> Self {
        Self {
            max_queue_depth: DEFAULT_MAX_QUEUE_DEPTH,
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
    /// Hand these to the engine, oldest first. They count as running from now on.
    Join(Vec<SequenceId>),
    /// Advance all that runs by one step.
    Step,
    /// Nothing can be done before something arrives, leaves, or `until` has come.
    Idle {
        /// The first deadline of those that wait for a slot; `None` when none waits.
        until: Option<Instant>,
    },
}

/// Admits, joins and evicts sequences, first come, first served. Pure: time is an argument.
///
/// It asks the engine only how many may join, so a static engine (none until its batch has
/// ended) and a continuous one (its free slots) are treated alike.
///
/// Every admitted id leaves exactly once: evicted, [`finished`](Self::finished),
/// [`failed`](Self::failed), cancelled while waiting, or [`drained`](Self::drain_waiting).
#[derive(Debug)]
pub struct SequenceScheduler {
    admission: Admission,
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
    deadline: Instant,
}

#[derive(Debug)]
struct Running {
    deadline: Instant,
    cancelled: bool,
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
        deadline: Instant,
    ) -> Result<(), Rejected> {
        self.admission.check(now, self.waiting.len(), deadline)?;
        self.waiting.push_back(Waiting { id, deadline });
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
        Action::Idle { until: self.waiting.iter().map(|waiting| waiting.deadline).min() }
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
            let late = entry.deadline <= now;
            if late {
                waiting.push(entry.id);
            }
            !late
        });
        let leaves = |_: &SequenceId, entry: &mut Running| entry.cancelled || entry.deadline <= now;
        let running: Vec<_> = self.running.extract_if(.., leaves).map(|(id, _)| id).collect();
        let nobody = waiting.is_empty() && running.is_empty();
        (!nobody).then_some(Action::Evict { waiting, running })
    }

    fn join(&mut self, count: usize) -> Action {
        let mut ids = Vec::with_capacity(count);
        for Waiting { id, deadline } in self.waiting.drain(..count) {
            self.running.insert(id, Running { deadline, cancelled: false });
            ids.push(id);
        }
        Action::Join(ids)
    }
}
