//! The one task that writes: takes what waits, commits it together, answers each caller.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    Erased, LedgerError, LedgerMetrics, NewCompletion, NewDecision, NewEvent, NewLabel, NewNote,
    NewPolicy,
    reservations::Reservations,
    sql::Row,
    store::{EraseRequest, Removed, RetainRequest, Store, WorkRequest},
};

/// Something to be written.
pub(crate) enum Write {
    /// Answered by its place in the sequence; so are the next four.
    Decision(Box<NewDecision>),
    Completion(Box<NewCompletion>),
    Label(NewLabel),
    Policy(NewPolicy),
    Note(NewNote),
    /// Answered by how many were new.
    Events(Vec<NewEvent>),
    /// Forgets at most `limit` events older than a time. Answered by how many there were.
    Prune {
        before: Timestamp,
        limit: i64,
    },
    /// Answered by [`Answer::Erased`].
    Erase(Box<EraseRequest>),
    /// Answered by [`Answer::Removed`].
    Retain(RetainRequest),
    /// Answered as the request says.
    Work(WorkRequest),
    /// Writes nothing that anyone will read, but as durably as all else. Answered by 0.
    Probe,
}

impl Write {
    /// How many entries it adds.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Decision(_)
            | Self::Completion(_)
            | Self::Label(_)
            | Self::Policy(_)
            | Self::Note(_) => 1,
            Self::Events(events) => events.len(),
            Self::Prune { .. } | Self::Erase(_) | Self::Retain(_) | Self::Work(_) | Self::Probe => {
                0
            }
        }
    }

    pub(crate) fn decision(&self) -> Option<&NewDecision> {
        if let Self::Decision(new) = self { Some(new) } else { None }
    }

    pub(crate) fn completion(&self) -> Option<&NewCompletion> {
        if let Self::Completion(new) = self { Some(new) } else { None }
    }

    pub(crate) fn label(&self) -> Option<&NewLabel> {
        if let Self::Label(new) = self { Some(new) } else { None }
    }

    pub(crate) fn policy(&self) -> Option<&NewPolicy> {
        if let Self::Policy(new) = self { Some(new) } else { None }
    }

    pub(crate) fn note(&self) -> Option<&NewNote> {
        if let Self::Note(new) = self { Some(new) } else { None }
    }
}

/// What a write is answered with.
pub(crate) enum Answer {
    /// A place or a count, as the write says.
    Number(i64),
    /// What was claimed, in the order of recording.
    Claimed(Vec<Row>),
    /// What an erasure took.
    Erased(Erased),
    /// What retention took.
    Removed(Removed),
}

impl Answer {
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Number(number) => number,
            Self::Claimed(rows) => rows.len() as i64,
            Self::Erased(_) | Self::Removed(_) => 0,
        }
    }

    pub(crate) fn rows(self) -> Vec<Row> {
        match self {
            Self::Claimed(rows) => rows,
            Self::Number(_) | Self::Erased(_) | Self::Removed(_) => Vec::new(),
        }
    }

    pub(crate) fn erased(self) -> Erased {
        if let Self::Erased(erased) = self { erased } else { Erased::default() }
    }

    pub(crate) fn retained(self) -> Removed {
        if let Self::Removed(removed) = self { removed } else { Removed::default() }
    }
}

/// What the writer answers.
pub(crate) type Written = Result<Answer, LedgerError>;

/// A write, and who waits for it.
pub(crate) struct Request {
    pub(crate) write: Write,
    pub(crate) waiter: Waiter,
}

pub(crate) struct Waiter {
    pub(crate) since: Instant,
    pub(crate) reply: oneshot::Sender<Written>,
}

/// How long the last commit took: what a refused caller is told rests on it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Pace(Arc<AtomicU64>);

impl Pace {
    fn set(&self, duration: Duration) {
        self.0.store(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// About how long `groups` commits take.
    pub(crate) fn drain_time(&self, groups: usize) -> Duration {
        const AT_LEAST: Duration = Duration::from_millis(10);
        const AT_MOST: Duration = Duration::from_secs(60);
        let groups = u32::try_from(groups).unwrap_or(u32::MAX);
        let group = Duration::from_micros(self.0.load(Ordering::Relaxed));
        group.saturating_mul(groups).clamp(AT_LEAST, AT_MOST)
    }
}

/// Whether the store takes what is written.
#[derive(Debug, Clone)]
pub(crate) struct Health(Arc<HealthState>);

#[derive(Debug)]
struct HealthState {
    opened: Instant,
    /// Whether the last commit found the store gone.
    failed: AtomicBool,
    /// When the commit under way began, in milliseconds since `opened`, and one; 0 for none.
    begun: AtomicU64,
}

impl Health {
    pub(crate) fn new(now: Instant) -> Self {
        let (failed, begun) = (AtomicBool::new(false), AtomicU64::new(0));
        Self(Arc::new(HealthState { opened: now, failed, begun }))
    }

    fn begin(&self, now: Instant) {
        self.0.begun.store(self.millis(now) + 1, Ordering::Relaxed);
    }

    fn end(&self, answers: &[Written]) {
        let gone = |answer: &Written| matches!(answer, Err(LedgerError::Unavailable { .. }));
        self.0.failed.store(answers.iter().any(gone), Ordering::Relaxed);
        self.0.begun.store(0, Ordering::Relaxed);
    }

    /// Whether the last commit failed, or the one under way has taken longer than any should.
    pub(crate) fn is_failing(&self, now: Instant) -> bool {
        const TOO_LONG: u64 = 1_000;
        let stuck = match self.0.begun.load(Ordering::Relaxed) {
            0 => false,
            begun => self.millis(now).saturating_sub(begun - 1) > TOO_LONG,
        };
        stuck || self.0.failed.load(Ordering::Relaxed)
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.0.opened);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX - 1)
    }
}

