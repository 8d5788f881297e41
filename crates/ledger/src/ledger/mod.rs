//! The handle that callers hold.

mod append;
mod care;
mod outcomes;
mod read;
mod spool;
mod work;

use std::{sync::Arc, time::Instant};

use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::spool::Spool;
pub use self::{
    care::{Erased, Retained},
    outcomes::{OutcomeRow, Outcomes},
    read::Replay,
};
use crate::{
    Config, LedgerError, LedgerMetrics,
    held::Held,
    read::Reader,
    reservations::Reservations,
    store::{Context, Place, Store},
    writer::{Health, Pace, Request, Waiter, Write, Writer, Written},
};

/// The ledger: clone it freely, all clones are the same.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    requests: mpsc::Sender<Request>,
    place: Arc<Place>,
    reader: Reader,
    reservations: Reservations,
    held: Held,
    context: Context,
    stop: CancellationToken,
    tasks: TaskTracker,
    metrics: LedgerMetrics,
    pace: Pace,
    health: Health,
    spool: Spool,
    /// How many commits a full queue takes at most.
    groups_max: usize,
}

impl Ledger {
    /// Opens the ledger, creating what is missing (a file readable by its owner alone, or
    /// tables), and brings its tables up to date. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`, naming the place.
    pub async fn open(
        config: Config,
        registry: &prometheus::Registry,
    ) -> Result<Self, LedgerError> {
        let metrics = LedgerMetrics::register(registry)
            .map_err(|error| LedgerError::unavailable("register its metrics", error))?;
        let queue_depth = config.queue_depth.max(1);
        let group_max = config.group_max.max(1);
        let store = metrics.counted(Store::open(&config).await)?;
        let (place, context) = (store.place(), store.context().clone());
        let (requests, receiver) = mpsc::channel(queue_depth);
        let stop = CancellationToken::new();
        let (pace, health) = (Pace::default(), Health::new(Instant::now()));
        let reservations = Reservations::default();
        let writer = Writer {
            requests: receiver,
            store,
            stop: stop.clone(),
            metrics: metrics.clone(),
            pace: pace.clone(),
            health: health.clone(),
            reservations: reservations.clone(),
            group_max,
        };
        let tasks = TaskTracker::new();
        tasks.spawn(writer.run());
        tasks.close();
        let (spool, feed) = Spool::new(config.spool_depth);
        let inner = Inner {
            requests,
            reader: Reader::new(place.clone()),
            place,
            reservations,
            held: Held::default(),
            context,
            stop,
            tasks,
            metrics,
            pace,
            health,
            spool,
            groups_max: queue_depth.div_ceil(group_max),
        };
        let inner = Arc::new(inner);
        inner.spool.start(feed, Arc::downgrade(&inner));
        Ok(Self { inner })
    }

    /// Whether the ledger can be written and read right now, found out by doing both.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`, `Overloaded`, `Closed`.
    pub async fn check(&self) -> Result<(), LedgerError> {
        self.write(Write::Probe).await?;
        self.inner.metrics.counted(self.inner.reader.last_seq().await).map(|_| ())
    }

    /// Whether the last commit found the store gone, or the one under way has taken more than a
    /// second: who can do without a commit need not wait for the next.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.inner.health.is_failing(Instant::now())
    }

    /// Refuses new writes, writes what waits, and closes the store; returns when done. Closing
    /// again, through any clone, waits for the same end.
    pub async fn close(self) {
        self.inner.spool.close().await;
        self.inner.stop.cancel();
        self.inner.tasks.wait().await;
    }

    async fn write(&self, write: Write) -> Written {
        self.inner.metrics.counted(self.inner.write(write).await)
    }
}

impl Inner {
    /// Queues a write and waits for its commit.
    async fn write(&self, write: Write) -> Written {
        let (reply, answer) = oneshot::channel();
        let request = Request { write, waiter: Waiter { since: Instant::now(), reply } };
        // Before sending, because the writer may count the request out at once.
        self.metrics.queue_depth.inc();
        match self.requests.try_send(request) {
            Ok(()) => answer.await.unwrap_or(Err(LedgerError::Closed)),
            Err(refused) => {
                self.metrics.queue_depth.dec();
                Err(match refused {
                    TrySendError::Full(_) => LedgerError::Overloaded {
                        retry_after: self.pace.drain_time(self.groups_max),
                    },
                    TrySendError::Closed(_) => LedgerError::Closed,
                })
            }
        }
    }
}
