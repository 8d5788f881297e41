//! How long the calling thread has had a core, and how eagerly it asks for one.

use std::time::{Duration, Instant};

use crate::cost::RunTime;

/// A batch while it is computed by the calling thread.
pub(crate) struct Stopwatch {
    started_at: Instant,
    busy_at_start: Option<Duration>,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { started_at: Instant::now(), busy_at_start: thread_busy() }
    }

    pub(crate) fn started_at(&self) -> Instant {
        self.started_at
    }

    /// `alone`: the calling thread did all of it, with no others beside it.
    pub(crate) fn stop(&self, alone: bool) -> RunTime {
        let wall = self.started_at.elapsed();
        let busy = thread_busy().zip(self.busy_at_start).filter(|_| alone);
        let busy = busy.map_or(wall, |(end, start)| end.saturating_sub(start).min(wall));
        RunTime { wall, busy }
    }
}

#[cfg(unix)]
fn thread_busy() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).ok()
}

#[cfg(not(unix))]
fn thread_busy() -> Option<Duration> {
    None
}

/// Lets threads that answer callers, which need a core for moments, have it before this one, which
/// keeps it for milliseconds.
pub(crate) fn give_way() {
    #[cfg(target_os = "linux")]
    {
        let thread = Some(rustix::thread::gettid());
        if let Err(error) = rustix::process::setpriority_process(thread, NICENESS) {
            tracing::debug!(%error, "a worker keeps its priority");
        }
    }
}

/// A third of the weight of an ordinary thread.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;
