//! When a failed delivery is tried again: a plain function of what happened and what time it is.

use std::time::Duration;

use jiff::Timestamp;

use crate::sender::Sent;

/// Error texts are kept with the delivery; this many characters are enough.
const DETAIL_MAX: usize = 200;

/// The waits between attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The longest wait after the first, second, … failed attempt. When they are used up the
    /// delivery is dead, so there is one attempt more than there are waits.
    pub waits: Vec<Duration>,
    /// The longest that an endpoint's `Retry-After` is obeyed.
    pub retry_after_max: Duration,
}

impl Default for Plan {
    /// Ten attempts. With the full waits the last one comes after nearly two days; jitter halves
    /// that on average.
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let waits =
            [5, 30, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, 2 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR];
        Self {
            waits: waits.map(Duration::from_secs).to_vec(),
            retry_after_max: Duration::from_secs(24 * HOUR),
        }
    }
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It arrived.
    Delivered,
    /// It is tried again.
    Again {
        /// Not before this time.
        at: Timestamp,
        /// Why this attempt failed.
        error: String,
    },
    /// It is given up, until someone revives it.
    Dead {
        /// Why.
        error: String,
    },
}

impl Plan {
    /// Decides after an attempt that ended at `now`, with `earlier` failed attempts before it.
    ///
    /// `random` in 0..1 spreads the waits over 0..=wait ("full jitter", Brooker, "Exponential
    /// Backoff And Jitter", 2015), so that what failed together does not come back together. A time
    /// that the endpoint asks for is waited out in full, and jitter comes on top.
    #[must_use]
    pub fn next(&self, earlier: u32, sent: &Sent, now: Timestamp, random: f64) -> Next {
        let (detail, wished) = match sent {
            Sent::Delivered => return Next::Delivered,
            Sent::Gone => {
                return Next::Dead { error: "410: the endpoint wants no more messages".into() };
            }
            Sent::Failed { detail, retry_after } => (detail, retry_after.unwrap_or_default()),
        };
        let error: String = detail.chars().take(DETAIL_MAX).collect();
        let wait = usize::try_from(earlier).ok().and_then(|failed| self.waits.get(failed));
        let Some(wait) = wait else {
            let attempts = u64::from(earlier) + 1;
            return Next::Dead { error: format!("given up after {attempts} attempts: {error}") };
        };
        let jitter = wait.mul_f64(random.clamp(0.0, 1.0));
        let after = wished.min(self.retry_after_max).saturating_add(jitter);
        Next::Again { at: now.checked_add(after).unwrap_or(Timestamp::MAX), error }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
