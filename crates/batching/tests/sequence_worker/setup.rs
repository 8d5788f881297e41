//! An engine that steps only when told to, and its thread.

use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use batching::{
    BatchError, BatchingMetrics, ModelError, SequenceConfig, SequenceHandle, SequenceId,
    SequenceModel, SequenceWorker, StepOutcome, StepOutcomes,
};
use prometheus::Registry;

/// Long enough that only a broken test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Joining {
    Works,
    IsRefused,
    IsNotMentioned,
    Panics,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Prompt {
    pub(crate) name: u32,
    pub(crate) steps: u32,
    pub(crate) joining: Joining,
    pub(crate) opened: bool,
}

pub(crate) fn prompt(name: u32, steps: u32) -> Prompt {
    Prompt { name, steps, joining: Joining::Works, opened: false }
}

pub(crate) fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    Joined(Vec<u32>),
    /// About to step, waiting for an order.
    Stepping(Vec<u32>),
    Cancelled(u32),
}

#[derive(Debug)]
pub(crate) enum Order {
    Step,
    FailOne,
    FailAll,
    Panic,
}

/// Answers the name with the first step, and ten times the name after as many steps as the
/// prompt asks for.
pub(crate) struct Engine {
    slots: usize,
    takes_in_midway: bool,
    running: BTreeMap<SequenceId, Prompt>,
    /// `None`: steps without asking.
    orders: Option<Receiver<Order>>,
    events: Option<SyncSender<Event>>,
}

impl Engine {
    pub(crate) fn free_running(slots: usize, takes_in_midway: bool) -> Self {
        Self { slots, takes_in_midway, running: BTreeMap::new(), orders: None, events: None }
    }

    fn tell(&self, event: Event) {
        if let Some(events) = &self.events {
            events.send(event).unwrap();
        }
    }

    fn advance(&mut self) -> StepOutcomes<u32, u32> {
        let mut outcomes = Vec::new();
        for (id, prompt) in &mut self.running {
            if !std::mem::replace(&mut prompt.opened, true) {
                outcomes.push((*id, StepOutcome::Opened(prompt.name)));
            }
            prompt.steps -= 1;
            let done = prompt.steps == 0;
            let output = prompt.name * 10;
            outcomes.push((
                *id,
                if done { StepOutcome::Finished(output) } else { StepOutcome::Running },
            ));
        }
        self.running.retain(|_, prompt| prompt.steps > 0);
        outcomes
    }
}

impl SequenceModel for Engine {
    type Prompt = Prompt;
    type First = u32;
    type Output = u32;

    fn capacity(&self) -> usize {
        let busy = self.running.len();
        if busy > 0 && !self.takes_in_midway { 0 } else { self.slots - busy }
    }

    fn join(
        &mut self,
        prompts: Vec<(SequenceId, Prompt)>,
    ) -> Vec<(SequenceId, Result<(), ModelError>)> {
        assert!(prompts.len() <= self.capacity());
        self.tell(Event::Joined(prompts.iter().map(|(_, prompt)| prompt.name).collect()));
        let mut answers = Vec::new();
        for (id, prompt) in prompts {
            match prompt.joining {
                Joining::Works => {
                    self.running.insert(id, prompt);
                    answers.push((id, Ok(())));
                }
                Joining::IsRefused => answers.push((id, Err(ModelError("refused".to_owned())))),
                Joining::IsNotMentioned => {}
                Joining::Panics => panic!("told to panic"),
            }
        }
        answers
    }

    fn step(&mut self) -> Result<StepOutcomes<u32, u32>, ModelError> {
        self.tell(Event::Stepping(self.running.values().map(|prompt| prompt.name).collect()));
        let order = self
            .orders
            .as_ref()
            .map_or(Order::Step, |orders| orders.recv_timeout(PATIENCE).unwrap());
        match order {
            Order::Step => Ok(self.advance()),
            Order::FailOne => {
                let (id, _) = self.running.pop_first().unwrap();
                Ok(vec![(id, StepOutcome::Failed(ModelError("one failed".to_owned())))])
            }
            Order::FailAll => {
                self.running.clear();
                Err(ModelError("all failed".to_owned()))
            }
            Order::Panic => panic!("told to panic"),
        }
    }

    fn cancel(&mut self, id: SequenceId) {
        if let Some(prompt) = self.running.remove(&id) {
            self.tell(Event::Cancelled(prompt.name));
        }
    }
}

/// The worker is dropped last: without its channels the engine ends at once.
pub(crate) struct Setup {
    pub(crate) handle: SequenceHandle<Prompt, u32, u32>,
    pub(crate) events: Receiver<Event>,
    pub(crate) orders: SyncSender<Order>,
    pub(crate) worker: SequenceWorker,
}

impl Setup {
    pub(crate) fn new(slots: usize, takes_in_midway: bool) -> Self {
        let (events_sender, events) = sync_channel(64);
        let (orders, orders_receiver) = sync_channel(64);
        let mut engine = Engine::free_running(slots, takes_in_midway);
        engine.orders = Some(orders_receiver);
        engine.events = Some(events_sender);
        let (handle, worker) = spawn(engine);
        Self { handle, worker, events, orders }
    }

    pub(crate) fn expect(&self, event: Event) {
        assert_eq!(self.events.recv_timeout(PATIENCE).unwrap(), event);
    }

    pub(crate) fn order(&self, order: Order) {
        self.orders.send(order).unwrap();
    }

    /// Runs one prompt of one step from start to end.
    pub(crate) async fn serves(&self, name: u32) {
        self.order(Order::Step);
        assert_eq!(self.handle.generate(prompt(name, 1), far()).await.unwrap().output, name * 10);
        self.expect(Event::Joined(vec![name]));
        self.expect(Event::Stepping(vec![name]));
    }
}

pub(crate) fn spawn(engine: Engine) -> (SequenceHandle<Prompt, u32, u32>, SequenceWorker) {
    let max_queue_depth = NonZeroUsize::new(32).unwrap();
    let config = SequenceConfig { max_queue_depth, ..SequenceConfig::default() };
    let metrics = BatchingMetrics::register(&Registry::new()).unwrap();
    SequenceWorker::spawn(engine, &config, metrics.sequences("analysis")).unwrap()
}

pub(crate) fn failure(message: &str) -> BatchError {
    BatchError::Model(ModelError(message.to_owned()))
}

/// Admits the prompt without waiting for its answer.
pub(crate) fn admit<F: Future>(request: Pin<&mut F>) {
    let poll = request.poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll.is_pending(), "answered too early");
}
