//! Looks for the highest rate that still passes, as a plain state machine.

/// The most trials of one search.
pub const TRIALS_MAX: usize = 32;

/// First doubles the rate until a trial fails (or halves it until one passes), then bisects between
/// the highest rate that passed and the lowest that failed, by their geometric mean.
///
/// ```
/// use load::Search;
///
/// let mut search = Search::new(100.0, 0.05);
/// while let Some(rate) = search.next_rate() {
///     search.report(rate <= 730.0);
/// }
/// let best = search.best().unwrap();
/// assert!(best <= 730.0 && best > 730.0 / 1.05);
/// ```
#[derive(Debug, Clone)]
pub struct Search {
    next: f64,
    passed: Option<f64>,
    failed: Option<f64>,
    precision: f64,
    trials: usize,
}

impl Search {
    /// The lowest rate that is tried, per second.
    pub const RATE_MIN: f64 = 0.5;

    /// Starts at `first` requests per second; the answer is at most a factor of `1 + precision`
    /// below the lowest rate that failed.
    #[must_use]
    pub fn new(first: f64, precision: f64) -> Self {
        let next = first.clamp(Self::RATE_MIN, crate::RATE_MAX);
        Self { next, passed: None, failed: None, precision: precision.max(0.001), trials: 0 }
    }

    /// The rate to try next, or none if the search has ended.
    #[must_use]
    pub fn next_rate(&self) -> Option<f64> {
        let narrow = match (self.passed, self.failed) {
            (Some(passed), Some(failed)) => failed <= passed * (1.0 + self.precision),
            (Some(passed), None) => passed >= crate::RATE_MAX,
            (None, Some(failed)) => failed <= Self::RATE_MIN,
            (None, None) => false,
        };
        (!narrow && self.trials < TRIALS_MAX).then_some(self.next)
    }

    /// Takes in whether the rate of [`Search::next_rate`] passed.
    pub fn report(&mut self, passed: bool) {
        self.trials += 1;
        if passed {
            self.passed = Some(self.next);
        } else {
            self.failed = Some(self.next);
        }
        let next = match (self.passed, self.failed) {
            (Some(passed), Some(failed)) => (passed * failed).sqrt(),
            (Some(passed), None) => passed * 2.0,
            (None, Some(failed)) => failed / 2.0,
            (None, None) => self.next,
        };
        self.next = next.clamp(Self::RATE_MIN, crate::RATE_MAX);
    }

    /// The highest rate that passed so far.
    #[must_use]
    pub const fn best(&self) -> Option<f64> {
        self.passed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(first: f64, mut passes: impl FnMut(f64) -> bool) -> (Search, Vec<f64>) {
        let mut search = Search::new(first, 0.05);
        let mut tried = Vec::new();
        while let Some(rate) = search.next_rate() {
            tried.push(rate);
            search.report(passes(rate));
        }
        (search, tried)
    }

    proptest! {
        #[test]
        fn the_answer_is_just_below_the_limit(
            first in 1.0_f64..100_000.0, limit in 1.0_f64..100_000.0,
        ) {
            let (search, _) = search(first, |rate| rate <= limit);
            let best = search.best().unwrap();
            prop_assert!(best <= limit && best * 1.05 >= limit, "{best} for {limit}");
        }

        #[test]
        fn a_search_ends_whatever_the_trials_say_and_answers_with_a_rate_that_passed(
            first in 1.0_f64..100_000.0, verdicts: Vec<bool>,
        ) {
            let mut verdicts = verdicts.into_iter();
            let mut passed = Vec::new();
            let (search, tried) = search(first, |rate| {
                let verdict = verdicts.next().unwrap_or(false);
                if verdict { passed.push(rate) }
                verdict
            });
            prop_assert!(tried.len() <= TRIALS_MAX);
            prop_assert!(search.best().is_none_or(|best| passed.contains(&best)));
            prop_assert_eq!(search.best().is_none(), passed.is_empty());
        }
    }

    #[test]
    fn it_doubles_until_a_trial_fails_and_then_closes_in() {
        let (_, tried) = search(100.0, |rate| rate <= 300.0);
        assert_eq!(tried[..3], [100.0, 200.0, 400.0]);
        assert!(tried[3..].iter().all(|rate| (200.0..400.0).contains(rate)), "{tried:?}");
    }

    #[test]
    fn a_server_that_never_passes_has_no_rate_and_one_that_always_does_has_the_highest() {
        assert_eq!(search(100.0, |_| false).0.best(), None);
        assert_eq!(search(100.0, |_| true).0.best(), Some(crate::RATE_MAX));
    }
}
