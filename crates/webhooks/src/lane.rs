//! Everything that goes to one endpoint.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use prometheus::IntGauge;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::JoinMap};
use uuid::Uuid;

use crate::{
    config::Config,
    error::OutboxError,
    metrics::Metrics,
    outbox::{Due, Outbox},
    pace::Pace,
    plan::Next,
    sender::{Message, Sender, Sent},
};

/// How often an attempt's result is written again when the outbox refuses it. The waits between
/// double from [`RECORD_WAIT`]: about 25 s together.
const RECORD_ATTEMPTS: u32 = 9;
const RECORD_WAIT: Duration = Duration::from_millis(100);

/// How long the endpoint asks to be left alone.
type Wish = Option<Duration>;

/// One endpoint with its places.
pub(crate) struct Lane {
    pub(crate) sender: Sender,
    pub(crate) places: usize,
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) nudge: Arc<Notify>,
}

impl Lane {
    /// Delivers until `stop`, then lets what is under way end for a while.
    pub(crate) async fn run(self: Arc<Self>, outbox: Arc<dyn Outbox>, stop: CancellationToken) {
        let mut under_way: JoinMap<Uuid, Wish> = JoinMap::new();
        let mut pace = Pace::new(self.config.poll_min, self.config.poll_max, Instant::now());
        loop {
            let free = self.places.saturating_sub(under_way.len());
            if free > 0 && pace.look_at() <= Instant::now() {
                let claim = outbox.claim(self.name(), free);
                let Some(claimed) = stop.run_until_cancelled(claim).await else { break };
                self.start(claimed, free, &outbox, &mut under_way, &mut pace);
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.nudge.notified() => pace.nudged(Instant::now()),
                Some((id, ended)) = under_way.join_next() => match ended {
                    Ok(wish) => pace.rest(wish.unwrap_or_default(), Instant::now()),
                    Err(error) => {
                        tracing::error!(endpoint = self.name(), %id, %error, "a delivery broke off");
                    }
                },
                () = sleep_until(pace.look_at()), if free > 0 => {}
            }
        }
        let all = async { while under_way.join_next().await.is_some() {} };
        if timeout(self.config.drain, all).await.is_err() {
            tracing::info!(
                endpoint = self.name(),
                "stopped with deliveries under way; they are sent again later"
            );
        }
    }

    fn name(&self) -> &str {
        self.sender.endpoint().name()
    }

    fn start(
        self: &Arc<Self>,
        claimed: Result<Vec<Due>, OutboxError>,
        free: usize,
        outbox: &Arc<dyn Outbox>,
        under_way: &mut JoinMap<Uuid, Wish>,
        pace: &mut Pace,
    ) {
        let now = Instant::now();
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(error) => {
                self.metrics.outbox_errors.inc();
                tracing::warn!(endpoint = self.name(), %error, "the webhook outbox cannot be read");
                return pace.found_nothing(now);
            }
        };
        let mut started = 0;
        for due in claimed.into_iter().take(free) {
            // What is meant for one endpoint is nobody else's business, whatever the outbox says.
            if due.endpoint != self.name() {
                self.metrics.outbox_errors.inc();
                tracing::error!(endpoint = self.name(), id = %due.id, "claimed for another endpoint");
                continue;
            }
            // An outbox whose hold was shorter than the attempt gives it out twice.
            if !under_way.contains_key(&due.id) {
                started += 1;
                let lane = Arc::clone(self);
                under_way.spawn(due.id, lane.deliver(due, Arc::clone(outbox)));
            }
        }
        match started {
            0 => pace.found_nothing(now),
            started if started == free => pace.found_enough(now),
            _ => pace.found_some(now),
        }
    }

    /// One attempt and its record.
    async fn deliver(self: Arc<Self>, due: Due, outbox: Arc<dyn Outbox>) -> Wish {
        let Due { id, body, attempts, .. } = due;
        let _place = InFlight::enter(&self.metrics.in_flight);
        let started = Instant::now();
        let sent = self.sender.send(&Message { id, timestamp: Timestamp::now(), body }).await;
        let next = self.config.plan.next(attempts, &sent, Timestamp::now(), rand::random());
        self.metrics.attempted(started.elapsed(), &next);
        let endpoint = self.name();
        match &next {
            Next::Delivered => tracing::debug!(endpoint, %id, "delivered"),
            Next::Again { at, error } => {
                tracing::info!(endpoint, %id, %error, next = %at, "a delivery failed");
            }
            Next::Dead { error } => tracing::warn!(endpoint, %id, %error, "a delivery is dead"),
        }
        self.record(id, &next, &*outbox).await;
        match sent {
            Sent::Failed { retry_after, .. } => retry_after,
            Sent::Delivered | Sent::Gone => None,
        }
    }

    /// Keeps the place meanwhile: while results cannot be written nothing more is sent.
    async fn record(&self, id: Uuid, next: &Next, outbox: &dyn Outbox) {
        let mut wait = RECORD_WAIT;
        for attempt in 1..=RECORD_ATTEMPTS {
            let written = match next {
                Next::Delivered => outbox.delivered(id).await,
                Next::Again { at, error } => outbox.undelivered(id, error.clone(), Some(*at)).await,
                Next::Dead { error } => outbox.undelivered(id, error.clone(), None).await,
            };
            let Err(error) = written else { return };
            self.metrics.outbox_errors.inc();
            let endpoint = self.name();
            tracing::warn!(endpoint, %id, %error, attempt, "a delivery's result cannot be written");
            if attempt < RECORD_ATTEMPTS {
                sleep(wait).await;
                wait *= 2;
            }
        }
    }
}

/// Counts an attempt for as long as it lasts, however it ends.
struct InFlight(IntGauge);

impl InFlight {
    fn enter(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
