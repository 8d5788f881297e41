//! What can go wrong.

use std::{error::Error, sync::Arc, time::Duration};

use domain::DecisionId;

/// Why the ledger could not do what was asked.
///
/// Cheap to clone, because one failed commit fails all who shared it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// The store did not answer or did not do it. After a write this means *not known to be
    /// recorded*: sending the same decision again is safe, and ends in `DuplicateDecision` when
    /// it was recorded after all.
    #[error("the ledger cannot {action}")]
    Unavailable {
        /// What was tried, as a verb with its object.
        action: String,
        /// Why it failed.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Too many requests wait for the writer.
    #[error("the ledger's queue is full; try again in {} ms", retry_after.as_millis())]
    Overloaded {
        /// About how long the queue needs to drain.
        retry_after: Duration,
    },
    /// A decision of this name was recorded before.
    #[error("decision {0} is already recorded")]
    DuplicateDecision(DecisionId),
    /// The stored data cannot be understood.
    #[error("the ledger is corrupt: {what}")]
    Corrupt {
        /// Which part, and what is wrong with it.
        what: String,
        /// What the store reported, if it noticed.
        #[source]
        source: Option<Arc<dyn Error + Send + Sync>>,
    },
    /// The ledger was closed.
    #[error("the ledger is closed")]
    Closed,
}

impl LedgerError {
    /// An `Unavailable` that says what was tried.
    pub(crate) fn unavailable(
        action: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { action: action.into(), source: Arc::from(source.into()) }
    }
}
