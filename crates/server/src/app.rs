//! The service: built, then run until stopped. Tests do the same on port 0.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use domain::PackageRef;
use jiff::Timestamp;
use ledger::Ledger;
use prometheus::Registry;
use screening::Screener;
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use webhooks::Dispatcher;

use crate::{
    authors::Authors,
    background::{Background, Watch},
    connections::Connections,
    drift::DriftMonitor,
    http_metrics::HttpMetrics,
    policy_sync::PolicySync,
    promises::{Keeper, PromiseMetrics},
    quality::{Follower, QualityDesk, QualityMetrics, SharedQuality},
    readiness::{Phase, Readiness},
    router::router,
    settings::{Settings, Shutdown, locate},
    shutdown::StopError,
    state::{AppState, Shared},
    warming,
};

/// What the service is made of.
pub struct AppParts {
    /// Where every part has registered its metrics.
    pub registry: Registry,
    /// The cascade.
    pub screener: Arc<Screener>,
    /// The ledger that the screener records in.
    pub ledger: Ledger,
    /// Tier 1's package.
    pub screening_package: PackageRef,
    /// Tier 2's package, unless it is switched off.
    pub analysis_package: Option<PackageRef>,
    /// The screener's observer.
    pub drift: Arc<DriftMonitor>,
    /// Delivers what the screener's announcer announces.
    pub webhooks: Dispatcher,
}

/// Why the service could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The metrics are registered already.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    /// The policy cannot be brought into force.
    #[error("policy: {0}")]
    Policy(String),
}

/// A service that listens, but does not answer yet.
pub struct App {
    connections: Connections,
    state: AppState,
    background: Background,
    shutdown: Shutdown,
    local_addr: SocketAddr,
}

impl App {
    /// Opens the socket and puts the parts together. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the registry holds these metrics already.
    pub async fn build(settings: &Settings, parts: AppParts) -> Result<Self, BuildError> {
        let metrics = HttpMetrics::register(&parts.registry)?;
        metrics.model("screening", &parts.screening_package);
        if let Some(package) = &parts.analysis_package {
            metrics.model("analysis", package);
        }
        let promises = PromiseMetrics::register(&parts.registry)?;
        let metrics = Arc::new(metrics);
        let policy_sync = policy_sync(settings, &parts, &metrics)?;
        policy_sync.start().await.map_err(|error| BuildError::Policy(error.to_string()))?;
        metrics.policy(parts.screener.policies().current().reference());
        let authors = Authors::parse(&settings.policy.authors).map_err(BuildError::Policy)?;
        let failed = |source| BuildError::Listen { listen: settings.listen.clone(), source };
        let connections =
            Connections::bind(&settings.listen, &settings.http).await.map_err(failed)?;
        let local_addr = connections.local_addr().map_err(failed)?;
        let quality = QualityDesk::new(parts.ledger.clone(), settings.quality.clone());
        let quality_metrics = QualityMetrics::register(&parts.registry)?;
        let keeper = Keeper {
            screener: Arc::clone(&parts.screener),
            ledger: parts.ledger.clone(),
            concurrency: settings.analysis.promised_concurrency,
            lease: settings.lease(),
            metrics: promises,
        };
        let watch = Watch {
            quality: Follower::new(parts.ledger.clone(), settings.quality.clone(), quality_metrics),
            drift: Arc::clone(&parts.drift),
            every: Duration::from_secs(settings.quality.every_s),
        };
        let sync = Arc::clone(&policy_sync);
        let (state, webhooks) =
            shared(settings, parts, metrics, sync, (authors, Arc::new(quality)));
        let background = Background { keeper, policy_sync, webhooks, watch };
        let state = Arc::new(state);
        let shutdown = settings.shutdown.clone();
        Ok(Self { connections, state, background, shutdown, local_addr })
    }

    /// Where the service listens; tells the port when the settings said 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The version of the policy in force.
    #[must_use]
    pub fn policy_version(&self) -> String {
        self.state.screener.policies().current().reference().version.clone()
    }

    /// Rebuilds velocity, answers until `stop` ends, finishes what is in flight, and closes the
    /// ledger.
    ///
    /// # Errors
    /// When velocity could not be rebuilt, or the grace period was too short.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> Result<(), StopError> {
        let Self { connections, state, background, shutdown, .. } = self;
        let stop_accepting = CancellationToken::new();
        let router = router(&state);
        let serving = connections.serve(router, &stop_accepting);
        tokio::pin!(serving);
        let warmed = tokio::select! {
            () = &mut serving => Ok(()),
            result = live(&state, background, stop) => result,
        };
        drain(&state, &shutdown, serving, &stop_accepting).await.and(warmed)
    }
}

