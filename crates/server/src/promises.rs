//! Keeps what was promised: takes owed analyses from the ledger, this process's or those of one
//! that died, and completes them. They share tier 2 with fresh cases and take a bounded part of it.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use domain::DecisionId;
use futures::FutureExt;
use ledger::{Ledger, PendingWork};
use prometheus::{Gauge, IntGauge, Registry};
use screening::{Fulfilled, Screener};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

/// How often the ledger is asked for work that nobody here knows of.
const POLL: Duration = Duration::from_millis(500);
/// How often idempotency keys whose life is over are forgotten.
const HOUR: Duration = Duration::from_secs(3600);
/// Before a case that tier 2 had no room for is tried again; times the attempts made.
const PAUSE: Duration = Duration::from_millis(500);
/// A pause is never longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// After the ledger could not be used.
const LEDGER_PAUSE: Duration = Duration::from_secs(1);

/// What is owed, as Prometheus sees it.
#[derive(Debug, Clone)]
pub(crate) struct PromiseMetrics {
    /// `weir_analyses_owed`: promised and not there yet, by all instances on this ledger.
    owed: IntGauge,
    /// `weir_analyses_owed_oldest_seconds`: how long the oldest of them has been owed.
    oldest: Gauge,
}

impl PromiseMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let owed = IntGauge::new("weir_analyses_owed", "Analyses promised and not there yet.")?;
        let oldest = Gauge::new(
            "weir_analyses_owed_oldest_seconds",
            "How long the oldest promised analysis has been owed.",
        )?;
        registry.register(Box::new(owed.clone()))?;
        registry.register(Box::new(oldest.clone()))?;
        Ok(Self { owed, oldest })
    }
}

/// Works off what is owed.
pub(crate) struct Keeper {
    pub(crate) screener: Arc<Screener>,
    pub(crate) ledger: Ledger,
    /// Most analyses under way at once.
    pub(crate) concurrency: usize,
    /// How long a lease lasts; it is renewed three times as often.
    pub(crate) lease: Duration,
    pub(crate) metrics: PromiseMetrics,
}

impl Keeper {
    /// Runs until stopped; then lets go of what is not finished, for whoever comes next.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut running = JoinSet::new();
        let mut poll = ticker(POLL);
        let mut renewal = ticker(self.lease / 3);
        let mut hourly = ticker(HOUR);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = renewal.tick() => self.renew().await,
                Some(_) = running.join_next(), if !running.is_empty() => {}
                () = self.screener.promised() => {}
                _ = poll.tick() => self.look().await,
                _ = hourly.tick() => self.forget_keys().await,
            }
            let room = self.concurrency.saturating_sub(running.len());
            for work in self.claim(room).await {
                running.spawn(fulfil(Arc::clone(&self.screener), self.ledger.clone(), work));
            }
        }
        running.shutdown().await;
        // Leases would run out anyway; given back, the work is taken up at once.
        if let Err(error) = self.ledger.give_back_all().await {
            tracing::warn!(%error, "owed analyses could not be given back");
        }
    }

    async fn claim(&self, room: usize) -> Vec<PendingWork> {
        if room == 0 {
            return Vec::new();
        }
        match self.ledger.claim(room).await {
            Ok(work) => work,
            Err(error) => {
                tracing::warn!(%error, "the ledger gives no owed analyses");
                sleep(LEDGER_PAUSE).await;
                Vec::new()
            }
        }
    }

    async fn renew(&self) {
        if let Err(error) = self.ledger.renew().await {
            tracing::warn!(%error, "leases could not be renewed");
        }
    }

    async fn forget_keys(&self) {
        if let Err(error) = self.ledger.prune_keys().await {
            tracing::warn!(%error, "old idempotency keys could not be forgotten");
        }
    }

    async fn look(&self) {
        let Ok(pending) = self.ledger.pending().await else { return };
        self.screener.set_owed(usize::try_from(pending.count).unwrap_or(usize::MAX));
        self.metrics.owed.set(i64::try_from(pending.count).unwrap_or(i64::MAX));
        let oldest = pending.oldest.map_or(0.0, |oldest| {
            jiff::Timestamp::now().duration_since(oldest).as_secs_f64().max(0.0)
        });
        self.metrics.oldest.set(oldest);
        self.screener.tell_budget();
    }
}

fn ticker(every: Duration) -> tokio::time::Interval {
    let mut ticker = interval(every.max(Duration::from_millis(1)));
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

async fn fulfil(screener: Arc<Screener>, ledger: Ledger, work: PendingWork) {
    let id: DecisionId = work.decision.decision_id;
    let attempts = work.attempts;
    let started = Instant::now();
    // A panic must not keep the work from others.
    match AssertUnwindSafe(screener.fulfil(work)).catch_unwind().await {
        Ok(Ok(Fulfilled::Done | Fulfilled::Already)) => {
            let took_ms = started.elapsed().as_millis();
            tracing::debug!(decision = %id, took_ms, "an owed analysis is there");
            return;
        }
        Ok(Ok(Fulfilled::Again)) => {}
        Ok(Err(error)) => tracing::error!(%error, decision = %id, "an owed analysis failed"),
        Err(_) => tracing::error!(decision = %id, "an owed analysis panicked; it is tried again"),
    }
    sleep(PAUSE.saturating_mul(attempts.max(1)).min(PAUSE_MAX)).await;
    if let Err(error) = ledger.give_back(&[id]).await {
        tracing::warn!(%error, decision = %id, "an owed analysis could not be given back");
    }
}
