//! What can go wrong, in terms that a caller can act on.

use std::time::Duration;

/// Why a client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// The HTTP client could not be built.
    #[error("the HTTP client: {0}")]
    Http(String),
    /// The registry holds one of the metrics already.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// Why a [`Form`](crate::Form) could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FormError(pub(crate) String);

/// Why there is no answer. No variant carries the prompt, the answer, or the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The client's own places are taken, or the engine said 429 (or 503 with `Retry-After`) and
    /// asks for more time than there is.
    #[error("the engine is overloaded; retry in {} ms", retry_after.as_millis())]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The deadline passed.
    #[error("the deadline passed")]
    Deadline,
    /// The circuit breaker is open: the engine failed too often and is left alone.
    #[error("the engine is unavailable; retry in {} ms", retry_after.as_millis())]
    Unavailable {
        /// When the engine is tried again.
        retry_after: Duration,
    },
    /// The engine refused this request (400, 413, 422): a prompt that is too long, a field that it
    /// does not take. The message is the engine's, cut, and without any part of the prompt.
    #[error("the engine refused the request: {0}")]
    Input(String),
    /// The engine answered something else than JSON of the schema: prose, half of it, too much.
    #[error("the engine's answer is not a report: {0}")]
    Malformed(String),
    /// The engine could not be reached, broke off, or failed.
    #[error("the engine failed: {0}")]
    Failed(String),
}
