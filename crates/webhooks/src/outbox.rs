//! What is to be sent, as the dispatcher sees it.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::error::OutboxError;

/// A delivery whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The delivery, and the `webhook-id` of all its attempts.
    pub id: Uuid,
    /// Whom it is for. One that is claimed for another endpoint is not sent.
    pub endpoint: String,
    /// The body, JSON.
    pub body: String,
    /// Failed attempts so far.
    pub attempts: u32,
}

/// A durable list of deliveries. A future that is dropped before its end may or may not have had
/// its effect.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Takes at most `limit` deliveries to `endpoint` whose time has come, those that are due
    /// longest first. Nobody else gets them until they are written back or the hold is over, which
    /// must be longer than an attempt may take ([`Config::timeout`](crate::Config::timeout)).
    ///
    /// # Errors
    /// When the list cannot be read.
    async fn claim(&self, endpoint: &str, limit: usize) -> Result<Vec<Due>, OutboxError>;

    /// It arrived.
    ///
    /// # Errors
    /// When that cannot be written.
    async fn delivered(&self, id: Uuid) -> Result<(), OutboxError>;

    /// An attempt failed, and counts. `next` is when it is due again; with `None` it is dead and
    /// stays in the list for whoever looks for it.
    ///
    /// # Errors
    /// When that cannot be written.
    async fn undelivered(
        &self,
        id: Uuid,
        error: String,
        next: Option<Timestamp>,
    ) -> Result<(), OutboxError>;

    /// How many deliveries are neither delivered nor dead, to whatever endpoint.
    ///
    /// # Errors
    /// When the list cannot be read.
    async fn waiting(&self) -> Result<u64, OutboxError>;
}
