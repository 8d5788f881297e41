//! Bounded admission, and the service rate that tells a turned-away caller when to return.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// Why a request was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// As many requests wait as may wait.
    QueueFull {
        /// About how long until the present backlog is served.
        retry_after: Duration,
    },
    /// Those before it take longer than it has time.
    WouldBeLate {
        /// About how long until the present backlog is served.
        retry_after: Duration,
    },
    /// The deadline had passed on arrival.
    AlreadyLate,
}

/// Decides who may wait for an engine.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) max_queue_depth: NonZeroUsize,
    pub(crate) retry_after_min: Duration,
    pub(crate) retry_after_max: Duration,
    /// How many requests or batches are served side by side.
    pub(crate) servers: NonZeroUsize,
    /// Busy time of one server for one request; `None` until the first was served.
    pub(crate) service_time: Option<Duration>,
}

impl Admission {
    pub(crate) fn check(
        &self,
        now: Instant,
        waiting: usize,
        deadline: Instant,
    ) -> Result<(), Rejected> {
        if deadline <= now {
            return Err(Rejected::AlreadyLate);
        }
        if waiting >= self.max_queue_depth.get() {
            let retry_after = self.retry_after(waiting);
            return Err(Rejected::QueueFull { retry_after });
        }
        Ok(())
    }

    /// One server spent `busy` on `requests` requests.
    pub(crate) fn observe(&mut self, requests: usize, busy: Duration) {
        let Some(requests) = u32::try_from(requests).ok().filter(|count| *count > 0) else {
            return;
        };
        let sample = busy / requests;
        // An eighth of the newest sample: follows a change within tens of batches without
        // jumping at one odd batch.
        self.service_time = Some(match self.service_time {
            Some(mean) => (mean.saturating_mul(7).saturating_add(sample)) / 8,
            None => sample,
        });
    }

    fn retry_after(&self, waiting: usize) -> Duration {
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        let servers = u32::try_from(self.servers.get()).unwrap_or(u32::MAX);
        let backlog = self.service_time.unwrap_or_default().saturating_mul(waiting) / servers;
        // The floor wins, so that limits set the wrong way round cannot panic.
        backlog.min(self.retry_after_max).max(self.retry_after_min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(servers: usize) -> Admission {
        Admission {
            max_queue_depth: NonZeroUsize::new(10).unwrap(),
            retry_after_min: Duration::from_millis(100),
            retry_after_max: Duration::from_secs(60),
            servers: NonZeroUsize::new(servers).unwrap(),
            service_time: None,
        }
    }

    #[test]
    fn retry_after_is_the_floor_until_a_rate_was_observed() {
        assert_eq!(admission(1).retry_after(10), Duration::from_millis(100));
    }

    #[test]
    fn retry_after_is_the_time_the_backlog_takes() {
        let mut admission = admission(2);
        admission.observe(4, Duration::from_secs(4));
        assert_eq!(admission.retry_after(10), Duration::from_secs(5));
    }

    #[test]
    fn retry_after_stays_within_its_limits() {
        let mut admission = admission(1);
        admission.observe(1, Duration::from_secs(1000));
        assert_eq!(admission.retry_after(10), Duration::from_secs(60));
        admission.retry_after_min = Duration::from_secs(90);
        assert_eq!(admission.retry_after(10), Duration::from_secs(90));
    }

    #[test]
    fn the_rate_follows_a_lasting_change() {
        let mut admission = admission(1);
        admission.observe(1, Duration::from_secs(1));
        for _ in 0..100 {
            admission.observe(1, Duration::from_secs(3));
        }
        let waited = admission.retry_after(1);
        assert!(waited > Duration::from_millis(2900), "{waited:?}");
    }

    #[test]
    fn an_empty_batch_tells_nothing_about_the_rate() {
        let mut admission = admission(1);
        admission.observe(0, Duration::from_secs(1));
        assert_eq!(admission.service_time, None);
    }

    #[test]
    fn a_late_request_is_late_even_when_the_queue_is_full() {
        let now = Instant::now();
        assert_eq!(admission(1).check(now, 10, now), Err(Rejected::AlreadyLate));
    }
}
