//! The loop that owns everything of one thread: the schedule, the connections, the record.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    connection::{Connection, Finished, Target, exchange},
    error::LoadError,
    idle,
    pacer::Pacer,
    plan::{Arrivals, Plan, Share},
    progress::Progress,
    recorder::{Job, Recorder},
    schedule::Schedule,
    traffic::{Answer, Observer},
};

/// The most requests that wait for a connection; of any more, the newest is given up at once.
const WAITING_MAX: usize = 1 << 18;
/// How often progress is told.
const TICK: Duration = Duration::from_secs(1);

/// What one thread plays, from when on, and who watches.
pub(crate) struct Part<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) share: Share,
    pub(crate) start: Instant,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) progress: &'a dyn Progress,
}

/// Plays the part to its end: until every request has its answer, its failure or its timeout.
pub(crate) async fn play(part: Part<'_>, target: Arc<Target>) -> Result<Recorder, LoadError> {
    let idle = idle::open(target.address, part.share.part(part.plan.idle_connections)).await?;
    let closed = AtomicU64::new(0);
    let keeping = idle::keep(idle, target.address, &closed);
    // Thousands of connections take a while to open, which must not eat up the warm-up.
    let start = part.start.max(Instant::now());
    let mut engine = Engine::new(Part { start, ..part }, target)?;
    tokio::select! {
        biased;
        played = engine.run() => played?,
        () = keeping => {}
    }
    engine.recorder.idle_closed(closed.load(Ordering::Relaxed));
    Ok(engine.recorder)
}

struct Engine<'a> {
    part: Part<'a>,
    target: Arc<Target>,
    recorder: Recorder,
    /// This thread's starts, in time; none for a closed loop.
    schedule: Box<dyn Iterator<Item = Instant> + Send + 'a>,
    /// The next of them.
    due: Option<Instant>,
    /// How many requests came due.
    came: u64,
    /// The most requests at once.
    capacity: usize,
    resting: Vec<Connection>,
    waiting: VecDeque<Job>,
    in_flight: FuturesUnordered<BoxFuture<'static, Finished>>,
}

impl<'a> Engine<'a> {
    fn new(part: Part<'a>, target: Arc<Target>) -> Result<Self, LoadError> {
        let Part { plan, share, start, .. } = part;
        let mut schedule = Box::new(
            Schedule::new(plan)
                .skip(share.index)
                .step_by(share.of)
                .map(move |offset| start + offset),
        );
        Ok(Self {
            recorder: Recorder::new(start, plan)?,
            due: schedule.next(),
            schedule,
            came: 0,
            capacity: share.part(plan.connections()),
            resting: Vec::new(),
            waiting: VecDeque::new(),
            in_flight: FuturesUnordered::new(),
            part,
            target,
        })
    }

    async fn run(&mut self) -> Result<(), LoadError> {
        let mut pacer = Pacer::new()?;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        pacer.until(self.part.start).await?;
        loop {
            self.take_up(Instant::now())?;
            if self.due.is_none() && self.in_flight.is_empty() {
                self.tell();
                return Ok(());
            }
            tokio::select! {
                biased;
                Some(finished) = self.in_flight.next() => self.settle(finished)?,
                woken = wake(&mut pacer, self.due) => woken?,
                _ = ticks.tick() => self.tell(),
            }
        }
    }

    /// Starts whatever is due at `now`.
    fn take_up(&mut self, now: Instant) -> Result<(), LoadError> {
        if matches!(self.part.plan.arrivals, Arrivals::Closed { .. }) {
            let end = self.part.start + self.part.plan.span();
            while self.in_flight.len() < self.capacity && now < end {
                self.arrive(Instant::now())?;
            }
            return Ok(());
        }
        while let Some(intended) = self.due.filter(|due| *due <= now) {
            self.due = self.schedule.next();
            self.arrive(intended)?;
        }
        Ok(())
    }

    fn arrive(&mut self, intended: Instant) -> Result<(), LoadError> {
        let waited = self.in_flight.len() >= self.capacity;
        let job = Job { sequence: self.part.share.sequence(self.came), intended, waited };
        self.came += 1;
        self.recorder.scheduled(&job)?;
        if !waited {
            self.send(job);
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(job);
        } else {
            self.recorder.unsent(&job, Instant::now())?;
        }
        Ok(())
    }

    fn send(&mut self, job: Job) {
        let deadline = job.intended + self.part.plan.timeout;
        let held = self.resting.pop();
        let target = Arc::clone(&self.target);
        self.in_flight.push(Box::pin(exchange(target, held, job, deadline)));
    }

    fn settle(&mut self, finished: Finished) -> Result<(), LoadError> {
        let Finished { exchanged, body, connection } = finished;
        self.resting.extend(connection);
        self.recorder.exchanged(&exchanged)?;
        if let Ok(head) = exchanged.outcome
            && self.recorder.is_measured(&exchanged.job)
        {
            self.part.observer.answered(&Answer {
                body_index: self.target.body_index(exchanged.job.sequence),
                status: head.status,
                body: &body,
                latency: exchanged.latency(),
                service: exchanged.service(),
            });
        }
        let now = Instant::now();
        while let Some(job) = self.waiting.pop_front() {
            if now < job.intended + self.part.plan.timeout {
                self.send(job);
                break;
            }
            self.recorder.unsent(&job, now)?;
        }
        Ok(())
    }

    fn tell(&mut self) {
        let mut snapshot = self.recorder.snapshot();
        snapshot.at = self.part.start.elapsed();
        snapshot.in_flight = self.in_flight.len();
        snapshot.waiting = self.waiting.len();
        self.part.progress.passed(&snapshot);
    }
}

async fn wake(pacer: &mut Pacer, due: Option<Instant>) -> io::Result<()> {
    match due {
        Some(due) => pacer.until(due).await,
        None => std::future::pending().await,
    }
}