pub(crate) struct Writer {
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) store: Store,
    pub(crate) stop: CancellationToken,
    pub(crate) metrics: LedgerMetrics,
    pub(crate) pace: Pace,
    pub(crate) health: Health,
    pub(crate) reservations: Reservations,
    pub(crate) group_max: usize,
}

impl Writer {
    /// Writes until told to stop, or until no one is left who could ask; then writes what
    /// still waits and closes the store.
    pub(crate) async fn run(mut self) {
        let mut writes = Vec::new();
        let mut waiters = Vec::new();
        while self.gather(&mut writes, &mut waiters).await {
            self.write(&writes, waiters.drain(..)).await;
            writes.clear();
        }
        self.store.close().await;
    }

    /// Waits for one request and takes whatever else is there. False when none will come.
    async fn gather(&mut self, writes: &mut Vec<Write>, waiters: &mut Vec<Waiter>) -> bool {
        let first = tokio::select! {
            // First, lest a steady stream of requests put the end off for ever.
            biased;
            () = self.stop.cancelled() => {
                self.requests.close();
                self.requests.recv().await
            }
            request = self.requests.recv() => request,
        };
        let mut next = first;
        let mut rows = 0;
        while let Some(request) = next {
            self.metrics.queue_depth.dec();
            // A probe adds no row, yet an endless row of them must not make a group endless.
            rows += request.write.rows().max(1);
            writes.push(request.write);
            waiters.push(request.waiter);
            next = if rows < self.group_max { self.requests.try_recv().ok() } else { None };
        }
        !writes.is_empty()
    }

    async fn write(&mut self, writes: &[Write], waiters: impl ExactSizeIterator<Item = Waiter>) {
        let begun = Instant::now();
        self.health.begin(begun);
        let answers = self.store.write_group(writes).await;
        self.health.end(&answers);
        self.pace.set(begun.elapsed());
        let rows: usize = writes
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.is_ok())
            .map(|(write, _)| write.rows())
            .sum();
        if rows > 0 {
            self.metrics.group_size.observe(rows as f64);
        }
        for ((write, waiter), answer) in writes.iter().zip(waiters).zip(answers) {
            self.reservations.settle(write, &answer);
            if answer.is_ok() && write.rows() > 0 {
                self.metrics.append_duration.observe(waiter.since.elapsed().as_secs_f64());
            }
            // Who no longer waits does not need the answer; what was written stays.
            let _ = waiter.reply.send(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_failing_after_a_failure_and_while_a_commit_is_stuck() {
        let opened = Instant::now();
        let at = |millis| opened + Duration::from_millis(millis);
        let health = Health::new(opened);
        assert!(!health.is_failing(at(5_000)));
        health.begin(at(5_000));
        assert!(!health.is_failing(at(5_900)));
        assert!(health.is_failing(at(6_100)));
        health.end(&[Ok(Answer::Number(1))]);
        assert!(!health.is_failing(at(6_100)));
        health.begin(at(6_200));
        let gone = LedgerError::unavailable("write", std::io::Error::other("gone"));
        health.end(&[Ok(Answer::Number(1)), Err(gone)]);
        assert!(health.is_failing(at(6_300)));
        health.end(&[Ok(Answer::Number(1))]);
        assert!(!health.is_failing(at(6_300)));
    }

    #[test]
    fn the_time_to_drain_grows_with_the_queue_within_bounds() {
        let pace = Pace::default();
        assert_eq!(pace.drain_time(3), Duration::from_millis(10));
        pace.set(Duration::from_millis(50));
        assert_eq!(pace.drain_time(3), Duration::from_millis(150));
        pace.set(Duration::from_secs(3600));
        assert_eq!(pace.drain_time(usize::MAX), Duration::from_secs(60));
    }
}
