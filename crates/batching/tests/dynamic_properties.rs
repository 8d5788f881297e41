//! What the dynamic scheduler promises, whatever arrives, leaves or is late.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use batching::{
    BatchShape, CostModel, DynamicConfig, DynamicScheduler, Priority, Rejected, RequestId, RunTime,
    SessionKind, Sessions, Waiting,
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Event {
    Arrive {
        length: usize,
        patience_ms: u64,
        bulk: bool,
    },
    Join {
        nth: usize,
        patience_ms: u64,
    },
    Cancel {
        nth: usize,
    },
    Pass {
        ms: u64,
    },
    /// A running batch ends.
    End {
        nth: usize,
        micros: u64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (prop_oneof![0..8_usize, 20..140_usize], 0..200_u64, any::<bool>())
            .prop_map(|(length, patience_ms, bulk)| Event::Arrive { length, patience_ms, bulk }),
        1 => (0..200_usize, 1..200_u64)
            .prop_map(|(nth, patience_ms)| Event::Join { nth, patience_ms }),
        1 => (0..200_usize).prop_map(|nth| Event::Cancel { nth }),
        2 => (0..20_u64).prop_map(|ms| Event::Pass { ms }),
        4 => (0..4_usize, 1..60_000_u64).prop_map(|(nth, micros)| Event::End { nth, micros }),
    ]
}

