//! An outbox in memory, and a dispatcher that works on it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use webhooks::{Config, Dispatcher, Due, Endpoint, Nudge, Outbox, OutboxError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Due(Timestamp),
    Claimed,
    Delivered,
    Dead,
}

#[derive(Debug, Clone)]
pub(crate) struct Item {
    endpoint: String,
    body: String,
    attempts: u32,
    pub(crate) state: State,
    pub(crate) error: Option<String>,
}

#[derive(Default)]
pub(crate) struct Memory {
    items: Mutex<HashMap<Uuid, Item>>,
    /// Gives out what is for others.
    pub(crate) careless: AtomicBool,
    /// Every call fails while this is set.
    pub(crate) broken: AtomicBool,
    /// Gives out what is claimed already, as an outbox does whose hold is too short.
    pub(crate) forgetful: AtomicBool,
    pub(crate) claims: AtomicUsize,
}

impl Memory {
    pub(crate) fn queue(&self, endpoint: &str, body: &str) -> Uuid {
        let id = Uuid::now_v7();
        let item = Item {
            endpoint: endpoint.into(),
            body: body.into(),
            attempts: 0,
            state: State::Due(Timestamp::now()),
            error: None,
        };
        self.items.lock().insert(id, item);
        id
    }

    pub(crate) fn item(&self, id: Uuid) -> Item {
        self.items.lock()[&id].clone()
    }

    pub(crate) fn is(&self, id: Uuid, state: &State) -> bool {
        self.items.lock()[&id].state == *state
    }

    fn available(&self) -> Result<(), OutboxError> {
        if self.broken.load(Ordering::SeqCst) { Err(OutboxError("gone".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Outbox for Memory {
    async fn claim(&self, endpoint: &str, limit: usize) -> Result<Vec<Due>, OutboxError> {
        self.claims.fetch_add(1, Ordering::SeqCst);
        self.available()?;
        let (now, forgetful) = (Timestamp::now(), self.forgetful.load(Ordering::SeqCst));
        let careless = self.careless.load(Ordering::SeqCst);
        let mut items = self.items.lock();
        let due = items.iter_mut().filter(|(_, item)| {
            (item.endpoint == endpoint || careless)
                && match item.state {
                    State::Due(at) => at <= now,
                    State::Claimed => forgetful,
                    State::Delivered | State::Dead => false,
                }
        });
        let claim = |(id, item): (&Uuid, &mut Item)| {
            item.state = State::Claimed;
            let endpoint = item.endpoint.clone();
            Due { id: *id, endpoint, body: item.body.clone(), attempts: item.attempts }
        };
        Ok(due.take(limit).map(claim).collect())
    }

    async fn delivered(&self, id: Uuid) -> Result<(), OutboxError> {
        self.available()?;
        self.items.lock().get_mut(&id).unwrap().state = State::Delivered;
        Ok(())
    }

    async fn undelivered(
        &self,
        id: Uuid,
        error: String,
        next: Option<Timestamp>,
    ) -> Result<(), OutboxError> {
        self.available()?;
        let mut items = self.items.lock();
        let item = items.get_mut(&id).unwrap();
        item.attempts += 1;
        item.error = Some(error);
        item.state = next.map_or(State::Dead, State::Due);
        Ok(())
    }

    async fn waiting(&self) -> Result<u64, OutboxError> {
        self.available()?;
        let items = self.items.lock();
        let open = |item: &&Item| matches!(item.state, State::Due(_) | State::Claimed);
        Ok(items.values().filter(open).count() as u64)
    }
}

/// A dispatcher at work.
pub(crate) struct Work {
    pub(crate) outbox: Arc<Memory>,
    pub(crate) registry: Registry,
    pub(crate) nudge: Nudge,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Work {
    pub(crate) fn start(endpoints: Vec<Endpoint>, config: Config) -> Self {
        Self::start_on(Arc::default(), endpoints, config)
    }

    pub(crate) fn start_on(outbox: Arc<Memory>, endpoints: Vec<Endpoint>, config: Config) -> Self {
        let registry = Registry::new();
        let dispatcher = Dispatcher::new(endpoints, config, &registry).unwrap();
        let (nudge, stop) = (dispatcher.nudge(), CancellationToken::new());
        let running = dispatcher.run(Arc::clone(&outbox) as Arc<dyn Outbox>, stop.clone());
        #[allow(clippy::disallowed_methods, reason = "`stop` waits for the handle")]
        let task = tokio::spawn(running);
        Self { outbox, registry, nudge, stop, task }
    }

    /// Stops and waits for the end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// The value of a series.
pub(crate) fn metric(registry: &Registry, name: &str, label: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).expect("the family");
    let has = |m: &&prometheus::proto::Metric| {
        label.is_empty() || m.get_label().iter().any(|pair| pair.value() == label)
    };
    let metric = family.get_metric().iter().find(has).expect("the series");
    metric.get_counter().get_value() + metric.get_gauge().get_value()
}
