//! What can go wrong, in terms that a caller can act on.

/// Why webhooks cannot be set up. No message holds a secret.
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

/// Why the outbox could not be read or written. It is tried again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OutboxError(pub String);
