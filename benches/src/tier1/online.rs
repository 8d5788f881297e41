//! The online limit: a pool of texts that wait, of which each thread takes the batch it likes
//! best. Nothing of a server is in it; whatever batches requests as they come can at most reach
//! it.

use std::time::Duration;

use super::{bare::Feed, graph::Graph, scheduled::Scheduled};

/// A text that nobody starts for this many batches goes first, or the longest would stay for
/// ever and a short run would look better than it is.
const PASSED_OVER_MAX: u64 = 64;

/// How the next batch is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Picker {
    /// The product's own scheduler.
    Scheduler,
    /// The oldest text and those nearest to it in length, up to so many.
    Oldest(usize),
    /// So many whose lengths differ least, wherever in the queue.
    Tightest(usize),
}

impl Picker {
    /// All that are tried.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let sizes = [2, 3, 4, 6, 8];
        let windows = sizes.into_iter().flat_map(|n| [Self::Oldest(n), Self::Tightest(n)]);
        [Self::Scheduler, Self::Oldest(1)].into_iter().chain(windows).collect()
    }

    /// In words.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Scheduler => "the product's scheduler".into(),
            Self::Oldest(1) => "one by one".into(),
            Self::Oldest(size) => format!("oldest and nearest, {size}"),
            Self::Tightest(size) => format!("tightest {size}"),
        }
    }

    /// A pool of `size` texts from text `first` on.
    #[must_use]
    pub fn pool(self, graph: &Graph, size: usize, first: usize) -> Box<dyn Feed> {
        let lengths: Vec<usize> = (0..graph.encoded.len()).map(|text| graph.tokens(text)).collect();
        let arrivals = Arrivals { lengths, next: first };
        match self {
            Self::Scheduler => Box::new(Scheduled::new(arrivals, size, graph)),
            Self::Oldest(batch) => Box::new(Pool::new(arrivals, size, batch, false)),
            Self::Tightest(batch) => Box::new(Pool::new(arrivals, size, batch, true)),
        }
    }
}

/// Texts in order of arrival, for ever.
pub(super) struct Arrivals {
    lengths: Vec<usize>,
    next: usize,
}

impl Arrivals {
    /// The next text and its tokens.
    pub(super) fn arrive(&mut self) -> (usize, usize) {
        let text = self.next % self.lengths.len();
        self.next += 1;
        (text, self.lengths[text])
    }
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    text: usize,
    tokens: usize,
    /// Counts arrivals.
    order: u64,
    /// How many batches had been taken when it came.
    came: u64,
}

struct Pool {
    arrivals: Arrivals,
    batch: usize,
    tightest: bool,
    taken: u64,
    arrived: u64,
    /// By length, then by arrival.
    waiting: Vec<Waiting>,
}

impl Pool {
    fn new(arrivals: Arrivals, size: usize, batch: usize, tightest: bool) -> Self {
        let mut pool =
            Self { arrivals, batch, tightest, taken: 0, arrived: 0, waiting: Vec::new() };
        pool.refill(size);
        pool
    }

    fn refill(&mut self, count: usize) {
        for _ in 0..count {
            let (text, tokens) = self.arrivals.arrive();
            self.arrived += 1;
            let new = Waiting { text, tokens, order: self.arrived, came: self.taken };
            let place = self
                .waiting
                .partition_point(|other| (other.tokens, other.order) <= (new.tokens, new.order));
            self.waiting.insert(place, new);
        }
    }

    /// Where the window of `size` begins: the one with the least padding, around the oldest
    /// unless the picker may choose freely.
    fn window(&self, size: usize) -> usize {
        let oldest = (0..self.waiting.len()).min_by_key(|place| self.waiting[*place].order);
        let oldest = oldest.unwrap_or(0);
        let passed_over = self.taken - self.waiting[oldest].came > PASSED_OVER_MAX;
        let last = self.waiting.len() - size;
        let starts = if self.tightest && !passed_over {
            0..=last
        } else {
            (oldest + 1).saturating_sub(size)..=oldest.min(last)
        };
        let padding = |start: &usize| {
            let window = &self.waiting[*start..*start + size];
            let longest = window[size - 1].tokens;
            let padding: usize = window.iter().map(|text| longest - text.tokens).sum();
            let oldest = window.iter().map(|text| text.order).min();
            // Per mille, so that long windows are not favoured for being long.
            (padding * 1000 / (longest * size).max(1), oldest)
        };
        starts.min_by_key(padding).unwrap_or(0)
    }
}

impl Feed for Pool {
    fn take(&mut self, _idle: usize) -> Vec<usize> {
        let size = self.batch.min(self.waiting.len());
        if size == 0 {
            return Vec::new();
        }
        let start = self.window(size);
        self.taken += 1;
        self.waiting.drain(start..start + size).map(|waiting| waiting.text).collect()
    }

    fn done(&mut self, batch: &[usize], _took: Duration) {
        self.refill(batch.len());
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrivals, Feed, Pool};
    use std::time::Duration;

    fn pool(lengths: &[usize], size: usize, batch: usize, tightest: bool) -> Pool {
        Pool::new(Arrivals { lengths: lengths.to_vec(), next: 0 }, size, batch, tightest)
    }

    #[test]
    fn the_oldest_takes_its_nearest_along() {
        let mut pool = pool(&[20, 40, 22, 60], 4, 2, false);
        assert_eq!(pool.take(0), [0, 2]);
        assert_eq!(pool.take(0), [1, 3]);
    }

    #[test]
    fn the_tightest_window_wins_wherever_it_stands() {
        let mut pool = pool(&[20, 40, 60, 41], 4, 2, true);
        assert_eq!(pool.take(0), [1, 3]);
    }

    #[test]
    fn no_text_is_passed_over_for_ever() {
        let mut pool = pool(&[90, 10, 10, 10], 3, 2, true);
        pool.arrivals.lengths = vec![10; 4];
        let started = (0..100).any(|_| {
            let batch = pool.take(0);
            pool.done(&batch, Duration::ZERO);
            batch.contains(&0)
        });
        assert!(started);
    }
}
