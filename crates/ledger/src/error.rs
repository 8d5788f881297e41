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
    /// The store works, but takes no entry like this one. Sending it again ends the same.
    #[error("the ledger's store refuses to {action}")]
    Refused {
        /// What was tried, as a verb with its object.
        action: String,
        /// Why it was refused.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// A decision of this name was recorded, or completed, before.
    #[error("decision {0} is already recorded")]
    DuplicateDecision(DecisionId),
    /// Another decision settled this decision's idempotency key meanwhile; this one was not
    /// recorded.
    #[error("the idempotency key of decision {0} was settled by another decision")]
    KeyTaken(DecisionId),
    /// The decision's account was erased: nothing more is recorded of it.
    #[error("the account of decision {0} was erased")]
    Erased(DecisionId),
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
