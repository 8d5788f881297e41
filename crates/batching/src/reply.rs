//! The caller's side of a request: waits for the answer, and takes it back when it leaves.

use std::ops::Deref;
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use crate::error::BatchError;
use crate::metrics::TierMetrics;

/// Where a worker answers one request. Nobody may be listening any more.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, BatchError>>;

/// Where a caller waits for the answer.
pub(crate) type Answer<T> = oneshot::Receiver<Result<T, BatchError>>;

/// A queue that can forget a request.
pub(crate) trait Cancel {
    fn cancel(&self, id: u64);

    fn metrics(&self) -> &TierMetrics;
}

/// An admitted request that has not ended. Dropped before that, it is taken back.
///
/// Rejections are counted here and nowhere else: a request has one caller, so it is counted
/// once however it ended.
pub(crate) struct Claim<Q: Deref<Target: Cancel>> {
    id: u64,
    queue: Q,
    ended: bool,
}

impl<Q: Deref<Target: Cancel>> Claim<Q> {
    pub(crate) fn new(id: u64, queue: Q) -> Self {
        Self { id, queue, ended: false }
    }

    /// Waits for one answer, no longer than to the deadline; an error ends the claim. Needs a
    /// Tokio runtime with time.
    pub(crate) async fn wait<T>(
        &mut self,
        answer: &mut Answer<T>,
        deadline: Instant,
    ) -> Result<T, BatchError> {
        let result = match timeout_at(deadline.into(), &mut *answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_worker_gone)) => Err(BatchError::Stopped),
            Err(_elapsed) => {
                answer.close();
                self.queue.cancel(self.id);
                Err(BatchError::DeadlineExceeded)
            }
        };
        result.inspect_err(|error| {
            self.ended = true;
            self.queue.metrics().count_error(error);
        })
    }

    /// The last answer is here.
    pub(crate) fn end(mut self) {
        self.ended = true;
    }
}

impl<Q: Deref<Target: Cancel>> Drop for Claim<Q> {
    fn drop(&mut self) {
        if !self.ended {
            self.queue.cancel(self.id);
            self.queue.metrics().count_cancelled();
        }
    }
}

/// A claim on a single answer.
pub(crate) struct Pending<Q: Deref<Target: Cancel>, T> {
    // Dropped first, so that whoever is told that the caller left finds nobody listening.
    pub(crate) answer: Answer<T>,
    pub(crate) claim: Claim<Q>,
}

impl<Q: Deref<Target: Cancel>, T> Pending<Q, T> {
    /// Waits for the answer, no longer than to the deadline.
    pub(crate) async fn wait(mut self, deadline: Instant) -> Result<T, BatchError> {
        let result = self.claim.wait(&mut self.answer, deadline).await;
        self.claim.end();
        result
    }
}
