//! The service: built, then run until stopped. Tests do the same on port 0.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use domain::PackageRef;
use jiff::Timestamp;
use ledger::Ledger;
use prometheus::Registry;
use screening::Screener;
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    connections::Connections,
    http_metrics::HttpMetrics,
    readiness::{Phase, Readiness},
    router::router,
    settings::{Http, Settings, Shutdown},
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
    /// The text of the policy in force.
    pub policy_document: String,
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
}

/// A service that listens, but does not answer yet.
pub struct App {
    connections: Connections,
    state: AppState,
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
        metrics.policy(parts.screener.policy().reference());
        let failed = |source| BuildError::Listen { listen: settings.listen.clone(), source };
        let connections =
            Connections::bind(&settings.listen, &settings.http).await.map_err(failed)?;
        let local_addr = connections.local_addr().map_err(failed)?;
        let state = Arc::new(shared(parts, metrics, settings.http.clone()));
        Ok(Self { connections, state, shutdown: settings.shutdown.clone(), local_addr })
    }

    /// Where the service listens; tells the port when the settings said 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Rebuilds velocity, answers until `stop` ends, finishes what is in flight, and closes the
    /// ledger.
    ///
    /// # Errors
    /// When velocity could not be rebuilt, or the grace period was too short.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> Result<(), StopError> {
        let Self { connections, state, shutdown, .. } = self;
        let stop_accepting = CancellationToken::new();
        let router = router(&state);
        let serving = connections.serve(router, &stop_accepting);
        tokio::pin!(serving);
        let warmed = tokio::select! {
            () = &mut serving => Ok(()),
            result = live(&state, stop) => result,
        };
        drain(&state, &shutdown, serving, &stop_accepting).await.and(warmed)
    }
}

fn shared(parts: AppParts, metrics: HttpMetrics, http: Http) -> Shared {
    Shared {
        screener: parts.screener,
        ledger: parts.ledger,
        screening_package: parts.screening_package,
        analysis_package: parts.analysis_package,
        policy_document: parts.policy_document,
        registry: parts.registry,
        metrics: Arc::new(metrics),
        readiness: Readiness::default(),
        slots: Arc::new(Semaphore::new(http.max_in_flight)),
        http,
    }
}

/// Warms up, then waits for the end; the end may come first.
async fn live(state: &Shared, stop: impl Future<Output = ()>) -> Result<(), StopError> {
    tokio::pin!(stop);
    let warming = warming::warm(&state.ledger, state.screener.velocity(), Timestamp::now());
    tokio::select! {
        biased;
        () = &mut stop => return Ok(()),
        warmed = warming => warmed.map_err(StopError::Warming)?,
    };
    state.readiness.enter(Phase::Ready);
    tracing::info!("ready");
    stop.await;
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
    // Reports that were promised with an answer; those that are not ready by then never come.
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
