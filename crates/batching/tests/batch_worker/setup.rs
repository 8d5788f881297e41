//! A pool of one model that runs only when told to.

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use batching::{
    BatchHandle, BatchModel, BatchPool, BatchShape, BatchingMetrics, DynamicConfig, DynamicMetrics,
    Fleet, ModelError, Wide,
};
use prometheus::{Registry, TextEncoder};

/// Long enough that only a broken test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Text {
    pub(crate) name: u32,
    pub(crate) length: usize,
}

pub(crate) fn text(name: u32) -> Text {
    Text { name, length: 50 }
}

pub(crate) fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// Answers ten times the name.
pub(crate) struct Multiplier;

impl BatchModel for Multiplier {
    type Input = Text;
    type Output = u32;

    fn length(input: &Text) -> usize {
        input.length
    }

    fn run(&mut self, inputs: &[&Text]) -> Result<Vec<u32>, ModelError> {
        Ok(inputs.iter().map(|input| input.name * 10).collect())
    }
}

#[derive(Debug)]
pub(crate) enum Order {
    Answer,
    AnswerTooFew,
    Fail,
    Panic,
}

/// Tells which names it was given, then waits for an order.
pub(crate) struct Obedient {
    started: SyncSender<Vec<u32>>,
    orders: Receiver<Order>,
}

impl BatchModel for Obedient {
    type Input = Text;
    type Output = u32;

    fn length(input: &Text) -> usize {
        input.length
    }

    fn run(&mut self, inputs: &[&Text]) -> Result<Vec<u32>, ModelError> {
        let names = inputs.iter().map(|input| input.name).collect();
        self.started.send(names).unwrap();
        match self.orders.recv_timeout(PATIENCE).unwrap() {
            Order::Answer => Multiplier.run(inputs),
            Order::AnswerTooFew => Multiplier.run(&inputs[1..]),
            Order::Fail => Err(ModelError("told to fail".to_owned())),
            Order::Panic => panic!("told to panic"),
        }
    }
}

/// The pool is dropped last: without its channels the model ends at once.
pub(crate) struct Setup {
    pub(crate) handle: BatchHandle<Text, u32>,
    pub(crate) started: Receiver<Vec<u32>>,
    pub(crate) orders: SyncSender<Order>,
    pub(crate) registry: Registry,
    pub(crate) pool: BatchPool,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::with_depth(16)
    }

    pub(crate) fn with_depth(depth: usize) -> Self {
        let max_queue_depth = NonZeroUsize::new(depth).unwrap();
        Self::with_config(&DynamicConfig { max_queue_depth, ..DynamicConfig::default() })
    }

    pub(crate) fn with_config(config: &DynamicConfig) -> Self {
        let (started_sender, started) = sync_channel(64);
        let (orders, orders_receiver) = sync_channel(64);
        let model = Obedient { started: started_sender, orders: orders_receiver };
        let registry = Registry::new();
        let fleet = Fleet::narrow(vec![model]);
        let (handle, pool) = BatchPool::spawn(fleet, config, tier(&registry)).unwrap();
        Self { handle, started, orders, registry, pool }
    }

    /// One narrow and one wide session, which take their orders from one channel each; the
    /// narrow one's are answered here, the wide one's are those of the setup.
    pub(crate) fn with_a_wide_session() -> (Self, Receiver<Vec<u32>>, SyncSender<Order>) {
        let channels = || {
            let (started_sender, started) = sync_channel(64);
            let (orders, orders_receiver) = sync_channel(64);
            (Obedient { started: started_sender, orders: orders_receiver }, started, orders)
        };
        let (model, narrow_started, narrow_orders) = channels();
        let (wide, started, orders) = channels();
        let registry = Registry::new();
        let shape = |texts| BatchShape { texts, tokens: 50 };
        let fleet = Fleet {
            narrow: vec![model],
            narrow_runs: vec![(shape(1), Duration::from_millis(9))],
            wide: Some(Wide {
                model: wide,
                cores: 2,
                runs: vec![(shape(1), Duration::from_millis(5))],
            }),
        };
        let config = DynamicConfig::default();
        let (handle, pool) = BatchPool::spawn(fleet, &config, tier(&registry)).unwrap();
        (Self { handle, started, orders, registry, pool }, narrow_started, narrow_orders)
    }

    pub(crate) fn started(&self) -> Vec<u32> {
        self.started.recv_timeout(PATIENCE).unwrap()
    }

    pub(crate) fn order(&self, order: Order) {
        self.orders.send(order).unwrap();
    }

    /// `[queue_full, deadline, cancelled, stopped]`
    pub(crate) fn rejected(&self) -> [u64; 4] {
        ["queue_full", "deadline", "cancelled", "stopped"].map(|reason| {
            let labels = format!("{{reason=\"{reason}\",tier=\"screening\"}}");
            self.series(&format!("weir_rejected_total{labels}"))
        })
    }

    pub(crate) fn queue_depth(&self) -> u64 {
        self.series("weir_queue_depth{tier=\"screening\"}")
    }

    pub(crate) fn series(&self, name: &str) -> u64 {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap().trim().parse().unwrap()
    }
}

pub(crate) fn tier(registry: &Registry) -> DynamicMetrics {
    BatchingMetrics::register(registry).unwrap().dynamic("screening")
}

/// Admits the request without waiting for its answer.
pub(crate) fn admit<F: Future>(request: Pin<&mut F>) {
    let poll = request.poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll.is_pending(), "answered too early");
}

pub(crate) fn poll_now<F: Future>(request: Pin<&mut F>) -> F::Output {
    match request.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("not answered at once"),
    }
}
