//! How much is sent at once, and how long an answer is waited for.

use std::time::Duration;

use crate::{error::ConfigError, plan::Plan};

/// How deliveries are made. Plain data; [`Dispatcher::new`](crate::Dispatcher::new) checks it.
#[derive(Debug, Clone)]
pub struct Config {
    /// When a failed delivery is tried again.
    pub plan: Plan,
    /// The most requests under way at once, all endpoints together. Each endpoint gets an equal
    /// share, one at least, so that none waits for another.
    pub max_concurrency: usize,
    /// The most requests under way at once to one endpoint.
    pub max_concurrency_per_endpoint: usize,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest wait for an answer, connection included. The specification recommends 15 to
    /// 30 s.
    pub timeout: Duration,
    /// How soon an empty outbox is looked at again at first. The wait doubles while it stays empty.
    pub poll_min: Duration,
    /// How seldom an empty or broken outbox is looked at, at most.
    pub poll_max: Duration,
    /// How often the outbox is asked how much waits.
    pub count_every: Duration,
    /// How long requests under way may go on after the call to stop.
    pub drain: Duration,
    /// Reaches endpoints through the proxy that the environment names.
    pub use_environment_proxy: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            plan: Plan::default(),
            max_concurrency: 32,
            max_concurrency_per_endpoint: 4,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            poll_min: Duration::from_millis(250),
            poll_max: Duration::from_secs(5),
            count_every: Duration::from_secs(10),
            drain: Duration::from_secs(2),
            use_environment_proxy: false,
        }
    }
}

impl Config {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// When they do not; the message names the setting.
    pub fn check(&self) -> Result<(), ConfigError> {
        let rules = [
            (self.max_concurrency >= 1, "max_concurrency is at least 1"),
            (self.max_concurrency_per_endpoint >= 1, "max_concurrency_per_endpoint is at least 1"),
            (!self.timeout.is_zero(), "timeout is above 0"),
            (!self.connect_timeout.is_zero(), "connect_timeout is above 0"),
            (!self.poll_min.is_zero(), "poll_min is above 0"),
            (self.poll_min <= self.poll_max, "poll_min is at most poll_max"),
            (!self.count_every.is_zero(), "count_every is above 0"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(ConfigError::Setting((*rule).into())),
            None => Ok(()),
        }
    }

    /// The places of one endpoint among `endpoints`.
    pub(crate) fn share(&self, endpoints: usize) -> usize {
        let equal = self.max_concurrency / endpoints.max(1);
        equal.clamp(1, self.max_concurrency_per_endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_has_places_of_its_own_and_together_they_keep_the_bound() {
        let config =
            Config { max_concurrency: 32, max_concurrency_per_endpoint: 4, ..Config::default() };
        for endpoints in 1..=32 {
            let share = config.share(endpoints);
            assert!((1..=4).contains(&share));
            assert!(share * endpoints <= 32, "{endpoints} endpoints with {share} places");
        }
        assert_eq!(config.share(1), 4);
        assert_eq!(config.share(16), 2);
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_named() {
        let config = Config { poll_max: Duration::ZERO, ..Config::default() };
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("poll_max"), "{error}");
        Config::default().check().unwrap();
    }
}
