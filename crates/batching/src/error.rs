//! How a request or a start can fail.

use std::io;
use std::time::Duration;

use crate::admission::Rejected;
use crate::model::ModelError;

/// Why a request got no output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The queue is full, or so long that the deadline would pass; nothing was computed.
    #[error("the queue is too long, retry after {retry_after:?}")]
    Overloaded {
        /// About how long until the present backlog is served.
        retry_after: Duration,
    },
    /// The deadline passed first. The request was not computed, or its output was dropped.
    #[error("the deadline passed before the answer")]
    DeadlineExceeded,
    /// The model failed, panicked, or broke its contract.
    #[error("the model failed: {0}")]
    Model(ModelError),
    /// The workers are shutting down or gone.
    #[error("the model is stopped")]
    Stopped,
}

impl From<Rejected> for BatchError {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::QueueFull { retry_after } | Rejected::WouldBeLate { retry_after } => {
                Self::Overloaded { retry_after }
            }
            Rejected::AlreadyLate => Self::DeadlineExceeded,
        }
    }
}

/// Why the workers could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// A pool needs at least one model to serve with.
    #[error("no model was given to serve with")]
    NoModel,
    /// The operating system refused a thread.
    #[error("cannot start a worker thread: {0}")]
    Thread(#[from] io::Error),
}
