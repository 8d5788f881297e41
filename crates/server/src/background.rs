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
    quality,
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
    pub(crate) quality: quality::Follower,
    pub(crate) drift: Arc<DriftMonitor>,
    /// How often quality is estimated.
    pub(crate) every: Duration,
}

/// How often drift is shown.
const DRIFT_EVERY: Duration = Duration::from_secs(15);

/// Shows where drift stands until stopped.
async fn watch_drift(drift: Arc<DriftMonitor>, stop: CancellationToken) {
    let mut ticker = interval(DRIFT_EVERY);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticker.tick()).await.is_some() {
        drift.publish(Timestamp::now());
    }
}

/// Estimates quality until stopped, also in the middle of a long read.
async fn watch_quality(mut quality: quality::Follower, every: Duration, stop: CancellationToken) {
    let mut ticker = interval(every);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watching = async {
        loop {
            ticker.tick().await;
            if let Err(error) = quality.publish(Timestamp::now()).await {
                tracing::warn!(%error, "live quality could not be estimated");
            }
        }
    };
    let _: Option<()> = stop.run_until_cancelled(watching).await;
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
        tasks.spawn(watch_drift(watch.drift, stop.clone()));
        tasks.spawn(watch_quality(watch.quality, watch.every, stop.clone()));
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
