//! What every handler shares.

use std::{sync::Arc, time::Duration};

use domain::PackageRef;
use ledger::Ledger;
use prometheus::Registry;
use screening::Screener;
use tokio::sync::Semaphore;

use crate::{http_metrics::HttpMetrics, readiness::Readiness, settings::Http};

/// Cheap to clone.
pub(crate) type AppState = Arc<Shared>;

/// What every handler shares.
pub(crate) struct Shared {
    pub(crate) screener: Arc<Screener>,
    pub(crate) ledger: Ledger,
    pub(crate) screening_package: PackageRef,
    pub(crate) analysis_package: Option<PackageRef>,
    pub(crate) policy_document: String,
    pub(crate) registry: Registry,
    pub(crate) metrics: Arc<HttpMetrics>,
    pub(crate) readiness: Readiness,
    /// One for each `/v1` request that may be answered at once.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) http: Http,
}

impl Shared {
    pub(crate) fn default_deadline(&self) -> Duration {
        Duration::from_millis(self.http.default_deadline_ms)
    }

    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.http.body_timeout_ms)
    }
}
