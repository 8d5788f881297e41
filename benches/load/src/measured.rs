//! What a run found.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::{CreationError, Histogram};

/// Latencies above this are counted as this; no request may take as long.
pub(crate) const LATENCY_MAX_US: u64 = 3_600_000_000;
/// Relative error of a quantile over the whole run: 10^-3.
const DIGITS: u8 = 3;

/// What a run found in its window. `scheduled` counts requests by their intended start, and each
/// of them ends in exactly one of `by_status`, `errors` and `unsent`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Measured {
    /// Requests that were intended to start within the window.
    pub scheduled: u64,
    /// How many of them were taken up.
    pub sent: u64,
    /// Answers by HTTP status code.
    pub by_status: BTreeMap<u16, u64>,
    /// Requests without an answer, by [`crate::Failure::as_str`].
    pub errors: BTreeMap<String, u64>,
    /// Requests that no connection was free for within the timeout.
    pub unsent: u64,
    /// How many requests had to wait for a connection. If it is not 0, either the server stalled or
    /// [`crate::Plan::connections_max`] is too low; their latency counts from the intended start.
    pub waited: u64,
    /// The length of the window.
    pub elapsed: Duration,
    /// 2xx answers that arrived within the window, those to requests of the warm-up included.
    pub ok_in_window: u64,
    /// 2xx answers: microseconds from the intended start to the end of the answer.
    pub latency: Histogram<u64>,
    /// 2xx answers: microseconds from the actual send to the end of the answer.
    pub service: Histogram<u64>,
    /// 429 and 503 answers: microseconds from the intended start to the end of the answer.
    pub refused: Histogram<u64>,
    /// Requests that found a connection free: microseconds from the intended start to the moment
    /// the generator took them up. What the generator itself adds to `latency`.
    pub lateness: Histogram<u64>,
    /// The window second by second, and then until the last answer.
    pub seconds: Vec<Second>,
    /// 429 and 503 answers without a `Retry-After` header.
    pub missing_retry_after: u64,
    /// Idle connections that the server closed; each was opened again.
    pub idle_closed: u64,
}

/// One second of the window. Requests count where they were intended to start, answers and
/// failures where they came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Second {
    /// Intended starts.
    pub scheduled: u64,
    /// 2xx answers.
    pub ok: u64,
    /// 429 and 503 answers.
    pub refused: u64,
    /// Other answers, failures, and requests given up before they were sent.
    pub errors: u64,
    /// Median latency of the 2xx answers, in microseconds within 1 %; 0 if there was none.
    pub p50_us: u64,
    /// 99th percentile of the same.
    pub p99_us: u64,
    /// The slowest of the same.
    pub max_us: u64,
}

impl Measured {
    pub(crate) fn new(elapsed: Duration) -> Result<Self, CreationError> {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_MAX_US, DIGITS);
        Ok(Self {
            scheduled: 0,
            sent: 0,
            by_status: BTreeMap::new(),
            errors: BTreeMap::new(),
            unsent: 0,
            waited: 0,
            elapsed,
            ok_in_window: 0,
            latency: histogram()?,
            service: histogram()?,
            refused: histogram()?,
            lateness: histogram()?,
            seconds: Vec::new(),
            missing_retry_after: 0,
            idle_closed: 0,
        })
    }

    /// 2xx answers.
    #[must_use]
    pub fn ok(&self) -> u64 {
        self.by_status.range(200..300).map(|(_, count)| count).sum()
    }

    /// 429 and 503 answers.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        [429, 503].iter().filter_map(|status| self.by_status.get(status)).sum()
    }

    /// 2xx answers per second that arrived within the window. Below the offered rate it is what
    /// the server sustains.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        self.ok_in_window as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency, from the intended start, that this share of the 2xx answers kept within; zero
    /// if there was none.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Duration {
        Duration::from_micros(self.latency.value_at_quantile(q))
    }

    /// The share of the scheduled requests without a 2xx answer; refusals count.
    #[must_use]
    pub fn error_share(&self) -> f64 {
        share(self.scheduled.saturating_sub(self.ok()), self.scheduled)
    }

    /// The share of the scheduled requests with neither a 2xx answer nor a refusal (429, 503).
    #[must_use]
    pub fn error_share_besides_refusals(&self) -> f64 {
        share(self.scheduled.saturating_sub(self.ok() + self.refusals()), self.scheduled)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_without_a_good_answer_is_an_error_and_refusals_can_be_told_apart() {
        let mut measured = Measured::new(Duration::from_secs(2)).unwrap();
        assert_eq!(measured.error_share(), 0.0);
        measured.scheduled = 10;
        measured.by_status = [(200, 4), (204, 1), (429, 1), (503, 1), (400, 1)].into();
        measured.errors = [("timeout".to_owned(), 1)].into();
        measured.unsent = 1;
        measured.ok_in_window = 4;
        assert_eq!(measured.ok(), 5);
        assert_eq!(measured.error_share(), 0.5);
        assert_eq!(measured.error_share_besides_refusals(), 0.3);
        assert_eq!(measured.throughput(), 2.0);
        assert_eq!(measured.quantile(0.99), Duration::ZERO);
    }
}