fn policy_sync(
    settings: &Settings,
    parts: &AppParts,
    metrics: &Arc<HttpMetrics>,
) -> Result<Arc<PolicySync>, prometheus::Error> {
    Ok(Arc::new(PolicySync {
        desk: Arc::clone(parts.screener.policies()),
        ledger: parts.ledger.clone(),
        metrics: Arc::clone(metrics),
        file: settings.policy.file.as_deref().map(locate),
        every: Duration::from_millis(settings.policy.reload_ms),
        reloads_failed: PolicySync::failures(&parts.registry)?,
    }))
}

fn shared(
    settings: &Settings,
    parts: AppParts,
    metrics: Arc<HttpMetrics>,
    policy_sync: Arc<PolicySync>,
    (authors, quality): (Authors, SharedQuality),
) -> (Shared, Dispatcher) {
    let http = settings.http.clone();
    let shared = Shared {
        screener: parts.screener,
        ledger: parts.ledger,
        screening_package: parts.screening_package,
        analysis_package: parts.analysis_package,
        policy_sync,
        authors,
        registry: parts.registry,
        metrics,
        readiness: Readiness::default(),
        slots: Arc::new(Semaphore::new(http.max_in_flight)),
        // Whoever only waits must not keep payments out.
        waiting: Semaphore::new((http.max_in_flight / 2).max(1)),
        detached: TaskTracker::new(),
        settled: Notify::new(),
        quality,
        drift: parts.drift,
        nudge: parts.webhooks.nudge(),
        on_ledger_failure: settings.on_ledger_failure(),
        http,
    };
    (shared, parts.webhooks)
}

/// Warms up, then waits for the end with all that runs beside the requests; the end may come
/// first.
async fn live(
    state: &Shared,
    background: Background,
    stop: impl Future<Output = ()>,
) -> Result<(), StopError> {
    tokio::pin!(stop);
    let warming = warming::warm(&state.ledger, state.screener.velocity(), Timestamp::now());
    let warmed = tokio::select! {
        biased;
        () = &mut stop => return Ok(()),
        warmed = warming => warmed.map_err(StopError::Warming)?,
    };
    state.readiness.enter(Phase::Ready);
    tracing::info!("ready");
    let running = background.start(state, warmed.until);
    stop.await;
    running.stop().await;
    Ok(())
}

/// Readiness off, delay, finish, flush.
async fn drain(
    state: &Shared,
    shutdown: &Shutdown,
    mut serving: std::pin::Pin<&mut impl Future<Output = ()>>,
    stop_accepting: &CancellationToken,
) -> Result<(), StopError> {
    tracing::info!(delay_ms = shutdown.delay_ms, grace_ms = shutdown.grace_ms, "draining");
    state.readiness.enter(Phase::Draining);
    tokio::select! {
        () = &mut serving => {}
        () = tokio::time::sleep(Duration::from_millis(shutdown.delay_ms)) => {}
    }
    let deadline = Instant::now() + Duration::from_millis(shutdown.grace_ms);
    state.readiness.enter(Phase::Stopping);
    stop_accepting.cancel();
    let finished = tokio::time::timeout_at(deadline, serving).await;
    let requests = state.metrics.in_flight();
    state.detached.close();
    let detached = tokio::time::timeout_at(deadline, state.detached.wait()).await;
    if detached.is_err() {
        tracing::warn!("some requests under idempotency keys were cut off");
    }
    // Reports that were promised with an answer; those that are not ready by then stay owed.
    let written = tokio::time::timeout_at(deadline, state.screener.finish()).await;
    if written.is_err() {
        tracing::warn!("some reports were not finished");
    }
    // Writes that were promised are flushed even when requests had to be cut off.
    let flush = Duration::from_secs(1).max(deadline.saturating_duration_since(Instant::now()));
    let closed = tokio::time::timeout(flush, state.ledger.clone().close()).await;
    if finished.is_ok() && closed.is_ok() {
        tracing::info!("stopped");
        return Ok(());
    }
    Err(StopError::Unfinished { requests, ledger_open: closed.is_err() })
}
