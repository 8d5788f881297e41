//! What every handler shares.

use std::{sync::Arc, time::Duration};

use domain::PackageRef;
use ledger::{Ledger, LedgerError};
use prometheus::Registry;
use screening::{OnLedgerFailure, Screener};
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;
use webhooks::Nudge;

use crate::{
    authors::Authors, drift::DriftMonitor, http_metrics::HttpMetrics, policy_sync::PolicySync,
    quality::SharedQuality, readiness::Readiness, settings::Http,
};

/// Cheap to clone.
pub(crate) type AppState = Arc<Shared>;

/// What every handler shares.
pub(crate) struct Shared {
    pub(crate) screener: Arc<Screener>,
    pub(crate) ledger: Ledger,
    pub(crate) screening_package: PackageRef,
    pub(crate) analysis_package: Option<PackageRef>,
    pub(crate) policy_sync: Arc<PolicySync>,
    /// Who may put a policy.
    pub(crate) authors: Authors,
    pub(crate) registry: Registry,
    pub(crate) metrics: Arc<HttpMetrics>,
    pub(crate) readiness: Readiness,
    /// One for each `/v1` request that may be answered at once.
    pub(crate) slots: Arc<Semaphore>,
    /// One for each caller that may wait for a decision at once.
    pub(crate) waiting: Semaphore,
    /// Screenings under an idempotency key, which outlive their callers.
    pub(crate) detached: TaskTracker,
    /// Told when one of them has ended.
    pub(crate) settled: Notify,
    pub(crate) quality: SharedQuality,
    pub(crate) drift: Arc<DriftMonitor>,
    /// Wakes the webhooks.
    pub(crate) nudge: Nudge,
    pub(crate) on_ledger_failure: OnLedgerFailure,
    pub(crate) http: Http,
}

impl Shared {
    pub(crate) fn default_deadline(&self) -> Duration {
        Duration::from_millis(self.http.default_deadline_ms)
    }

    /// Whether a request is served although the ledger fails this way.
    pub(crate) fn answers_without_ledger(&self, error: &LedgerError) -> bool {
        self.on_ledger_failure == OnLedgerFailure::Answer
            && matches!(error, LedgerError::Unavailable { .. } | LedgerError::Overloaded { .. })
    }

    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.http.body_timeout_ms)
    }
}
