//! What the sequence scheduler promises before static and continuous engines.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use batching::{Action, Order, Rejected, SequenceConfig, SequenceId, SequenceScheduler, Terms};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Event {
    Admit { steps: u32, patience_ms: u64, joins: bool },
    Cancel { nth: usize },
    Pass { ms: u64 },
    Turn,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1..12_u32, 0..80_u64, prop::bool::weighted(0.9))
            .prop_map(|(steps, patience_ms, joins)| Event::Admit { steps, patience_ms, joins }),
        1 => (0..100_usize).prop_map(|nth| Event::Cancel { nth }),
        1 => (0..20_u64).prop_map(|ms| Event::Pass { ms }),
        5 => Just(Event::Turn),
    ]
}

/// Slots that sequences hold for as many steps as they were given.
#[derive(Debug)]
struct Engine {
    slots: usize,
    takes_in_midway: bool,
    steps_left: BTreeMap<SequenceId, u32>,
}

impl Engine {
    fn capacity(&self) -> usize {
        let busy = self.steps_left.len();
        if busy > 0 && !self.takes_in_midway { 0 } else { self.slots - busy }
    }

    fn step(&mut self) -> Vec<SequenceId> {
        self.steps_left.values_mut().for_each(|steps| *steps -= 1);
        self.steps_left.extract_if(.., |_, steps| *steps == 0).map(|(id, _)| id).collect()
    }
}

