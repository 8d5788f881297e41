//! The caller's side of a request: waits for the answer, and takes it back when it leaves.

use std::time::Instant;

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use crate::error::BatchError;
use crate::metrics::TierMetrics;

/// Where a worker answers one request. Nobody may be listening any more.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, BatchError>>;

/// A queue that can forget a request.
pub(crate) trait Cancel {
    fn cancel(&self, id: u64);
}

/// An admitted request that has not been answered.
pub(crate) struct Pending<'a, Q: Cancel, T> {
    pub(crate) id: u64,
    pub(crate) queue: &'a Q,
    pub(crate) metrics: &'a TierMetrics,
    pub(crate) receiver: oneshot::Receiver<Result<T, BatchError>>,
    pub(crate) settled: bool,
}

impl<Q: Cancel, T> Pending<'_, Q, T> {
    /// Waits for the answer, no longer than to the deadline. Needs a Tokio runtime with time.
    ///
    /// Rejections are counted here and nowhere else: a request has one caller, so it is
    /// counted once however it ended.
    pub(crate) async fn wait(mut self, deadline: Instant) -> Result<T, BatchError> {
        let answer = timeout_at(deadline.into(), &mut self.receiver).await;
        self.settled = true;
        let result = match answer {
            Ok(Ok(result)) => result,
            Ok(Err(_worker_gone)) => Err(BatchError::Stopped),
            Err(_elapsed) => {
                self.receiver.close();
                self.queue.cancel(self.id);
                Err(BatchError::DeadlineExceeded)
            }
        };
        result.inspect_err(|error| self.metrics.count_error(error))
    }
}

impl<Q: Cancel, T> Drop for Pending<'_, Q, T> {
    fn drop(&mut self) {
        if !self.settled {
            self.receiver.close();
            self.queue.cancel(self.id);
            self.metrics.count_cancelled();
        }
    }
}
