//! What the dynamic scheduler promises, whatever arrives, leaves or is late.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use batching::{DynamicConfig, DynamicScheduler, LengthTolerance, Rejected, RequestId};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Event {
    Admit { length: usize, patience_ms: u64 },
    Cancel { nth: usize },
    Pass { ms: u64 },
    Dispatch { other_idle_workers: usize },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => (prop_oneof![0..8_usize, 20..140_usize], 0..60_u64)
            .prop_map(|(length, patience_ms)| Event::Admit { length, patience_ms }),
        1 => (0..200_usize).prop_map(|nth| Event::Cancel { nth }),
        2 => (0..20_u64).prop_map(|ms| Event::Pass { ms }),
        2 => (0..4_usize).prop_map(|other_idle_workers| Event::Dispatch { other_idle_workers }),
    ]
}

fn config() -> impl Strategy<Value = DynamicConfig> {
    (1..10_usize, 1..24_usize, 0..40_usize, 0..10_usize).prop_map(
        |(batch, depth, percent, tokens)| DynamicConfig {
            max_batch_size: NonZeroUsize::new(batch).unwrap(),
            max_queue_depth: NonZeroUsize::new(depth).unwrap(),
            length_tolerance: LengthTolerance { percent, tokens },
            ..DynamicConfig::default()
        },
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Rejected,
    Dispatched,
    Expired,
    Cancelled,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    length: usize,
    deadline: Instant,
    fate: Fate,
}

/// The scheduler beside all that should be true of it. Ids are given in order of arrival.
struct Observed {
    config: DynamicConfig,
    scheduler: DynamicScheduler,
    now: Instant,
    requests: Vec<Known>,
}

impl Observed {
    fn new(config: DynamicConfig) -> Self {
        let scheduler = DynamicScheduler::new(&config, NonZeroUsize::MIN);
        Self { config, scheduler, now: Instant::now(), requests: Vec::new() }
    }

    fn waiting(&self) -> Vec<usize> {
        let waits = |index: &usize| self.requests[*index].fate == Fate::Waiting;
        (0..self.requests.len()).filter(waits).collect()
    }

    fn settle(&mut self, id: RequestId, fate: Fate) {
        let known = &mut self.requests[usize::try_from(id.0).unwrap()];
        assert_eq!(known.fate, Fate::Waiting, "{id:?} left twice: {known:?}, then {fate:?}");
        known.fate = fate;
    }

    fn apply(&mut self, event: &Event) {
        match *event {
            Event::Admit { length, patience_ms } => self.admit(length, patience_ms),
            Event::Cancel { nth } => self.cancel(nth),
            Event::Pass { ms } => self.now += Duration::from_millis(ms),
            Event::Dispatch { other_idle_workers } => self.dispatch(other_idle_workers),
        }
        assert_eq!(self.scheduler.waiting(), self.waiting().len());
        assert!(self.scheduler.waiting() <= self.config.max_queue_depth.get());
    }

    fn admit(&mut self, length: usize, patience_ms: u64) {
        let id = RequestId(self.requests.len() as u64);
        let deadline = self.now + Duration::from_millis(patience_ms);
        let full = self.waiting().len() == self.config.max_queue_depth.get();
        let fate = match self.scheduler.admit(self.now, id, length, deadline) {
            Ok(()) => {
                assert!(!full && patience_ms > 0);
                Fate::Waiting
            }
            Err(Rejected::AlreadyLate) => {
                assert_eq!(patience_ms, 0);
                Fate::Rejected
            }
            Err(Rejected::QueueFull { retry_after }) => {
                assert!(full);
                assert!(retry_after >= self.config.retry_after_min);
                Fate::Rejected
            }
        };
        self.requests.push(Known { length, deadline, fate });
    }

    fn cancel(&mut self, nth: usize) {
        let id = RequestId(nth as u64);
        let waits = self.requests.get(nth).is_some_and(|known| known.fate == Fate::Waiting);
        assert_eq!(self.scheduler.cancel(id), waits);
        if waits {
            self.settle(id, Fate::Cancelled);
        }
    }

    fn dispatch(&mut self, other_idle_workers: usize) {
        let dispatch = self.scheduler.next_batch(self.now, other_idle_workers);
        for id in &dispatch.expired {
            self.settle(*id, Fate::Expired);
            assert!(self.requests[id.0 as usize].deadline <= self.now, "expired too early");
        }
        let runnable = self.waiting();
        for id in &dispatch.batch {
            self.settle(*id, Fate::Dispatched);
            assert!(self.requests[id.0 as usize].deadline > self.now, "ran though late");
        }
        let batch: Vec<_> = dispatch.batch.iter().map(|id| id.0 as usize).collect();
        assert_eq!(batch.first(), runnable.first(), "the oldest must be in every batch");
        assert!(batch.is_sorted(), "oldest first");
        let size_max = runnable.len().div_ceil(other_idle_workers + 1);
        let size_max = size_max.min(self.config.max_batch_size.get());
        assert!(batch.len() <= size_max);
        self.check_lengths(&batch, size_max);
    }

    /// All in the batch are near-equal, and nobody was left behind without a reason.
    fn check_lengths(&self, batch: &[usize], size_max: usize) {
        let lengths = batch.iter().map(|index| self.requests[*index].length);
        let (Some(shortest), Some(longest)) = (lengths.clone().min(), lengths.max()) else {
            return;
        };
        let tolerance = self.config.length_tolerance;
        assert!(tolerance.allows(shortest, longest));
        if batch.len() < size_max {
            for left in self.waiting() {
                let length = self.requests[left].length;
                assert!(!tolerance.allows(shortest.min(length), longest.max(length)));
            }
        }
    }

    /// Among equal lengths nobody runs before somebody older that still waits or runs later.
    fn check_order(&self, dispatched: &[RequestId]) {
        let mut newest_by_length = HashMap::new();
        for id in dispatched {
            let length = self.requests[id.0 as usize].length;
            let older = newest_by_length.insert(length, *id);
            assert!(older < Some(*id), "{id:?} of length {length} was overtaken by {older:?}");
        }
    }
}

proptest! {
    #[test]
    fn every_request_leaves_exactly_once_and_every_batch_keeps_the_rules(
        config in config(),
        events in proptest::collection::vec(event(), 0..120),
    ) {
        let mut observed = Observed::new(config);
        for event in &events {
            observed.apply(event);
        }
        while !observed.waiting().is_empty() {
            let before = observed.waiting().len();
            observed.dispatch(0);
            prop_assert!(observed.waiting().len() < before, "a dispatch must make progress");
        }
    }

    #[test]
    fn equal_lengths_are_served_first_come_first_served(
        config in config(),
        lengths in proptest::collection::vec(0..12_usize, 1..24),
    ) {
        let mut observed = Observed::new(config);
        for length in lengths {
            observed.admit(length, 1000);
        }
        let mut dispatched = Vec::new();
        while observed.scheduler.waiting() > 0 {
            dispatched.extend(observed.scheduler.next_batch(observed.now, 0).batch);
        }
        observed.check_order(&dispatched);
    }

    #[test]
    fn drain_names_each_waiting_request_once_oldest_first(
        config in config(),
        events in proptest::collection::vec(event(), 0..60),
    ) {
        let mut observed = Observed::new(config);
        for event in &events {
            observed.apply(event);
        }
        let drained: Vec<_> = observed.scheduler.drain().iter().map(|id| id.0 as usize).collect();
        prop_assert_eq!(drained, observed.waiting());
        prop_assert_eq!(observed.scheduler.waiting(), 0);
    }

    #[test]
    fn the_tolerance_is_about_the_range_and_never_overflows(
        percent in any::<usize>(),
        tokens in any::<usize>(),
        length in any::<usize>(),
    ) {
        let tolerance = LengthTolerance { percent, tokens };
        prop_assert!(tolerance.allows(length, length));
    }
}

#[test]
fn the_default_tolerance_joins_near_lengths_only() {
    let tolerance = LengthTolerance::default();
    assert!(tolerance.allows(60, 67));
    assert!(!tolerance.allows(60, 68));
    assert!(tolerance.allows(0, 4));
    assert!(!tolerance.allows(0, 5));
}

#[test]
fn a_batch_leaves_their_share_to_idle_workers() {
    let mut scheduler = DynamicScheduler::new(&DynamicConfig::default(), NonZeroUsize::MIN);
    let now = Instant::now();
    for id in 0..5 {
        scheduler.admit(now, RequestId(id), 50, now + Duration::from_secs(1)).unwrap();
    }
    assert_eq!(scheduler.next_batch(now, 1).batch, [0, 1, 2].map(RequestId));
    assert_eq!(scheduler.next_batch(now, 0).batch, [3, 4].map(RequestId));
}

#[test]
fn retry_after_follows_the_observed_rate_and_the_number_of_workers() {
    let config =
        DynamicConfig { max_queue_depth: NonZeroUsize::new(8).unwrap(), ..Default::default() };
    let mut scheduler = DynamicScheduler::new(&config, NonZeroUsize::new(2).unwrap());
    let now = Instant::now();
    let deadline = now + Duration::from_secs(1);
    for id in 0..8 {
        scheduler.admit(now, RequestId(id), 50, deadline).unwrap();
    }
    scheduler.completed(4, Duration::from_secs(2));
    let rejected = scheduler.admit(now, RequestId(8), 50, deadline);
    assert_eq!(rejected, Err(Rejected::QueueFull { retry_after: Duration::from_secs(2) }));
}
