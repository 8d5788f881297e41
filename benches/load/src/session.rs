//! One run, on the caller's runtime or on threads of its own.

use std::{
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    connection::Target,
    engine::{Part, play},
    error::LoadError,
    measured::Measured,
    plan::{Plan, Share},
    progress::Progress,
    recorder::Recorder,
    traffic::{Observer, Traffic, UniqueIds},
};

/// What the start is put off by, so that every thread is ready for it.
const LEAD: Duration = Duration::from_millis(20);

/// Everything one run takes. [`run`] is the short form.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// What is sent, and where to.
    pub traffic: &'a Traffic,
    /// When, and for how long.
    pub plan: &'a Plan,
    /// Keeps identifiers unique when bodies are sent again; without it they are sent verbatim.
    pub unique: Option<&'a UniqueIds>,
    /// Sees every measured answer.
    pub observer: &'a dyn Observer,
    /// Is told how it goes.
    pub progress: &'a dyn Progress,
}

/// Runs the plan on the caller's task, one task in all; it wants a Tokio runtime with I/O and time.
/// Ends when every request has its answer, its failure or its timeout. Requests keep the order of
/// their intended starts and go over few connections: a connection at rest is taken before a new
/// one is opened.
///
/// # Errors
/// If the plan makes no sense, nothing can be sent, or no server can be reached at the start. What
/// goes wrong later is counted, and is no error.
pub async fn run(
    traffic: &Traffic,
    plan: &Plan,
    observer: &dyn Observer,
    progress: &dyn Progress,
) -> Result<Measured, LoadError> {
    Session { traffic, plan, unique: None, observer, progress }.run().await
}

impl Session<'_> {
    /// As [`run`].
    ///
    /// # Errors
    /// As [`run`].
    pub async fn run(&self) -> Result<Measured, LoadError> {
        self.plan.check()?;
        let target = Arc::new(Target::reach(self.traffic, self.unique).await?);
        Ok(play(self.part(Share::WHOLE, Instant::now()), target).await?.finish())
    }

    /// Blocks while so many threads, each with a runtime of its own, play the plan together. The
    /// arrivals are the same as on one thread, dealt out in turn; connections are divided.
    ///
    /// # Errors
    /// As [`run`], and if the operating system gives no thread.
    pub fn run_on_threads(&self, threads: NonZeroUsize) -> Result<Measured, LoadError> {
        self.plan.check()?;
        let start = Instant::now() + LEAD;
        let of = threads.get();
        if of > self.plan.connections() {
            return Err(LoadError::Plan("there must be a connection for each thread".into()));
        }
        let mut recorders = thread::scope(|scope| {
            let playing: Vec<_> = (0..of)
                .map(|index| {
                    let part = self.part(Share { index, of }, start);
                    thread::Builder::new()
                        .name(format!("load-{index}"))
                        .spawn_scoped(scope, move || self.play_alone(part))
                })
                .collect();
            playing
                .into_iter()
                .map(|thread| thread?.join().map_err(|_| LoadError::Panicked)?)
                .collect::<Result<Vec<_>, LoadError>>()
        })?
        .into_iter();
        let mut whole = recorders.next().ok_or(LoadError::Panicked)?;
        for recorder in recorders {
            whole.merge(recorder)?;
        }
        Ok(whole.finish())
    }

    fn play_alone(&self, part: Part<'_>) -> Result<Recorder, LoadError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let target = Arc::new(Target::reach(self.traffic, self.unique).await?);
            play(part, target).await
        })
    }

    fn part(&self, share: Share, start: Instant) -> Part<'_> {
        Part { plan: self.plan, share, start, observer: self.observer, progress: self.progress }
    }
}