fn config() -> impl Strategy<Value = (DynamicConfig, Sessions)> {
    (1..10_usize, 1..24_usize, 1..5_usize, 0..5_usize, prop_oneof![Just(0), 1..9_u64]).prop_map(
        |(batch, depth, narrow, wide_cores, delay_ms)| {
            let config = DynamicConfig {
                max_batch_size: NonZeroUsize::new(batch).unwrap(),
                max_queue_depth: NonZeroUsize::new(depth).unwrap(),
                max_queue_delay: Duration::from_millis(delay_ms),
                bulk_turn: NonZeroUsize::new(3).unwrap(),
                ..DynamicConfig::default()
            };
            let wide = usize::from(wide_cores > 1);
            (config, Sessions { narrow, wide, wide_cores: wide_cores * wide })
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
    waiting: Waiting,
    fate: Fate,
}

/// The scheduler beside all that should be true of it. Ids are given in order of arrival.
struct Observed {
    config: DynamicConfig,
    sessions: Sessions,
    idle: Sessions,
    running: Vec<(SessionKind, BatchShape)>,
    scheduler: DynamicScheduler,
    now: Instant,
    requests: Vec<Known>,
    passed_over: usize,
}

impl Observed {
    fn new(config: DynamicConfig, sessions: Sessions) -> Self {
        let costs = [CostModel::new(&[]), CostModel::new(&[])];
        let [narrow, wide] = costs;
        let scheduler = DynamicScheduler::new(&config, sessions, narrow, wide);
        let (now, idle) = (Instant::now(), sessions);
        let (running, requests) = (Vec::new(), Vec::new());
        Self { config, sessions, idle, running, scheduler, now, requests, passed_over: 0 }
    }

    fn waiting(&self) -> Vec<usize> {
        let waits = |index: &usize| self.requests[*index].fate == Fate::Waiting;
        (0..self.requests.len()).filter(waits).collect()
    }

    fn waiting_of(&self, priority: Priority) -> Option<usize> {
        self.waiting().into_iter().find(|index| self.requests[*index].waiting.priority == priority)
    }

    fn settle(&mut self, id: RequestId, fate: Fate) {
        let known = &mut self.requests[usize::try_from(id.0).unwrap()];
        assert_eq!(known.fate, Fate::Waiting, "{id:?} left twice: {known:?}, then {fate:?}");
        known.fate = fate;
    }

    fn apply(&mut self, event: &Event) {
        match *event {
            Event::Arrive { length, patience_ms, bulk } => self.arrive(length, patience_ms, bulk),
            Event::Join { nth, patience_ms } => self.join(nth, patience_ms),
            Event::Cancel { nth } => self.cancel(nth),
            Event::Pass { ms } => self.now += Duration::from_millis(ms),
            Event::End { nth, micros } => self.end(nth, micros),
        }
        self.dispatch_all();
        assert_eq!(self.scheduler.waiting(), self.waiting().len());
        assert!(self.scheduler.waiting() <= self.config.max_queue_depth.get());
    }

    fn arrive(&mut self, length: usize, patience_ms: u64, bulk: bool) {
        let id = RequestId(self.requests.len() as u64);
        let deadline = self.now + Duration::from_millis(patience_ms);
        let full = self.waiting().len() == self.config.max_queue_depth.get();
        let alone = self.waiting().is_empty() && self.idle.narrow + self.idle.wide > 0;
        let priority = if bulk { Priority::Bulk } else { Priority::Interactive };
        let waiting = Waiting::new(length, priority, self.now, deadline);
        let fate = match self.scheduler.check(self.now, deadline, 0, self.idle) {
            Ok(()) => {
                assert!(!full && patience_ms > 0);
                self.scheduler.admit(id, waiting);
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
            Err(Rejected::WouldBeLate { retry_after }) => {
                assert!(!alone, "a request with nothing before it is always let in");
                assert!(retry_after >= self.config.retry_after_min);
                Fate::Rejected
            }
        };
        self.requests.push(Known { waiting, fate });
    }

    fn join(&mut self, nth: usize, patience_ms: u64) {
        let deadline = self.now + Duration::from_millis(patience_ms);
        self.scheduler.join(RequestId(nth as u64), Priority::Interactive, deadline);
        if let Some(known) = self.requests.get_mut(nth)
            && known.fate == Fate::Waiting
        {
            let waiting = &mut known.waiting;
            waiting.priority = Priority::Interactive;
            waiting.deadline_first = waiting.deadline_first.min(deadline);
            waiting.deadline_last = waiting.deadline_last.max(deadline);
        }
    }

    fn cancel(&mut self, nth: usize) {
        let id = RequestId(nth as u64);
        let waits = self.requests.get(nth).is_some_and(|known| known.fate == Fate::Waiting);
        assert_eq!(self.scheduler.cancel(id), waits);
        if waits {
            self.settle(id, Fate::Cancelled);
        }
    }

    fn end(&mut self, nth: usize, micros: u64) {
        if self.running.is_empty() {
            return;
        }
        let (kind, shape) = self.running.remove(nth % self.running.len());
        match kind {
            SessionKind::Narrow => self.idle.narrow += 1,
            SessionKind::Wide => self.idle.wide += 1,
        }
        let time = RunTime::undisturbed(Duration::from_micros(micros));
        self.scheduler.completed(kind, shape, time);
    }

    fn dispatch_all(&mut self) {
        loop {
            let dispatch = self.scheduler.dispatch(self.now, self.idle);
            for id in &dispatch.expired {
                self.settle(*id, Fate::Expired);
                let known = self.requests[id.0 as usize];
                assert!(known.waiting.deadline_last <= self.now, "expired too early");
            }
            let Some((kind, batch)) = dispatch.batch else {
                self.check_rest(dispatch.wait_until);
                return;
            };
            self.check_batch(kind, &batch);
            self.begin(kind, &batch);
        }
    }

    fn begin(&mut self, kind: SessionKind, batch: &[RequestId]) {
        for id in batch {
            self.settle(*id, Fate::Dispatched);
        }
        let lengths = batch.iter().map(|id| self.requests[id.0 as usize].waiting.length);
        let shape = BatchShape { texts: batch.len(), tokens: lengths.max().unwrap_or(0) };
        self.running.push((kind, shape));
        match kind {
            SessionKind::Narrow => self.idle.narrow -= 1,
            SessionKind::Wide => self.idle.wide -= 1,
        }
    }

    fn busy_cores(&self) -> usize {
        let of = |(kind, _): &(SessionKind, BatchShape)| match kind {
            SessionKind::Narrow => 1,
            SessionKind::Wide => self.sessions.wide_cores,
        };
        self.running.iter().map(of).sum()
    }

    /// Work-conserving: what still waits has no core, or waits for company as it was told.
    fn check_rest(&self, wait_until: Option<Instant>) {
        if self.waiting().is_empty() {
            return;
        }
        if let Some(until) = wait_until {
            assert!(until > self.now && !self.config.max_queue_delay.is_zero());
            return;
        }
        let cores = self.sessions.narrow.max(self.sessions.wide_cores);
        let none_idle = self.idle.narrow == 0 || self.busy_cores() >= cores;
        assert!(none_idle, "waits beside an idle core");
    }

    fn check_batch(&mut self, kind: SessionKind, batch: &[RequestId]) {
        let waiting = self.waiting();
        assert!(!batch.is_empty() && batch.is_sorted(), "oldest first");
        for id in batch {
            assert!(self.requests[id.0 as usize].waiting.deadline_last > self.now, "ran too late");
        }
        if kind == SessionKind::Wide {
            assert_eq!(waiting.len(), 1, "only a lone request runs wide");
            assert_eq!(self.busy_cores(), 0, "a core is given away twice");
        }
        assert!(batch.len() <= self.config.max_batch_size.get());
        let first = self.waiting_of(Priority::Interactive);
        let bulk = self.waiting_of(Priority::Bulk);
        let holds = |index: Option<usize>| {
            index.is_some_and(|index| batch.contains(&RequestId(index as u64)))
        };
        assert!(holds(first) || holds(bulk), "the oldest must be in every batch");
        self.passed_over = if bulk.is_none() || holds(bulk) { 0 } else { self.passed_over + 1 };
        assert!(self.passed_over < 3, "bulk starves");
    }
}

proptest! {
    #[test]
    fn every_request_leaves_exactly_once_and_every_batch_keeps_the_rules(
        (config, sessions) in config(),
        events in proptest::collection::vec(event(), 0..160),
    ) {
        let mut observed = Observed::new(config, sessions);
        for event in &events {
            observed.apply(event);
        }
        observed.scheduler.hurry();
        observed.config.max_queue_delay = Duration::ZERO;
        observed.dispatch_all();
        while !observed.waiting().is_empty() {
            let before = observed.waiting().len();
            observed.end(0, 1000);
            observed.dispatch_all();
            prop_assert!(observed.waiting().len() < before, "an idle core must make progress");
        }
    }

    #[test]
    fn drain_names_each_waiting_request_once_oldest_first(
        (config, sessions) in config(),
        events in proptest::collection::vec(event(), 0..60),
    ) {
        let mut observed = Observed::new(config, sessions);
        for event in &events {
            observed.apply(event);
        }
        let drained: Vec<_> = observed.scheduler.drain().iter().map(|id| id.0 as usize).collect();
        prop_assert_eq!(drained, observed.waiting());
        prop_assert_eq!(observed.scheduler.waiting(), 0);
    }

    #[test]
    fn no_batch_is_planned_past_a_deadline_that_its_texts_could_keep_alone(
        requests in proptest::collection::vec((20..140_usize, 5..80_u64), 1..40),
    ) {
        let mut setup = Setup::narrow(1);
        let deadline = |patience: u64| setup.now + Duration::from_millis(patience);
        let deadlines: Vec<_> = requests.iter().map(|(_, patience)| deadline(*patience)).collect();
        for ((length, _), deadline) in requests.iter().zip(&deadlines) {
            setup.arrive(*length, Priority::Interactive, *deadline);
        }
        while let Some((_, batch)) = setup.dispatch(Sessions::narrow(1)) {
            let lengths = batch.iter().map(|id| requests[id.0 as usize].0);
            let shape = BatchShape { texts: batch.len(), tokens: lengths.max().unwrap() };
            let seconds = setup.scheduler.cost(SessionKind::Narrow).seconds(shape);
            let end = setup.now + Duration::from_secs_f64(seconds);
            for id in &batch {
                prop_assert!(batch.len() == 1 || end <= deadlines[id.0 as usize]);
            }
        }
    }
}

/// A scheduler whose sessions take 0.5 ms a call and 0.1 ms a token, wide ones half of it.
struct Setup {
    scheduler: DynamicScheduler,
    now: Instant,
    next: u64,
}

impl Setup {
    fn narrow(count: usize) -> Self {
        Self::with(&DynamicConfig::default(), Sessions::narrow(count))
    }

    fn with(config: &DynamicConfig, sessions: Sessions) -> Self {
        let runs = |factor: f64| {
            let shapes = [(1, 20), (1, 60), (1, 120), (4, 40), (8, 20), (8, 60), (8, 120)];
            let run = |(texts, tokens): (usize, usize)| {
                let seconds = (5e-4 + 1e-4 * (texts * tokens) as f64) * factor;
                (BatchShape { texts, tokens }, Duration::from_secs_f64(seconds))
            };
            shapes.map(run)
        };
        let costs = [1.0, 0.5].map(|factor| CostModel::new(&runs(factor)));
        let [narrow, wide] = costs;
        let scheduler = DynamicScheduler::new(config, sessions, narrow, wide);
        Self { scheduler, now: Instant::now(), next: 0 }
    }

    fn arrive(&mut self, length: usize, priority: Priority, deadline: Instant) {
        self.scheduler
            .admit(RequestId(self.next), Waiting::new(length, priority, self.now, deadline));
        self.next += 1;
    }

    fn patient(&mut self, length: usize) {
        self.arrive(length, Priority::Interactive, self.now + Duration::from_secs(60));
    }

    fn dispatch(&mut self, idle: Sessions) -> Option<(SessionKind, Vec<RequestId>)> {
        self.scheduler.dispatch(self.now, idle).batch
    }

    fn batch(&mut self) -> Vec<u64> {
        let batch = self.dispatch(Sessions::narrow(1)).map_or_else(Vec::new, |(_, batch)| batch);
        batch.into_iter().map(|id| id.0).collect()
    }
}

#[test]
fn neighbours_in_length_share_a_batch_and_strangers_do_not() {
    let mut setup = Setup::narrow(1);
    for length in [60, 120, 61, 20, 60, 119] {
        setup.patient(length);
    }
    assert_eq!(setup.batch(), [0, 2, 4]);
    assert_eq!(setup.batch(), [1, 5]);
    assert_eq!(setup.batch(), [3]);
}

#[test]
fn a_batch_grows_with_what_waits_up_to_its_bound() {
    let mut setup = Setup::narrow(1);
    setup.patient(50);
    assert_eq!(setup.batch().len(), 1);
    setup.scheduler.failed(1);
    for waiting in [3, 8, 20] {
        (0..waiting).for_each(|_| setup.patient(50));
        assert_eq!(setup.batch().len(), waiting.min(8));
        setup.scheduler.drain();
        setup.scheduler.failed(waiting.min(8));
    }
}

#[test]
fn a_text_in_a_hurry_is_not_made_to_wait_for_its_batch() {
    let mut setup = Setup::narrow(1);
    // Alone it takes 5.5 ms, with seven others 40.5.
    setup.arrive(50, Priority::Interactive, setup.now + Duration::from_millis(20));
    (0..7).for_each(|_| setup.patient(50));
    assert_eq!(setup.batch().len(), 3);
}

#[test]
fn a_batch_leaves_their_share_of_the_work_to_sessions_that_are_idle_or_soon_will_be() {
    let mut setup = Setup::narrow(2);
    (0..5).for_each(|_| setup.patient(50));
    // 27.5 ms of work for two sessions; three texts together would take 15.5.
    let (_, first) = setup.dispatch(Sessions::narrow(2)).unwrap();
    assert_eq!(first, [0, 1].map(RequestId));
    let (_, second) = setup.dispatch(Sessions::narrow(1)).unwrap();
    assert_eq!(second, [2, 3].map(RequestId));
    assert_eq!(setup.dispatch(Sessions::narrow(0)), None);
    // The first ends; the other has as long to go as all that waits, and one more comes.
    setup.scheduler.failed(2);
    setup.patient(50);
    let (_, third) = setup.dispatch(Sessions::narrow(1)).unwrap();
    assert_eq!(third, [4, 5].map(RequestId));
    // The other is about to end: what waits is for both.
    setup.patient(50);
    setup.patient(50);
    setup.now += Duration::from_millis(10);
    setup.scheduler.failed(2);
    let (_, fourth) = setup.dispatch(Sessions::narrow(1)).unwrap();
    assert_eq!(fourth, [RequestId(6)]);
}

#[test]
fn bulk_goes_after_interactive_but_fills_its_batches_and_has_its_turn() {
    let config = DynamicConfig { bulk_turn: NonZeroUsize::new(3).unwrap(), ..Default::default() };
    let mut setup = Setup::with(&config, Sessions::narrow(1));
    let far = setup.now + Duration::from_secs(60);
    setup.arrive(100, Priority::Bulk, far);
    setup.arrive(50, Priority::Bulk, far);
    for length in [50, 20, 30, 40] {
        setup.patient(length);
    }
    assert_eq!(setup.batch(), [1, 2], "bulk of the same length comes along");
    assert_eq!(setup.batch(), [3]);
    assert_eq!(setup.batch(), [0], "its turn");
    assert_eq!(setup.batch(), [4]);
    assert_eq!(setup.batch(), [5]);
}

const TWO_AND_A_WIDE_ONE: Sessions = Sessions { narrow: 2, wide: 1, wide_cores: 2 };

#[test]
fn a_lone_request_takes_all_cores_and_no_other_begins_meanwhile() {
    let mut setup = Setup::with(&DynamicConfig::default(), TWO_AND_A_WIDE_ONE);
    setup.patient(50);
    let begun = setup.dispatch(TWO_AND_A_WIDE_ONE);
    assert_eq!(begun, Some((SessionKind::Wide, vec![RequestId(0)])));
    setup.patient(50);
    assert_eq!(setup.dispatch(Sessions { wide: 0, ..TWO_AND_A_WIDE_ONE }), None);
    let begun = setup.dispatch(TWO_AND_A_WIDE_ONE);
    assert_eq!(begun.map(|(kind, _)| kind), Some(SessionKind::Wide));
}

#[test]
fn two_requests_take_a_core_each() {
    let mut setup = Setup::with(&DynamicConfig::default(), TWO_AND_A_WIDE_ONE);
    setup.patient(50);
    setup.patient(50);
    let begun = setup.dispatch(TWO_AND_A_WIDE_ONE);
    assert_eq!(begun, Some((SessionKind::Narrow, vec![RequestId(0)])));
}

#[test]
fn when_others_keep_coming_beside_lone_requests_the_wide_session_rests() {
    let mut setup = Setup::with(&DynamicConfig::default(), TWO_AND_A_WIDE_ONE);
    let shape = BatchShape { texts: 1, tokens: 50 };
    let mut last = None;
    for _ in 0..50 {
        setup.patient(50);
        last = setup.dispatch(TWO_AND_A_WIDE_ONE).map(|(kind, _)| kind);
        for _ in 0..3 {
            setup.patient(50);
        }
        setup.scheduler.drain();
        let time = RunTime::undisturbed(Duration::from_micros(2750));
        setup.scheduler.completed(last.unwrap(), shape, time);
    }
    assert_eq!(last, Some(SessionKind::Narrow));
}

#[test]
fn with_a_delay_a_request_waits_for_company_until_it_has_enough_or_the_time_is_up() {
    let config = DynamicConfig {
        max_queue_delay: Duration::from_millis(5),
        max_batch_size: NonZeroUsize::new(2).unwrap(),
        ..DynamicConfig::default()
    };
    let mut setup = Setup::with(&config, Sessions::narrow(1));
    setup.patient(50);
    let dispatch = setup.scheduler.dispatch(setup.now, Sessions::narrow(1));
    assert_eq!(
        (dispatch.batch, dispatch.wait_until),
        (None, Some(setup.now + config.max_queue_delay))
    );
    setup.patient(50);
    assert_eq!(setup.batch(), [0, 1]);
    setup.patient(50);
    assert!(setup.batch().is_empty());
    setup.now += config.max_queue_delay;
    assert_eq!(setup.batch(), [2]);
}

#[test]
fn a_request_that_its_backlog_would_outlast_is_told_when_to_return() {
    let mut setup = Setup::narrow(2);
    (0..100).for_each(|_| setup.patient(50));
    // A hundred of 5.5 ms on two cores.
    let busy = Sessions::narrow(0);
    let soon = setup.now + Duration::from_millis(200);
    let Err(Rejected::WouldBeLate { retry_after }) =
        setup.scheduler.check(setup.now, soon, 0, busy)
    else {
        panic!("let in");
    };
    let millis = retry_after.as_millis();
    assert!((250..300).contains(&millis), "{millis}");
    let later = setup.now + Duration::from_millis(400);
    assert_eq!(setup.scheduler.check(setup.now, later, 0, busy), Ok(()));
    let many_promised = setup.scheduler.check(setup.now, later, 100, busy);
    assert!(matches!(many_promised, Err(Rejected::WouldBeLate { .. })));
}

#[test]
fn promised_places_count_towards_the_bound() {
    let config =
        DynamicConfig { max_queue_depth: NonZeroUsize::new(8).unwrap(), ..Default::default() };
    let mut setup = Setup::with(&config, Sessions::narrow(1));
    (0..5).for_each(|_| setup.patient(50));
    let far = setup.now + Duration::from_secs(60);
    let busy = Sessions::narrow(0);
    assert_eq!(setup.scheduler.check(setup.now, far, 2, busy), Ok(()));
    let full = setup.scheduler.check(setup.now, far, 3, busy);
    assert!(matches!(full, Err(Rejected::QueueFull { .. })), "{full:?}");
}
