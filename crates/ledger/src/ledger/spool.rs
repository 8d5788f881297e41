//! Decisions that were answered although the store could not take them: they wait in memory and
//! are recorded, in order, once it can.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{self, error::TrySendError},
    },
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Inner, Ledger};
use crate::{
    LedgerError, LedgerMetrics, NewDecision,
    writer::{Write, Written},
};

/// The most decisions handed to the writer at once, so that they share a commit.
const BATCH: usize = 64;
/// Between two attempts at a store that does not answer; doubled with each.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long closing waits for the store.
const LAST_CHANCE: Duration = Duration::from_secs(5);

/// A decision that waits, and its right to the room that it takes.
#[derive(Debug)]
struct Waiting {
    decision: Box<NewDecision>,
    _room: OwnedSemaphorePermit,
}

/// The way into the spool.
#[derive(Debug)]
pub(super) struct Spool {
    waiting: mpsc::Sender<Waiting>,
    /// Unlike the channel's, it is taken until the decision is recorded.
    room: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The other end.
pub(super) struct Feed(mpsc::Receiver<Waiting>);

impl Spool {
    /// With room for `depth` decisions.
    pub(super) fn new(depth: usize) -> (Self, Feed) {
        let depth = depth.clamp(1, Semaphore::MAX_PERMITS);
        let (waiting, feed) = mpsc::channel(depth);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        (Self { waiting, room: Arc::new(Semaphore::new(depth)), stop, tasks }, Feed(feed))
    }

    /// Begins to record what comes in.
    pub(super) fn start(&self, feed: Feed, inner: Weak<Inner>) {
        self.tasks.spawn(record_all(feed.0, inner, self.stop.clone()));
        self.tasks.close();
    }

    /// Records what waits, if the store lets it, and takes no more.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }

    fn put(&self, decision: NewDecision, metrics: &LedgerMetrics) -> Result<(), LedgerError> {
        let full = || LedgerError::Overloaded { retry_after: PAUSE_MAX };
        let room = self.room.clone().try_acquire_owned().map_err(|_| full())?;
        // Before sending, because it may be counted out at once.
        metrics.spool_depth.inc();
        let waiting = Waiting { decision: Box::new(decision), _room: room };
        self.waiting.try_send(waiting).map_err(|refused| {
            metrics.spool_depth.dec();
            match refused {
                TrySendError::Full(_) => full(),
                TrySendError::Closed(_) => LedgerError::Closed,
            }
        })?;
        metrics.spooled.inc();
        Ok(())
    }
}

impl Ledger {
    /// Records a decision as soon as the store can be written, without waiting for it: for
    /// answers that must be given although they are not recorded. They wait in memory, so a crash
    /// loses them; closing the ledger tries for a few seconds to record them.
    ///
    /// # Errors
    /// `Overloaded` when too many wait already, `Closed`.
    pub async fn append_when_possible(&self, decision: NewDecision) -> Result<(), LedgerError> {
        let Inner { spool, metrics, .. } = &*self.inner;
        metrics.counted(spool.put(decision, metrics))
    }
}

async fn record_all(
    mut feed: mpsc::Receiver<Waiting>,
    inner: Weak<Inner>,
    stop: CancellationToken,
) {
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            count = feed.recv_many(&mut batch, BATCH) => if count == 0 { return },
        }
        let Some(ledger) = inner.upgrade() else { return };
        tokio::select! {
            biased;
            () = record(&ledger, &mut batch) => {}
            () = stop.cancelled() => break,
        }
    }
    if let Some(ledger) = inner.upgrade() {
        drain(&ledger, feed, batch).await;
    }
}

/// The last chance of all that waits.
async fn drain(ledger: &Inner, mut feed: mpsc::Receiver<Waiting>, mut batch: Vec<Waiting>) {
    feed.close();
    let deadline = Instant::now() + LAST_CHANCE;
    while !batch.is_empty() || feed.recv_many(&mut batch, BATCH).await > 0 {
        if timeout_at(deadline, record(ledger, &mut batch)).await.is_err() {
            let lost = batch.len() + feed.len();
            ledger.metrics.spool_lost.inc_by(lost as u64);
            tracing::error!(lost, "decisions were answered and never recorded");
            return;
        }
    }
}

/// Tries until the store has taken each, or never will. When this is dropped, what was not taken
/// is still in the batch.
async fn record(ledger: &Inner, batch: &mut Vec<Waiting>) {
    let mut pause = PAUSE;
    loop {
        // Asked in order and at once: the writer keeps the order.
        let write = |waiting: &Waiting| ledger.write(Write::Decision(waiting.decision.clone()));
        let written = join_all(batch.iter().map(write)).await;
        let mut written = written.into_iter();
        batch.retain(|waiting| {
            let again = written.next().is_none_or(|written| try_again(ledger, waiting, written));
            if !again {
                ledger.metrics.spool_depth.dec();
            }
            again
        });
        if batch.is_empty() {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn try_again(ledger: &Inner, waiting: &Waiting, written: Written) -> bool {
    match ledger.metrics.counted(written.map(drop)) {
        // Recorded, perhaps by an attempt whose answer was lost.
        Ok(()) | Err(LedgerError::DuplicateDecision(_)) => false,
        // A file that is called corrupt may be put right.
        Err(
            LedgerError::Unavailable { .. }
            | LedgerError::Overloaded { .. }
            | LedgerError::Corrupt { .. },
        ) => true,
        Err(
            error @ (LedgerError::Refused { .. }
            | LedgerError::KeyTaken(_)
            | LedgerError::Erased(_)
            | LedgerError::Closed),
        ) => {
            let decision = waiting.decision.decision.decision_id;
            ledger.metrics.spool_lost.inc();
            tracing::error!(%error, %decision, "an answered decision cannot be recorded");
            false
        }
    }
}