fn engine() -> impl Strategy<Value = Engine> {
    (1..6_usize, any::<bool>()).prop_map(|(slots, takes_in_midway)| Engine {
        slots,
        takes_in_midway,
        steps_left: BTreeMap::new(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Running,
    Rejected,
    Finished,
    Failed,
    Late,
    Cancelled,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    steps: u32,
    joins: bool,
    deadline: Instant,
    cancelled: bool,
    fate: Fate,
}

/// The scheduler and its engine beside all that should be true of them.
struct Observed {
    scheduler: SequenceScheduler,
    engine: Engine,
    depth_max: usize,
    now: Instant,
    sequences: Vec<Known>,
}

impl Observed {
    fn new(engine: Engine, depth_max: usize) -> Self {
        let max_queue_depth = NonZeroUsize::new(depth_max).unwrap();
        let config = SequenceConfig { max_queue_depth, ..SequenceConfig::default() };
        let scheduler = SequenceScheduler::new(&config);
        Self { scheduler, engine, depth_max, now: Instant::now(), sequences: Vec::new() }
    }

    fn with_fate(&self, fate: Fate) -> Vec<usize> {
        let has_fate = |index: &usize| self.sequences[*index].fate == fate;
        (0..self.sequences.len()).filter(has_fate).collect()
    }

    fn change(&mut self, id: SequenceId, from: Fate, to: Fate) -> Known {
        let known = &mut self.sequences[id.0 as usize];
        assert_eq!(known.fate, from, "{id:?} cannot become {to:?}");
        known.fate = to;
        *known
    }

    fn apply(&mut self, event: &Event) {
        match *event {
            Event::Admit { steps, patience_ms, joins } => self.admit(steps, patience_ms, joins),
            Event::Cancel { nth } => self.cancel(nth),
            Event::Pass { ms } => self.now += Duration::from_millis(ms),
            Event::Turn => {
                self.turn();
            }
        }
        assert!(self.scheduler.waiting() <= self.depth_max);
        assert_eq!(self.scheduler.waiting(), self.with_fate(Fate::Waiting).len());
        assert_eq!(self.scheduler.running(), self.with_fate(Fate::Running).len());
        assert_eq!(self.scheduler.running(), self.engine.steps_left.len());
        assert!(self.scheduler.running() <= self.engine.slots);
    }

    fn admit(&mut self, steps: u32, patience_ms: u64, joins: bool) {
        let id = SequenceId(self.sequences.len() as u64);
        let deadline = self.now + Duration::from_millis(patience_ms);
        let full = self.with_fate(Fate::Waiting).len() == self.depth_max;
        let expected = if patience_ms == 0 || full { Fate::Rejected } else { Fate::Waiting };
        let fate = match self.scheduler.admit(self.now, id, deadline) {
            Ok(()) => Fate::Waiting,
            Err(Rejected::AlreadyLate | Rejected::QueueFull { .. }) => Fate::Rejected,
            Err(Rejected::WouldBeLate { .. }) => panic!("an engine predicts nothing"),
        };
        assert_eq!(fate, expected);
        self.sequences.push(Known { steps, joins, deadline, cancelled: false, fate });
    }

    fn cancel(&mut self, nth: usize) {
        let id = SequenceId(nth as u64);
        let forgotten = self.scheduler.cancel(id);
        let Some(known) = self.sequences.get_mut(nth) else {
            return assert!(!forgotten);
        };
        assert_eq!(forgotten, known.fate == Fate::Waiting);
        known.cancelled = true;
        if forgotten {
            self.change(id, Fate::Waiting, Fate::Cancelled);
        }
    }

    /// Obeys one action as a shell would. Answers whether there was anything to do.
    fn turn(&mut self) -> bool {
        let capacity = self.engine.capacity();
        match self.scheduler.next_action(self.now, capacity) {
            Action::Evict { waiting, running } => {
                assert!(!waiting.is_empty() || !running.is_empty(), "an empty eviction");
                self.evict(waiting, running);
            }
            Action::Join(ids) => self.join(ids, capacity),
            Action::Step => self.step(capacity),
            Action::Idle { until } => {
                let waiting = self.with_fate(Fate::Waiting);
                let first = waiting.iter().map(|index| self.sequences[*index].deadline).min();
                assert_eq!(until, first);
                assert_eq!(self.scheduler.running(), 0);
                assert!(waiting.is_empty() || capacity == 0, "idle though one could join");
                return false;
            }
        }
        true
    }

    fn evict(&mut self, waiting: Vec<SequenceId>, running: Vec<SequenceId>) {
        for id in waiting {
            let known = self.change(id, Fate::Waiting, Fate::Late);
            assert!(known.deadline <= self.now);
        }
        for id in running {
            let known = self.change(id, Fate::Running, Fate::Late);
            assert!(known.deadline <= self.now || known.cancelled);
            assert!(self.engine.steps_left.remove(&id).is_some());
        }
    }

    fn join(&mut self, ids: Vec<SequenceId>, capacity: usize) {
        assert!(!ids.is_empty() && ids.len() <= capacity);
        let joined: Vec<_> = ids.iter().map(|id| id.0 as usize).collect();
        let mut oldest = self.with_fate(Fate::Waiting);
        oldest.truncate(joined.len());
        assert_eq!(joined, oldest, "first come, first served");
        for id in ids {
            let known = self.change(id, Fate::Waiting, Fate::Running);
            assert!(known.deadline > self.now && !known.cancelled, "started for the departed");
            if known.joins {
                self.engine.steps_left.insert(id, known.steps);
            } else {
                assert!(self.scheduler.failed(id));
                self.change(id, Fate::Running, Fate::Failed);
            }
        }
        self.scheduler.worked(Duration::from_millis(3));
    }

    fn step(&mut self, capacity: usize) {
        assert!(capacity == 0 || self.scheduler.waiting() == 0, "a slot is kept empty");
        for index in self.with_fate(Fate::Running) {
            let known = self.sequences[index];
            assert!(known.deadline > self.now && !known.cancelled, "stepped for the departed");
        }
        for id in self.engine.step() {
            assert!(self.scheduler.finished(id));
            self.change(id, Fate::Running, Fate::Finished);
        }
        self.scheduler.worked(Duration::from_millis(1));
    }
}

proptest! {
    #[test]
    fn every_sequence_ends_exactly_once_and_never_runs_for_the_departed(
        engine in engine(),
        depth_max in 1..10_usize,
        events in proptest::collection::vec(event(), 0..150),
    ) {
        let mut observed = Observed::new(engine, depth_max);
        for event in &events {
            observed.apply(event);
        }
        let turns_max = 20 * (observed.sequences.len() + 1);
        let turns = (0..turns_max).take_while(|_| observed.turn()).count();
        prop_assert!(turns < turns_max, "it never comes to rest");
        prop_assert_eq!(observed.with_fate(Fate::Waiting), Vec::<usize>::new());
        prop_assert_eq!(observed.with_fate(Fate::Running), Vec::<usize>::new());
    }

    #[test]
    fn without_deadlines_or_cancellation_each_sequence_finishes(
        engine in engine(),
        steps in proptest::collection::vec(1..12_u32, 1..20),
    ) {
        let mut observed = Observed::new(engine, steps.len());
        for steps in &steps {
            observed.admit(*steps, 1000, true);
        }
        while observed.turn() {}
        prop_assert_eq!(observed.with_fate(Fate::Finished).len(), steps.len());
    }
}

#[test]
fn an_engine_without_a_slot_is_waited_for_until_the_first_deadline() {
    let mut scheduler = SequenceScheduler::new(&SequenceConfig::default());
    let now = Instant::now();
    let (soon, late) = (now + Duration::from_secs(1), now + Duration::from_secs(2));
    scheduler.admit(now, SequenceId(0), late).unwrap();
    scheduler.admit(now, SequenceId(1), soon).unwrap();
    assert_eq!(scheduler.next_action(now, 0), Action::Idle { until: Some(soon) });
    let eviction = Action::Evict { waiting: vec![SequenceId(1)], running: vec![] };
    assert_eq!(scheduler.next_action(soon, 0), eviction);
    assert_eq!(scheduler.next_action(soon, 1), Action::Join(vec![SequenceId(0)]));
}

#[test]
fn retry_after_follows_the_engine_time_for_each_finished_sequence() {
    let max_queue_depth = NonZeroUsize::new(3).unwrap();
    let config = SequenceConfig { max_queue_depth, ..SequenceConfig::default() };
    let mut scheduler = SequenceScheduler::new(&config);
    let now = Instant::now();
    let deadline = now + Duration::from_secs(9);
    for id in 0..2 {
        scheduler.admit(now, SequenceId(id), deadline).unwrap();
    }
    assert_eq!(scheduler.next_action(now, 2), Action::Join([0, 1].map(SequenceId).to_vec()));
    scheduler.worked(Duration::from_secs(3));
    for id in 0..2 {
        assert!(scheduler.finished(SequenceId(id)));
    }
    scheduler.worked(Duration::from_secs(1));
    for id in 2..5 {
        scheduler.admit(now, SequenceId(id), deadline).unwrap();
    }
    let rejected = scheduler.admit(now, SequenceId(5), deadline);
    assert_eq!(rejected, Err(Rejected::QueueFull { retry_after: Duration::from_secs(6) }));
}

#[test]
fn a_failed_sequence_tells_nothing_about_the_rate() {
    let max_queue_depth = NonZeroUsize::new(1).unwrap();
    let config = SequenceConfig { max_queue_depth, ..SequenceConfig::default() };
    let mut scheduler = SequenceScheduler::new(&config);
    let now = Instant::now();
    let deadline = now + Duration::from_secs(99);
    scheduler.admit(now, SequenceId(0), deadline).unwrap();
    let _join = scheduler.next_action(now, 1);
    assert!(scheduler.failed(SequenceId(0)));
    scheduler.worked(Duration::from_secs(50));
    scheduler.admit(now, SequenceId(1), deadline).unwrap();
    let rejected = scheduler.admit(now, SequenceId(2), deadline);
    assert_eq!(rejected, Err(Rejected::QueueFull { retry_after: config.retry_after_min }));
}

fn by_weight() -> SequenceScheduler {
    SequenceScheduler::new(&SequenceConfig { order: Order::Weight, ..SequenceConfig::default() })
}

fn joined(scheduler: &mut SequenceScheduler, now: Instant) -> u64 {
    let action = scheduler.next_action(now, 1);
    let Action::Join(ids) = action else { panic!("nobody joined: {action:?}") };
    ids[0].0
}

#[test]
fn what_is_at_stake_goes_first_and_equal_stakes_by_arrival() {
    let (mut scheduler, now) = (by_weight(), Instant::now());
    let late = now + Duration::from_secs(9);
    for (id, weight) in [(0, 5.0), (1, 90.0), (2, 90.0), (3, 7.0)] {
        let terms = Terms { weight, ..Terms::from(late) };
        scheduler.admit(now, SequenceId(id), terms).unwrap();
    }
    let order: Vec<u64> = (0..4).map(|_| joined(&mut scheduler, now)).collect();
    assert_eq!(order, [1, 2, 3, 0]);
}

proptest! {
    #[test]
    fn the_oldest_is_overtaken_at_most_three_times(
        weights in proptest::collection::vec(0.0..1e6_f64, 1..40),
    ) {
        let (mut scheduler, now) = (by_weight(), Instant::now());
        let late = now + Duration::from_secs(9);
        let mut waiting: Vec<u64> = Vec::new();
        let mut overtaken = 0;
        for (id, weight) in (0..).zip(&weights) {
            for twin in [2 * id, 2 * id + 1] {
                let terms = Terms { weight: *weight, ..Terms::from(late) };
                scheduler.admit(now, SequenceId(twin), terms).unwrap();
                waiting.push(twin);
            }
            let next = joined(&mut scheduler, now);
            overtaken = if next == waiting[0] { 0 } else { overtaken + 1 };
            prop_assert!(overtaken < 4);
            waiting.retain(|id| *id != next);
            scheduler.finished(SequenceId(next));
        }
    }
}

#[test]
fn the_deadline_of_the_first_output_ends_with_it_and_that_of_the_whole_begins() {
    let mut scheduler = SequenceScheduler::new(&SequenceConfig::default());
    let now = Instant::now();
    let (soon, late) = (now + Duration::from_secs(1), now + Duration::from_secs(9));
    for id in [0, 1] {
        let terms = Terms { first_by: soon, whole_by: late, weight: 0.0 };
        scheduler.admit(now, SequenceId(id), terms).unwrap();
    }
    scheduler.next_action(now, 2);
    scheduler.opened(SequenceId(0));
    let running = |id| Action::Evict { waiting: vec![], running: vec![SequenceId(id)] };
    assert_eq!(scheduler.next_action(soon, 0), running(1));
    assert_eq!(scheduler.next_action(soon, 0), Action::Step);
    assert_eq!(scheduler.next_action(late, 0), running(0));
}
