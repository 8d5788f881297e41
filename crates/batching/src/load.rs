//! What the scheduler remembers of the traffic.

use std::time::{Duration, Instant};

use crate::cost::{CostModel, RunTime};
use crate::waiting::WaitingRoom;

/// Share of the newest sample in a running mean.
const NEWEST: f64 = 1.0 / 16.0;
/// No batch is believed to be stretched further: one stall is no habit.
const STRETCH_MAX: f64 = 4.0;
/// A request is let in only if it is expected to be answered this much earlier than it must.
const PRUDENCE: f64 = 1.2;

/// Running means over the last tens of requests and batches.
#[derive(Debug, Default)]
pub(crate) struct Load {
    length: Option<f64>,
    /// Seconds per batch.
    batch: Option<f64>,
    /// How much longer a batch takes than it keeps a core busy.
    stretch: Option<f64>,
    lone: LoneRuns,
}

/// How many requests arrive while one is computed and nothing else: with a caller that waits for
/// each answer none, however fast the answers; with independent callers their rate.
#[derive(Debug, Default)]
struct LoneRuns {
    began: Option<Instant>,
    arrived: u32,
    arrivals: f64,
    seconds: f64,
}

impl Load {
    pub(crate) fn arrived(&mut self, length: usize) {
        let length = length as f64;
        self.length = Some(mean(self.length, length));
        self.lone.arrived += 1;
    }

    pub(crate) fn began_alone(&mut self, now: Instant) {
        self.lone.began = Some(now);
        self.lone.arrived = 0;
    }

    pub(crate) fn completed(&mut self, texts: usize, time: RunTime) {
        if texts == 0 {
            return;
        }
        let elapsed = time.wall;
        self.batch = Some(mean(self.batch, elapsed.as_secs_f64()));
        if !time.busy.is_zero() {
            let stretch = elapsed.as_secs_f64() / time.busy.as_secs_f64();
            self.stretch = Some(mean(self.stretch, stretch.clamp(1.0, STRETCH_MAX)));
        }
        if self.lone.began.take().is_some() {
            self.lone.arrivals = self.lone.arrivals * (1.0 - NEWEST) + f64::from(self.lone.arrived);
            self.lone.seconds = self.lone.seconds * (1.0 - NEWEST) + elapsed.as_secs_f64();
        }
    }

    /// Requests per second that arrive while a single one is computed.
    pub(crate) fn arrivals_beside_a_lone_run(&self) -> f64 {
        if self.lone.seconds > 0.0 { self.lone.arrivals / self.lone.seconds } else { 0.0 }
    }

    /// How much longer a batch takes than the time it keeps a core busy: at least 1, more where
    /// others want the cores too.
    pub(crate) fn stretch(&self) -> f64 {
        self.stretch.unwrap_or(1.0)
    }

    /// Seconds of one session that all that waits will take, one by one.
    pub(crate) fn backlog(&self, waiting: &WaitingRoom, coming: usize, cost: &CostModel) -> f64 {
        let length = self.length.unwrap_or_default();
        let coming_texts = coming as f64;
        let seconds = cost.seconds_apart(
            waiting.len() + coming,
            waiting.tokens() + coming_texts * length,
            waiting.token_pairs() + coming_texts * length * length,
        );
        seconds * self.stretch()
    }

    /// How long until a request is answered that must wait for `before` of work.
    pub(crate) fn answered_after(&self, before: Duration) -> Duration {
        // What is before it is done on average when the first session is free; the last may take
        // half a batch longer, and its own batch takes a whole one.
        let batches = self.batch.unwrap_or_default() * 1.5;
        let seconds = (before.as_secs_f64() + batches) * PRUDENCE;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

fn mean(before: Option<f64>, sample: f64) -> f64 {
    before.map_or(sample, |before| before + NEWEST * (sample - before))
}
