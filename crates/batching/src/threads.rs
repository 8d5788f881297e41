//! Starts, stops and joins the threads that own the models.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// How far a queue has come. Only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Takes new work.
    Open,
    /// Takes no new work and finishes what was admitted.
    Draining,
    /// Answers all with "stopped".
    Stopped,
}

/// A queue that tells its workers to leave.
pub(crate) trait Stop: Send + Sync {
    fn stop(&self, phase: Phase);
}

/// The threads that serve one queue. Dropping it stops and joins them.
pub(crate) struct Threads {
    queue: Arc<dyn Stop>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(crate) fn new(queue: Arc<dyn Stop>) -> Self {
        Self { queue, threads: Vec::new() }
    }

    pub(crate) fn spawn(
        &mut self,
        name: String,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        self.threads.push(Builder::new().name(name).spawn(run)?);
        Ok(())
    }

    /// Blocks until every thread has left.
    pub(crate) fn stop(&mut self, phase: Phase) {
        self.queue.stop(phase);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker thread had panicked");
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop(Phase::Stopped);
    }
}
