//! The I/O shell: one lane for each endpoint.

use std::{fmt, sync::Arc};

use prometheus::Registry;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    endpoint::{Endpoint, check_together},
    error::ConfigError,
    lane::Lane,
    metrics::Metrics,
    outbox::Outbox,
    sender::Sender,
};

/// Delivers what lies in an [`Outbox`].
pub struct Dispatcher {
    lanes: Vec<Arc<Lane>>,
    config: Arc<Config>,
    metrics: Arc<Metrics>,
}

/// Tells a running dispatcher that something was queued, so that it need not wait for its next
/// look. Cheap to clone; does nothing when the dispatcher has ended.
#[derive(Debug, Clone)]
pub struct Nudge(Arc<[(String, Arc<Notify>)]>);

impl Nudge {
    /// Something was queued for this endpoint. Nothing happens when there is none of this name.
    pub fn nudge(&self, endpoint: &str) {
        if let Some((_, lane)) = self.0.iter().find(|(name, _)| name == endpoint) {
            lane.notify_one();
        }
    }

    /// Something was queued for whatever endpoints.
    pub fn nudge_all(&self) {
        self.0.iter().for_each(|(_, lane)| lane.notify_one());
    }
}

impl Dispatcher {
    /// Registers the metrics and opens nothing. Without endpoints it counts what waits, and sends
    /// nothing.
    ///
    /// # Errors
    /// When a setting makes no sense, the endpoints cannot be served together
    /// ([`check_together`]), an HTTP client cannot be built, or the registry holds one of the metrics already.
    pub fn new(
        endpoints: Vec<Endpoint>,
        config: Config,
        registry: &Registry,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        check_together(&endpoints)?;
        let places = config.share(endpoints.len());
        let (config, metrics) = (Arc::new(config), Arc::new(Metrics::register(registry)?));
        let lane = |endpoint: Endpoint| -> Result<Arc<Lane>, ConfigError> {
            Ok(Arc::new(Lane {
                sender: Sender::new(endpoint, &config)?,
                places,
                config: Arc::clone(&config),
                metrics: Arc::clone(&metrics),
                nudge: Arc::default(),
            }))
        };
        let lanes = endpoints.into_iter().map(lane).collect::<Result<_, _>>()?;
        Ok(Self { lanes, config, metrics })
    }

    /// A handle that wakes it.
    #[must_use]
    pub fn nudge(&self) -> Nudge {
        let handle =
            |lane: &Arc<Lane>| (lane.sender.endpoint().name().to_owned(), Arc::clone(&lane.nudge));
        Nudge(self.lanes.iter().map(handle).collect())
    }

    /// The endpoints, to know for whom an event is queued.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.lanes.iter().map(|lane| lane.sender.endpoint())
    }

    /// Delivers until `stop` is cancelled; then takes nothing more, and ends when what is under way
    /// has ended, within [`Config::drain`].
    ///
    /// # Panics
    /// When a part of it did.
    pub async fn run(self, outbox: Arc<dyn Outbox>, stop: CancellationToken) {
        let mut parts = JoinSet::new();
        for lane in self.lanes {
            parts.spawn(lane.run(Arc::clone(&outbox), stop.clone()));
        }
        let count = count(self.config, self.metrics, outbox);
        parts.spawn(async move {
            stop.run_until_cancelled(count).await;
        });
        parts.join_all().await;
    }
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.endpoints().map(Endpoint::name)).finish()
    }
}

/// Keeps `weir_webhook_due` near the truth.
async fn count(config: Arc<Config>, metrics: Arc<Metrics>, outbox: Arc<dyn Outbox>) {
    let mut tick = interval(config.count_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match outbox.waiting().await {
            Ok(waiting) => metrics.due.set(i64::try_from(waiting).unwrap_or(i64::MAX)),
            Err(error) => {
                metrics.outbox_errors.inc();
                tracing::warn!(%error, "the webhook outbox cannot be counted");
            }
        }
    }
}
