//! All that runs beside the requests, from the moment the service is ready until it drains.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use webhooks::Dispatcher;

use crate::{
    drift::DriftMonitor,
    following::{self, Follower},
    outbox::LedgerOutbox,
    policy_sync::PolicySync,
    promises::Keeper,
    quality::QualityMonitor,
    routes::quality::days_before,
    state::Shared,
};

/// What will run.
pub(crate) struct Background {
    pub(crate) keeper: Keeper,
    pub(crate) policy_sync: Arc<PolicySync>,
    pub(crate) webhooks: Dispatcher,
    pub(crate) watch: Watch,
}

/// What is estimated now and then.
pub(crate) struct Watch {
    pub(crate) quality: Arc<QualityMonitor>,
    pub(crate) drift: Arc<DriftMonitor>,
    /// How often quality is estimated.
    pub(crate) every: Duration,
    /// Over how many days.
    pub(crate) days: u32,
}

/// How often drift is shown.
const DRIFT_EVERY: Duration = Duration::from_secs(15);

impl Watch {
    async fn run(self, stop: CancellationToken) {
        let (mut quality, mut drift) = (interval(self.every), interval(DRIFT_EVERY));
        for ticker in [&mut quality, &mut drift] {
            ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = drift.tick() => self.drift.publish(Timestamp::now()),
                _ = quality.tick() => {
                    let now = Timestamp::now();
                    let since = days_before(now, self.days);
                    if let Err(error) = self.quality.publish(since, now).await {
                        tracing::warn!(%error, "live quality could not be estimated");
                    }
                }
            }
        }
    }
}

/// What runs.
pub(crate) struct Running {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Background {
    /// Starts all of it; velocity follows the ledger from the entry `seen` on.
    pub(crate) fn start(self, state: &Shared, seen: i64) -> Running {
        let Self { keeper, policy_sync, webhooks, watch } = self;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(keeper.run(stop.clone()));
        tasks.spawn(policy_sync.run(stop.clone()));
        tasks.spawn(watch.run(stop.clone()));
        tasks.spawn(webhooks.run(LedgerOutbox::shared(&state.ledger), stop.clone()));
        if state.ledger.is_shared() {
            let follower = Follower {
                ledger: state.ledger.clone(),
                velocity: Arc::clone(state.screener.velocity()),
                seen,
            };
            tasks.spawn(following::run(follower, stop.clone()));
        }
        tasks.close();
        Running { stop, tasks }
    }
}

impl Running {
    /// Stops all of it; returns when it has let go of everything.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}
