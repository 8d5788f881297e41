//! Which of those that wait make the best batch around the oldest.

use std::time::{Duration, Instant};

use crate::cost::{BatchShape, CostModel};

/// A batch must save at least this share of the time to be worth keeping its first text waiting
/// for its last.
const GAIN_MIN: f64 = 0.003;
/// A batch is planned as if it took this much longer than predicted.
const PRUDENCE: f64 = 1.1;

/// A waiting request as the choice sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<Id> {
    pub(crate) id: Id,
    /// In tokens.
    pub(crate) length: usize,
    /// When the first of its callers stops waiting.
    pub(crate) deadline: Instant,
}

/// What a batch may be at the most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) texts: usize,
    /// A batch of several texts takes no longer.
    pub(crate) seconds: f64,
    /// How much longer a batch takes than the time it keeps a core busy.
    pub(crate) stretch: f64,
    pub(crate) now: Instant,
}

/// The candidates around the one at `anchor` that together cost the least per text, as a range.
/// `candidates` are in order of length.
///
/// A batch is padded to its longest text, so the best one is a run of neighbours in length: every
/// run that holds the anchor is tried. Cheapest means the greatest ratio of the time that its
/// texts would take one by one to the time of the batch. A run that would keep any of its texts
/// past its deadline is no choice; the anchor alone always is.
pub(crate) fn best_window<Id>(
    candidates: &[Candidate<Id>],
    anchor: usize,
    cost: &CostModel,
    limits: Limits,
) -> std::ops::Range<usize> {
    let mut best = anchor..anchor + 1;
    let mut best_gain = 1.0 + GAIN_MIN;
    let size_max = limits.texts.max(1);
    for first in (anchor + 1).saturating_sub(size_max)..=anchor {
        let mut run = Run::default();
        for (place, candidate) in candidates.iter().enumerate().skip(first).take(size_max) {
            run.push(candidate, cost);
            if place < anchor || run.texts == 1 {
                continue;
            }
            let seconds = cost.seconds(run.shape());
            let gain = run.apart / seconds;
            if gain > best_gain && run.keeps(limits, seconds * limits.stretch) {
                (best, best_gain) = (first..place + 1, gain);
            }
        }
    }
    best
}

/// Neighbours in length, as they are added one by one.
#[derive(Default)]
struct Run {
    texts: usize,
    tokens: usize,
    /// Seconds that its texts would take one by one.
    apart: f64,
    deadline: Option<Instant>,
}

impl Run {
    fn push<Id>(&mut self, candidate: &Candidate<Id>, cost: &CostModel) {
        self.texts += 1;
        self.tokens = candidate.length;
        self.apart += cost.seconds(BatchShape { texts: 1, tokens: candidate.length });
        let earliest = self.deadline.map_or(candidate.deadline, |at| at.min(candidate.deadline));
        self.deadline = Some(earliest);
    }

    fn shape(&self) -> BatchShape {
        BatchShape { texts: self.texts, tokens: self.tokens }
    }

    fn keeps(&self, limits: Limits, seconds: f64) -> bool {
        let needed = Duration::try_from_secs_f64(seconds * PRUDENCE).unwrap_or(Duration::MAX);
        let in_time = |deadline: Instant| deadline.saturating_duration_since(limits.now) >= needed;
        seconds <= limits.seconds && self.deadline.is_none_or(in_time)
    }
}
