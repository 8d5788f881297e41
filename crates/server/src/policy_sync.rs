//! Keeps the policy in force in step with its file and with the ledger, which other instances
//! write to as well. Whatever changed last holds.

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use ledger::{Ledger, LedgerError, NewPolicy};
use policy::{Policy, PolicyError};
use prometheus::{IntCounter, Registry};
use screening::PolicyDesk;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::http_metrics::HttpMetrics;

/// How often the ledger is asked for a policy that another instance has put.
const POLL: Duration = Duration::from_secs(1);
/// The longest policy document, in bytes.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// Who is named as the author of the policy that the product ships with.
const BUILT_IN: &str = "built-in";

/// Why a policy did not come into force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SyncError {
    /// The document is not a policy.
    #[error("{0}")]
    Policy(#[from] PolicyError),
    /// Its version names another document already.
    #[error("version {0:?} is taken by another document; give the change a version of its own")]
    VersionTaken(String),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The file cannot be read.
    #[error("{path}: {detail}")]
    File { path: String, detail: String },
}

/// The policy's way from a document into force.
pub(crate) struct PolicySync {
    pub(crate) desk: Arc<PolicyDesk>,
    pub(crate) ledger: Ledger,
    pub(crate) metrics: Arc<HttpMetrics>,
    /// The policy file, where the settings name one.
    pub(crate) file: Option<PathBuf>,
    /// How often the file is looked at.
    pub(crate) every: Duration,
    pub(crate) reloads_failed: IntCounter,
}

impl PolicySync {
    pub(crate) fn failures(registry: &Registry) -> Result<IntCounter, prometheus::Error> {
        let counter = IntCounter::new(
            "weir_policy_reload_failures_total",
            "Policy documents that were found and could not be brought into force.",
        )?;
        registry.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    /// Settles which policy holds at the start: the file or the built-in document where it has
    /// changed since it was last recorded, else what was recorded last.
    pub(crate) async fn start(&self) -> Result<(), SyncError> {
        let (author, document) = match &self.file {
            Some(path) => (author_of(path), read(path).await?),
            None => (BUILT_IN.to_owned(), Policy::DEFAULT.to_owned()),
        };
        self.take_up(&author, &document).await?;
        self.follow().await
    }

    /// Looks at file and ledger until stopped. Whatever is wrong there, the policy in force stays.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut poll = interval(POLL);
        let mut reload = interval(self.every);
        for ticker in [&mut poll, &mut reload] {
            ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut last_complaint = String::new();
        loop {
            let result = tokio::select! {
                () = stop.cancelled() => return,
                _ = poll.tick() => self.follow().await,
                _ = reload.tick(), if self.file.is_some() => self.reload().await,
            };
            match result {
                Ok(()) => last_complaint.clear(),
                Err(error) => {
                    let complaint = error.to_string();
                    // Once, not every second.
                    if complaint != last_complaint {
                        tracing::error!(error = complaint, "the policy in force stays");
                        self.reloads_failed.inc();
                    }
                    last_complaint = complaint;
                }
            }
        }
    }

    /// Records a document and brings it into force.
    pub(crate) async fn put(&self, author: &str, document: &str) -> Result<Arc<Policy>, SyncError> {
        let policy = Arc::new(Policy::parse(document)?);
        if self.desk.current().reference() != policy.reference() {
            self.append(author, &policy).await?;
        }
        self.bring(Arc::clone(&policy), author);
        Ok(policy)
    }

    async fn append(&self, author: &str, policy: &Policy) -> Result<(), SyncError> {
        let reference = policy.reference();
        let taken = self.ledger.policy_by_version(&reference.version).await?;
        if taken.is_some_and(|taken| taken.reference.sha256 != reference.sha256) {
            return Err(SyncError::VersionTaken(reference.version.clone()));
        }
        let new = NewPolicy {
            reference: reference.clone(),
            document: policy.document().to_owned(),
            author: author.to_owned(),
            recorded_at: Timestamp::now(),
        };
        self.ledger.append_policy(new).await?;
        Ok(())
    }

    async fn reload(&self) -> Result<(), SyncError> {
        let Some(path) = &self.file else { return Ok(()) };
        let document = read(path).await?;
        self.take_up(&author_of(path), &document).await
    }

    /// Records a document unless it is what its author recorded last.
    async fn take_up(&self, author: &str, document: &str) -> Result<(), SyncError> {
        let policy = Policy::parse(document)?;
        let last = self.ledger.latest_policy_by(author).await?;
        if last.is_some_and(|last| last.reference.sha256 == policy.reference().sha256) {
            return Ok(());
        }
        self.append(author, &policy).await?;
        self.bring(Arc::new(policy), author);
        Ok(())
    }

    /// Brings into force what was recorded last, by whomever.
    async fn follow(&self) -> Result<(), SyncError> {
        let Some(latest) = self.ledger.latest_policy().await? else { return Ok(()) };
        if latest.reference != *self.desk.current().reference() {
            let policy = Policy::parse(&latest.document)?;
            self.bring(Arc::new(policy), &latest.author);
        }
        Ok(())
    }

    fn bring(&self, policy: Arc<Policy>, author: &str) {
        let reference = policy.reference().clone();
        if *self.desk.current().reference() == reference {
            return;
        }
        self.desk.replace(policy);
        self.metrics.policy(&reference);
        tracing::info!(
            version = reference.version,
            sha256 = reference.sha256,
            author,
            "a policy came into force"
        );
    }
}

fn author_of(path: &std::path::Path) -> String {
    format!("file:{}", path.display())
}

async fn read(path: &std::path::Path) -> Result<String, SyncError> {
    let failed = |detail: String| SyncError::File { path: path.display().to_string(), detail };
    let bytes = tokio::fs::read(path).await.map_err(|error| failed(error.to_string()))?;
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(failed(format!("is longer than {DOCUMENT_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| failed("is not UTF-8".into()))
}
