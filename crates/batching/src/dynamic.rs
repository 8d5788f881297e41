//! Decides which waiting requests share the next batch.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use crate::admission::{Admission, Rejected};

const DEFAULT_MAX_BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(8).unwrap();
const DEFAULT_MAX_QUEUE_DEPTH: NonZeroUsize = NonZeroUsize::new(512).unwrap();

/// How the dynamic scheduler groups and bounds.
#[derive(Debug, Clone)]
pub struct DynamicConfig {
    /// Most requests in one batch.
    pub max_batch_size: NonZeroUsize,
    /// Most requests that wait; those being computed do not count.
    pub max_queue_depth: NonZeroUsize,
    /// Which lengths may share a batch.
    pub length_tolerance: LengthTolerance,
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
            length_tolerance: LengthTolerance::default(),
            retry_after_min: Duration::from_millis(100),
            retry_after_max: Duration::from_secs(60),
        }
    }
}

/// Lengths are near-equal when `longest <= shortest * (1 + percent / 100) + tokens`.
///
/// A row is padded to the longest of its batch and the padding is computed as well. On one
/// CPU core a batch of eight saves each row about what six tokens cost, so the default keeps
/// the padding of mid-sized texts below that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LengthTolerance {
    /// Relative part, in percent of the shortest length.
    pub percent: usize,
    /// Absolute part, in tokens.
    pub tokens: usize,
}

impl Default for LengthTolerance {
    fn default() -> Self {
        Self { percent: 5, tokens: 4 }
    }
}

impl LengthTolerance {
    /// Whether a batch may hold both lengths.
    #[must_use]
    pub fn allows(self, shortest: usize, longest: usize) -> bool {
        let relative = shortest.saturating_mul(self.percent.saturating_add(100));
        let limit = relative.saturating_add(self.tokens.saturating_mul(100));
        longest.saturating_mul(100) <= limit
    }
}

/// Names one request inside a scheduler. Whoever admits chooses it; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// What to do now. Every id in it has left the scheduler.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dispatch {
    /// Compute these together, oldest first. Empty when nothing waits.
    pub batch: Vec<RequestId>,
    /// These are late: answer them without computing.
    pub expired: Vec<RequestId>,
}

/// Groups waiting requests of near-equal length, oldest first. Pure: time is an argument.
///
/// Every admitted id leaves exactly once: by [`next_batch`](Self::next_batch),
/// [`cancel`](Self::cancel) or [`drain`](Self::drain).
#[derive(Debug)]
pub struct DynamicScheduler {
    admission: Admission,
    max_batch_size: NonZeroUsize,
    length_tolerance: LengthTolerance,
    /// In order of arrival.
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    id: RequestId,
    length: usize,
    deadline: Instant,
}

impl DynamicScheduler {
    /// An empty scheduler for `workers` workers that compute side by side.
    #[must_use]
    pub fn new(config: &DynamicConfig, workers: NonZeroUsize) -> Self {
        let admission = Admission {
            max_queue_depth: config.max_queue_depth,
            retry_after_min: config.retry_after_min,
            retry_after_max: config.retry_after_max,
            servers: workers,
            service_time: None,
        };
        Self {
            admission,
            max_batch_size: config.max_batch_size,
            length_tolerance: config.length_tolerance,
            waiting: VecDeque::new(),
        }
    }

    /// Lets a request of `length` tokens wait.
    ///
    /// # Errors
    /// When it is late already or the queue is full. It is then not the scheduler's concern.
    pub fn admit(
        &mut self,
        now: Instant,
        id: RequestId,
        length: usize,
        deadline: Instant,
    ) -> Result<(), Rejected> {
        self.admission.check(now, self.waiting.len(), deadline)?;
        self.waiting.push_back(Waiting { id, length, deadline });
        Ok(())
    }

    /// The next batch for a worker that has nothing to do, while `other_idle_workers` have
    /// nothing to do either. Linear in the number that wait.
    ///
    /// Holds the oldest request that is not late, and the next oldest of near-equal length, up
    /// to the batch size or this worker's fair share: one batch of eight takes about eight
    /// times as long as a batch of one, so hoarding would leave a core idle for that long.
    pub fn next_batch(&mut self, now: Instant, other_idle_workers: usize) -> Dispatch {
        let expired = self.take_expired(now);
        let fair_share = self.waiting.len().div_ceil(other_idle_workers.saturating_add(1));
        let batch = self.take_batch(fair_share.min(self.max_batch_size.get()));
        Dispatch { batch, expired }
    }

    /// Forgets a waiting request. Answers whether it was waiting.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        let position = self.waiting.iter().position(|waiting| waiting.id == id);
        position.and_then(|position| self.waiting.remove(position)).is_some()
    }

    /// A worker computed `requests` requests in `elapsed`.
    pub fn completed(&mut self, requests: usize, elapsed: Duration) {
        self.admission.observe(requests, elapsed);
    }

    /// How many requests wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Forgets all that waits and names it, oldest first.
    pub fn drain(&mut self) -> Vec<RequestId> {
        self.waiting.drain(..).map(|waiting| waiting.id).collect()
    }

    fn take_expired(&mut self, now: Instant) -> Vec<RequestId> {
        let mut expired = Vec::new();
        self.waiting.retain(|waiting| {
            let late = waiting.deadline <= now;
            if late {
                expired.push(waiting.id);
            }
            !late
        });
        expired
    }

    fn take_batch(&mut self, size_max: usize) -> Vec<RequestId> {
        let Some(oldest) = self.waiting.front() else {
            return Vec::new();
        };
        let (mut shortest, mut longest) = (oldest.length, oldest.length);
        let tolerance = self.length_tolerance;
        let mut batch = Vec::with_capacity(size_max);
        self.waiting.retain(|waiting| {
            let range = (shortest.min(waiting.length), longest.max(waiting.length));
            let joins = batch.len() < size_max && tolerance.allows(range.0, range.1);
            if joins {
                (shortest, longest) = range;
                batch.push(waiting.id);
            }
            !joins
        });
        batch
    }
}
