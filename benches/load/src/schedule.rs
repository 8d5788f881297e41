//! The intended start of every request, as plain arithmetic: no clock, no server.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::plan::{Arrivals, Plan};

/// Intended starts since the start of the warm-up, ascending, up to the end of the window.
///
/// ```
/// use std::time::Duration;
/// use load::{Arrivals, Plan, Schedule};
///
/// let plan = Plan {
///     arrivals: Arrivals::Constant { per_second: 4.0 },
///     connections_max: 1,
///     idle_connections: 0,
///     warm_up: Duration::ZERO,
///     duration: Duration::from_secs(1),
///     timeout: Duration::from_secs(1),
/// };
/// let starts: Vec<_> = Schedule::new(&plan).map(|start| start.as_millis()).collect();
/// assert_eq!(starts, [0, 250, 500, 750]);
/// ```
#[derive(Debug)]
pub struct Schedule {
    kind: Kind,
    /// How many starts were given.
    given: u64,
    /// Seconds.
    end: f64,
}

#[derive(Debug)]
enum Kind {
    /// A closed loop starts requests by its answers.
    Empty,
    Constant {
        rate: f64,
    },
    /// The last start in seconds, and where the next gap comes from.
    Poisson {
        rate: f64,
        last: f64,
        random: Box<StdRng>,
    },
    Ramp(Ramp),
}

impl Schedule {
    /// The starts of this plan; none if it is a closed loop.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let kind = match plan.arrivals {
            Arrivals::Closed { .. } => Kind::Empty,
            Arrivals::Constant { per_second } => Kind::Constant { rate: per_second },
            Arrivals::Poisson { per_second, seed } => Kind::Poisson {
                rate: per_second,
                last: 0.0,
                random: Box::new(StdRng::seed_from_u64(seed)),
            },
            Arrivals::Ramp { from_per_second, to_per_second } => Kind::Ramp(Ramp {
                from: from_per_second,
                to: to_per_second,
                warm_up: plan.warm_up.as_secs_f64(),
                duration: plan.duration.as_secs_f64(),
            }),
        };
        Self { kind, given: 0, end: plan.span().as_secs_f64() }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let nth = self.given as f64;
        let start = match &mut self.kind {
            Kind::Empty => return None,
            Kind::Constant { rate } => nth / *rate,
            Kind::Poisson { rate, last, random } => {
                // Inverse transform of the exponential distribution; 1 - u is never 0.
                let u: f64 = random.random();
                *last -= (1.0 - u).ln() / *rate;
                *last
            }
            Kind::Ramp(ramp) => ramp.start_of(nth)?,
        };
        self.given += 1;
        if start >= self.end {
            self.kind = Kind::Empty;
            return None;
        }
        Some(Duration::from_secs_f64(start))
    }
}

/// All in seconds and requests per second.
#[derive(Debug, Clone, Copy)]
struct Ramp {
    from: f64,
    to: f64,
    warm_up: f64,
    duration: f64,
}

impl Ramp {
    /// When the number of requests so far reaches `nth`: with the slope `a = (to - from) / duration`
    /// it is `from t + a t²/2` at `t` seconds into the window.
    fn start_of(&self, nth: f64) -> Option<f64> {
        let warming = self.from * self.warm_up;
        if nth < warming {
            return Some(nth / self.from);
        }
        let inside = nth - warming;
        if inside <= 0.0 {
            return Some(self.warm_up);
        }
        let slope = (self.to - self.from) / self.duration;
        let root = self.from.mul_add(self.from, 2.0 * slope * inside);
        // A falling rate reaches 0 before another request is due.
        (root >= 0.0).then(|| self.warm_up + 2.0 * inside / (self.from + root.sqrt()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(arrivals: Arrivals, warm_up: f64, duration: f64) -> Plan {
        Plan {
            arrivals,
            connections_max: 1,
            idle_connections: 0,
            warm_up: Duration::from_secs_f64(warm_up),
            duration: Duration::from_secs_f64(duration),
            timeout: Duration::from_secs(1),
        }
    }

    fn starts(arrivals: Arrivals, warm_up: f64, duration: f64) -> Vec<f64> {
        Schedule::new(&plan(arrivals, warm_up, duration)).map(|d| d.as_secs_f64()).collect()
    }

    fn ordered_and_inside(starts: &[f64], end: f64) -> bool {
        starts.is_sorted() && starts.iter().all(|&start| (0.0..=end).contains(&start))
    }

    proptest! {
        #[test]
        fn constant_arrivals_are_evenly_spaced(
            rate in 0.5_f64..5_000.0, warm_up in 0.0_f64..2.0, duration in 0.5_f64..5.0,
        ) {
            let starts = starts(Arrivals::Constant { per_second: rate }, warm_up, duration);
            prop_assert!(ordered_and_inside(&starts, warm_up + duration));
            prop_assert!((starts.len() as f64 - rate * (warm_up + duration)).abs() <= 1.0);
            for pair in starts.windows(2) {
                prop_assert!((pair[1] - pair[0] - 1.0 / rate).abs() < 1e-8);
            }
        }

        #[test]
        fn poisson_arrivals_have_the_mean_and_the_scatter_asked_for(
            rate in 200.0_f64..2_000.0, seed: u64,
        ) {
            let starts = starts(Arrivals::Poisson { per_second: rate, seed }, 0.0, 20.0);
            prop_assert!(ordered_and_inside(&starts, 20.0));
            let expected = rate * 20.0;
            // Six standard deviations of a Poisson count.
            prop_assert!((starts.len() as f64 - expected).abs() < 6.0 * expected.sqrt());
            // Gaps as wide as the mean come with probability 1/e.
            let long = starts.windows(2).filter(|pair| pair[1] - pair[0] > 1.0 / rate).count();
            let share = long as f64 / (starts.len() - 1) as f64;
            prop_assert!((share - (-1.0_f64).exp()).abs() < 0.05, "{share}");
        }

        #[test]
        fn a_seed_gives_the_same_arrivals_again_and_another_seed_does_not(seed: u64) {
            let of = |seed| starts(Arrivals::Poisson { per_second: 100.0, seed }, 0.0, 2.0);
            prop_assert_eq!(of(seed), of(seed));
            prop_assert_ne!(of(seed), of(seed.wrapping_add(1)));
        }

        #[test]
        fn a_ramp_sends_the_integral_of_its_rate(
            from in 0.0_f64..2_000.0, to in 1.0_f64..2_000.0,
            warm_up in 0.0_f64..2.0, duration in 0.5_f64..5.0, at in 0.0_f64..1.0,
        ) {
            let arrivals = Arrivals::Ramp { from_per_second: from, to_per_second: to };
            let starts = starts(arrivals, warm_up, duration);
            prop_assert!(ordered_and_inside(&starts, warm_up + duration));
            let t = at * duration;
            let integral = from * (warm_up + t) + (to - from) / duration * t * t / 2.0;
            let sent = starts.iter().filter(|&&start| start < warm_up + t).count() as f64;
            prop_assert!((sent - integral).abs() <= 1.5, "{sent} against {integral}");
        }
    }

    #[test]
    fn a_ramp_down_to_nothing_ends() {
        let arrivals = Arrivals::Ramp { from_per_second: 10.0, to_per_second: 0.0 };
        let starts = starts(arrivals, 0.0, 2.0);
        assert!((10..=11).contains(&starts.len()), "{}", starts.len());
    }

    #[test]
    fn a_closed_loop_has_no_schedule() {
        assert_eq!(starts(Arrivals::Closed { connections: 4 }, 0.0, 1.0), [0.0; 0]);
    }
}
