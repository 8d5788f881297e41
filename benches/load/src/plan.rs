//! When requests are sent, and for how long.

use std::time::Duration;

use crate::LoadError;

/// The longest that warm-up and window may last together; it bounds what is kept per second.
pub const RUN_MAX: Duration = Duration::from_secs(4 * 3600);
/// The longest that one request may take.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// The highest rate, in requests per second.
pub const RATE_MAX: f64 = 1e6;
/// The most connections of one kind.
pub const CONNECTIONS_MAX: usize = 65_536;

/// When requests start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrivals {
    /// Closed loop: each connection sends its next request when the last one is answered. A slow
    /// server is then asked less often, so latencies of a closed loop leave out what callers
    /// would have waited (coordinated omission). It measures throughput, not latency.
    Closed {
        /// How many requests are under way at any time.
        connections: usize,
    },
    /// Open loop, evenly spaced.
    Constant {
        /// Requests per second.
        per_second: f64,
    },
    /// Open loop, independent callers: exponentially distributed gaps.
    Poisson {
        /// Mean number of requests per second.
        per_second: f64,
        /// The same seed gives the same arrivals, with the same build.
        seed: u64,
    },
    /// Open loop, evenly spaced, the rate changing linearly over the measured window; the
    /// warm-up runs at the first rate.
    Ramp {
        /// Requests per second at the start of the window; may be 0.
        from_per_second: f64,
        /// Requests per second at the end of the window; may be 0.
        to_per_second: f64,
    },
}

/// How a run goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// When requests start.
    pub arrivals: Arrivals,
    /// Open loop only: how many connections may be open to carry requests. A request that finds
    /// none free waits for one, and its latency counts all the while.
    pub connections_max: usize,
    /// Further connections that are opened, kept open, and never used.
    pub idle_connections: usize,
    /// Sent before the window, and not measured.
    pub warm_up: Duration,
    /// The measured window: what is intended to start within it is measured.
    pub duration: Duration,
    /// How long a caller waits, from the intended start on.
    pub timeout: Duration,
}

impl Plan {
    /// # Errors
    /// [`LoadError::Plan`] with the first thing that makes no sense.
    pub fn check(&self) -> Result<(), LoadError> {
        self.problem().map_or(Ok(()), |problem| Err(LoadError::Plan(problem)))
    }

    /// From the first intended start to the last.
    pub(crate) fn span(&self) -> Duration {
        self.warm_up.saturating_add(self.duration)
    }

    /// The most requests that can be under way.
    pub(crate) fn connections(&self) -> usize {
        match self.arrivals {
            Arrivals::Closed { connections } => connections,
            Arrivals::Constant { .. } | Arrivals::Poisson { .. } | Arrivals::Ramp { .. } => {
                self.connections_max
            }
        }
    }

    fn problem(&self) -> Option<String> {
        let rates = match self.arrivals {
            Arrivals::Closed { .. } => [1.0; 2],
            Arrivals::Constant { per_second } | Arrivals::Poisson { per_second, .. } => {
                [per_second; 2]
            }
            Arrivals::Ramp { from_per_second, to_per_second } => [from_per_second, to_per_second],
        };
        let usable = |rate: &f64| (0.0..=RATE_MAX).contains(rate);
        if !rates.iter().all(usable) || rates.iter().all(|&rate| rate <= 0.0) {
            return Some(format!("a rate must be above 0 and at most {RATE_MAX} per second"));
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections()) {
            return Some(format!("there must be 1 to {CONNECTIONS_MAX} connections"));
        }
        if self.idle_connections > CONNECTIONS_MAX {
            return Some(format!("there can be at most {CONNECTIONS_MAX} idle connections"));
        }
        if self.duration.is_zero() || self.span() > RUN_MAX {
            return Some(format!(
                "the duration must be above 0, and with the warm-up at most {} h",
                RUN_MAX.as_secs() / 3600
            ));
        }
        if self.timeout.is_zero() || self.timeout > TIMEOUT_MAX {
            return Some(format!(
                "the timeout must be above 0 and at most {} s",
                TIMEOUT_MAX.as_secs()
            ));
        }
        None
    }
}

/// The part of a run that one thread plays: of the arrivals every `of`-th, from `index` on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) index: usize,
    pub(crate) of: usize,
}

impl Share {
    pub(crate) const WHOLE: Self = Self { index: 0, of: 1 };

    /// This thread's part of so many things; the parts of all threads add up.
    pub(crate) fn part(self, whole: usize) -> usize {
        whole / self.of + usize::from(self.index < whole % self.of)
    }

    /// The `nth` request of this thread, counted over all threads.
    pub(crate) fn sequence(self, nth: u64) -> u64 {
        nth * self.of as u64 + self.index as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_parts_of_all_threads_add_up(whole in 0_usize..10_000, of in 1_usize..32) {
            let parts: Vec<usize> = (0..of).map(|index| Share { index, of }.part(whole)).collect();
            prop_assert_eq!(parts.iter().sum::<usize>(), whole);
            prop_assert!(parts.iter().max().unwrap() - parts.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn plans_that_make_no_sense_are_refused() {
        let good = Plan {
            arrivals: Arrivals::Constant { per_second: 1.0 },
            connections_max: 1,
            idle_connections: 0,
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
        };
        good.check().unwrap();
        let rate = |per_second| Arrivals::Constant { per_second };
        let ramp = Arrivals::Ramp { from_per_second: 0.0, to_per_second: 0.0 };
        for bad in [
            Plan { arrivals: rate(0.0), ..good.clone() },
            Plan { arrivals: rate(f64::NAN), ..good.clone() },
            Plan { arrivals: rate(-1.0), ..good.clone() },
            Plan { arrivals: rate(f64::INFINITY), ..good.clone() },
            Plan { arrivals: ramp, ..good.clone() },
            Plan { arrivals: Arrivals::Closed { connections: 0 }, ..good.clone() },
            Plan { connections_max: 0, ..good.clone() },
            Plan { duration: Duration::ZERO, ..good.clone() },
            Plan { warm_up: Duration::MAX, ..good.clone() },
            Plan { timeout: Duration::ZERO, ..good.clone() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
