//! How long an answer is waited for.

use std::{io, time::Duration};

use tokio::time::timeout;

/// A limit to waiting for a server: it ends statements itself when they take too long, but one
/// that is gone without a word, or cut off by the network, ends nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience(Duration);

impl Patience {
    /// A little longer than the server's own limit, whose error says more.
    pub(crate) fn beyond(limit: Duration) -> Self {
        Self(limit.saturating_add(Duration::from_secs(1)))
    }

    pub(crate) async fn wait_for<T>(
        self,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let late = |late| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, late));
        timeout(self.0, answer).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
    }
}
