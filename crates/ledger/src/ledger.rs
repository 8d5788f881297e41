//! The handle that callers hold.

use std::{sync::Arc, time::Instant};

use domain::{DecisionId, TransactionId};
use jiff::Timestamp;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, DecisionFilter, Entry, LabelId, LedgerError, LedgerMetrics, NewCompletion, NewDecision,
    NewEvent, NewLabel, Page, StoredDecision, StoredLabel, StoredTransaction,
    sqlite::{Reader, Store},
    writer::{Pace, Request, Waiter, Write, Writer, Written},
};

/// The most events written by one statement; also bounds how long a backfill delays decisions.
const EVENTS_CHUNK: usize = 256;
/// The most events forgotten in one commit.
const PRUNE_CHUNK: i64 = 5_000;
/// The most entries of one page of a replay.
const REPLAY_PAGE: usize = 500;

/// The ledger: clone it freely, all clones are the same.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    requests: mpsc::Sender<Request>,
    reader: Reader,
    stop: CancellationToken,
    tasks: TaskTracker,
    metrics: LedgerMetrics,
    pace: Pace,
    /// How many commits a full queue takes at most.
    groups_max: usize,
}

impl Ledger {
    /// Opens the ledger, creating its folder and its file (readable by its owner alone) when
    /// missing, and brings its tables up to date. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`, naming the path.
    pub async fn open(
        config: Config,
        registry: &prometheus::Registry,
    ) -> Result<Self, LedgerError> {
        let metrics = LedgerMetrics::register(registry)
            .map_err(|error| LedgerError::unavailable("register its metrics", error))?;
        let queue_depth = config.queue_depth.max(1);
        let group_max = config.group_max.max(1);
        let store = metrics.counted(Store::open(&config).await)?;
        let reader = store.reader();
        let (requests, receiver) = mpsc::channel(queue_depth);
        let stop = CancellationToken::new();
        let pace = Pace::default();
        let writer = Writer {
            requests: receiver,
            store,
            stop: stop.clone(),
            metrics: metrics.clone(),
            pace: pace.clone(),
            group_max,
        };
        let tasks = TaskTracker::new();
        tasks.spawn(writer.run());
        tasks.close();
        let groups_max = queue_depth.div_ceil(group_max);
        Ok(Self {
            inner: Arc::new(Inner { requests, reader, stop, tasks, metrics, pace, groups_max }),
        })
    }

    /// Records a decision; returns once it is durable.
    ///
    /// When the returned future is dropped the decision may or may not be recorded, but never
    /// in part.
    ///
    /// # Errors
    /// `DuplicateDecision`, `Overloaded`, `Unavailable`, `Closed`.
    pub async fn append(&self, decision: NewDecision) -> Result<(), LedgerError> {
        self.write(Write::Decision(Box::new(decision))).await.map(|_| ())
    }

    /// Adds to a decision what was written after it had been answered; returns once it is
    /// durable. A decision is completed once.
    ///
    /// # Errors
    /// `DuplicateDecision`, `Overloaded`, `Unavailable`, `Closed`.
    pub async fn append_completion(&self, completion: NewCompletion) -> Result<(), LedgerError> {
        self.write(Write::Completion(Box::new(completion))).await.map(|_| ())
    }

    /// Records a label; returns once it is durable. Labels are not deduplicated: a reversal is
    /// one more label.
    ///
    /// # Errors
    /// `Overloaded`, `Unavailable`, `Closed`.
    pub async fn append_label(&self, label: NewLabel) -> Result<LabelId, LedgerError> {
        self.write(Write::Label(label)).await.map(LabelId)
    }

    /// Records transactions that were only observed; returns how many were new, once they are
    /// durable. An event whose transaction was recorded as an event before is passed over.
    ///
    /// A long list is written in parts. After an error any part may be recorded; sending the
    /// whole list again is safe.
    ///
    /// # Errors
    /// `Overloaded`, `Unavailable`, `Closed`.
    pub async fn append_events(&self, events: Vec<NewEvent>) -> Result<u64, LedgerError> {
        let mut events = events.into_iter();
        let mut recorded = 0;
        loop {
            let chunk: Vec<_> = events.by_ref().take(EVENTS_CHUNK).collect();
            if chunk.is_empty() {
                return Ok(recorded);
            }
            recorded += self.write(Write::Events(chunk)).await?.unsigned_abs();
        }
    }

