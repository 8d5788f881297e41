//! What a run says of itself while it lasts.

use std::time::Duration;

/// What happened since the last snapshot, warm-up included.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// Since the start of the warm-up.
    pub at: Duration,
    /// Intended starts that came due.
    pub scheduled: u64,
    /// 2xx answers.
    pub ok: u64,
    /// 429 and 503 answers.
    pub refused: u64,
    /// Other answers, failures, and requests given up before they were sent.
    pub errors: u64,
    /// The slowest 2xx answer, from its intended start.
    pub slowest: Duration,
    /// Under way right now.
    pub in_flight: usize,
    /// Due, and waiting for a connection right now.
    pub waiting: usize,
}

/// Told about once a second by each thread of the generator; the threads' counts add up.
pub trait Progress: Send + Sync {
    /// Must return at once.
    fn passed(&self, snapshot: &Snapshot);
}

impl Progress for () {
    fn passed(&self, _: &Snapshot) {}
}