    /// Forgets events that happened before `before`; returns how many. Decisions and labels
    /// stay.
    ///
    /// # Errors
    /// `Overloaded`, `Unavailable`, `Closed`; some events may be gone then.
    pub async fn prune_events_before(&self, before: Timestamp) -> Result<u64, LedgerError> {
        let mut pruned = 0;
        loop {
            let count = self.write(Write::Prune { before, limit: PRUNE_CHUNK }).await?;
            pruned += count.unsigned_abs();
            if count < PRUNE_CHUNK {
                return Ok(pruned);
            }
        }
    }

    /// The decision of this name.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`, `Closed`; so do all reads below.
    pub async fn decision(&self, id: DecisionId) -> Result<Option<StoredDecision>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.decision(id).await)
    }

    /// The decision of this transaction that was recorded last.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn decision_by_transaction(
        &self,
        id: &TransactionId,
    ) -> Result<Option<StoredDecision>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.decision_by_transaction(id).await)
    }

    /// A page of decisions, oldest first.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn decisions(
        &self,
        filter: DecisionFilter,
    ) -> Result<Page<StoredDecision>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.decisions(&filter).await)
    }

    /// The labels of a transaction, in the order of recording.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn labels(&self, id: &TransactionId) -> Result<Vec<StoredLabel>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.labels(id).await)
    }

    /// The transaction as last decided or, when it never was, as observed.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn transaction(
        &self,
        id: &TransactionId,
    ) -> Result<Option<StoredTransaction>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.transaction(id).await)
    }

    /// Whether the transaction was decided or observed (and not pruned since).
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn has_transaction(&self, id: &TransactionId) -> Result<bool, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.has_transaction(id).await)
    }

    /// Everything needed to rebuild state that looks back to `since`: transactions that
    /// happened at or after it, and labels that arrived or took effect at or after it, in the
    /// order of recording. A label may speak of a transaction older than `since`; see
    /// [`Self::transaction`].
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn replay_since(&self, since: Timestamp) -> Result<Replay, LedgerError> {
        let (after, until) =
            self.inner.metrics.counted(self.inner.reader.replay_bounds(since).await)?;
        Ok(Replay { ledger: self.clone(), since, after, until })
    }

    /// Whether the ledger can be written and read right now, found out by doing both.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`, `Overloaded`, `Closed`.
    pub async fn check(&self) -> Result<(), LedgerError> {
        self.write(Write::Probe).await?;
        self.inner.metrics.counted(self.inner.reader.last_seq().await).map(|_| ())
    }

    /// Refuses new writes, writes what waits, and closes the file; returns when done. Closing
    /// again, through any clone, waits for the same end.
    pub async fn close(self) {
        self.inner.stop.cancel();
        self.inner.tasks.wait().await;
    }

    async fn write(&self, write: Write) -> Written {
        let (reply, answer) = oneshot::channel();
        let request = Request { write, waiter: Waiter { since: Instant::now(), reply } };
        let metrics = &self.inner.metrics;
        // Before sending, because the writer may count the request out at once.
        metrics.queue_depth.inc();
        let result = match self.inner.requests.try_send(request) {
            Ok(()) => answer.await.unwrap_or(Err(LedgerError::Closed)),
            Err(refused) => {
                metrics.queue_depth.dec();
                Err(match refused {
                    TrySendError::Full(_) => LedgerError::Overloaded {
                        retry_after: self.inner.pace.drain_time(self.inner.groups_max),
                    },
                    TrySendError::Closed(_) => LedgerError::Closed,
                })
            }
        };
        metrics.counted(result)
    }
}

/// A walk through what was recorded, up to the moment it was begun.
#[derive(Debug)]
pub struct Replay {
    ledger: Ledger,
    since: Timestamp,
    /// The last entry that was given.
    after: i64,
    /// The last entry to give.
    until: i64,
}

impl Replay {
    /// The next entries; empty at the end.
    ///
    /// # Errors
    /// As for [`Ledger::decision`]; the same page can be asked for again.
    pub async fn next_page(&mut self) -> Result<Vec<Entry>, LedgerError> {
        let Inner { reader, metrics, .. } = &*self.ledger.inner;
        let page = reader.replay_page(self.since, self.after, self.until, REPLAY_PAGE).await;
        let page = metrics.counted(page)?;
        if let Some(last) = page.last() {
            self.after = last.seq();
        }
        Ok(page)
    }
}
