//! When an engine that keeps failing is left alone: a plain state machine.

use std::time::{Duration, Instant};

/// When the circuit opens and how it closes again.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerConfig {
    /// Over how long failures are counted.
    pub window: Duration,
    /// How many calls the window must hold before it is judged. At least 1.
    pub minimum_calls: u32,
    /// The share of failed calls, in 0..=1, at which the circuit opens.
    pub failure_ratio: f64,
    /// How long it stays open the first time; it doubles each time a trial fails.
    pub open_for: Duration,
    /// The longest it stays open.
    pub open_for_max: Duration,
    /// How many trial calls must succeed before it closes, and the most at once. At least 1.
    pub trial_calls: u32,
    /// A call that ran into its deadline counts as a failure only when the engine had at least
    /// this long: a caller in a hurry says nothing about the engine.
    pub patience: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            minimum_calls: 10,
            failure_ratio: 0.5,
            open_for: Duration::from_secs(5),
            open_for_max: Duration::from_secs(60),
            trial_calls: 2,
            patience: Duration::from_secs(1),
        }
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure,
    /// Says nothing about the engine's health: refused input, 429, a caller that left.
    Ignored,
}

/// The leave to make one call. Its outcome is recorded exactly once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    epoch: u64,
}

/// What the breaker shows to the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Closed,
    Open,
    HalfOpen,
}

#[derive(Debug)]
enum Inner {
    Closed,
    Open { until: Instant },
    HalfOpen { running: u32, succeeded: u32 },
}

const BUCKETS: usize = 10;

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    slot: u64,
    calls: u32,
    failures: u32,
}

/// Closed, open, or half-open. Calls admitted before a change of state are not counted after it.
#[derive(Debug)]
pub(crate) struct Breaker {
    config: BreakerConfig,
    inner: Inner,
    epoch: u64,
    /// Openings since it was last closed.
    openings: u32,
    start: Instant,
    buckets: [Bucket; BUCKETS],
}

impl Breaker {
    pub(crate) fn new(config: BreakerConfig, now: Instant) -> Self {
        Self {
            config,
            inner: Inner::Closed,
            epoch: 0,
            openings: 0,
            start: now,
            buckets: [Bucket::default(); BUCKETS],
        }
    }

    pub(crate) fn state(&self) -> State {
        match self.inner {
            Inner::Closed => State::Closed,
            Inner::Open { .. } => State::Open,
            Inner::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// How long an open circuit stays so; `None` when a call may be admitted.
    pub(crate) fn open_for(&self, now: Instant) -> Option<Duration> {
        match self.inner {
            Inner::Open { until } if now < until => Some(until - now),
            Inner::Open { .. } | Inner::Closed | Inner::HalfOpen { .. } => None,
        }
    }

    /// A leave to call the engine, or how long to wait before asking again.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<Pass, Duration> {
        if let Some(wait) = self.open_for(now) {
            return Err(wait);
        }
        if let Inner::Open { .. } = self.inner {
            self.enter(Inner::HalfOpen { running: 0, succeeded: 0 });
        }
        if let Inner::HalfOpen { running, succeeded } = &mut self.inner {
            if *running + *succeeded >= self.config.trial_calls {
                return Err(self.config.open_for);
            }
            *running += 1;
        }
        Ok(Pass { epoch: self.epoch })
    }

    /// Takes note of how a call ended.
    pub(crate) fn record(&mut self, pass: Pass, outcome: Outcome, now: Instant) {
        if pass.epoch != self.epoch {
            return;
        }
        match &mut self.inner {
            Inner::Open { .. } => {}
            Inner::Closed => {
                self.count(outcome, now);
                if outcome == Outcome::Failure && self.failing(now) {
                    self.open(now);
                }
            }
            Inner::HalfOpen { running, succeeded } => {
                *running -= 1;
                match outcome {
                    Outcome::Ignored => {}
                    Outcome::Failure => self.open(now),
                    Outcome::Success => {
                        *succeeded += 1;
                        if *succeeded >= self.config.trial_calls {
                            self.openings = 0;
                            self.buckets = [Bucket::default(); BUCKETS];
                            self.enter(Inner::Closed);
                        }
                    }
                }
            }
        }
    }

    fn enter(&mut self, inner: Inner) {
        self.inner = inner;
        self.epoch += 1;
    }

    fn open(&mut self, now: Instant) {
        let factor = 2_u32.saturating_pow(self.openings);
        let wait = self.config.open_for.saturating_mul(factor).min(self.config.open_for_max);
        self.openings = self.openings.saturating_add(1);
        self.enter(Inner::Open { until: now + wait });
    }

    /// The number of the window's tenth that `now` lies in, from 1 so that an unused bucket
    /// belongs to none.
    fn slot(&self, now: Instant) -> u64 {
        let width = (self.config.window.as_nanos() / BUCKETS as u128).max(1);
        let passed = now.saturating_duration_since(self.start).as_nanos() / width;
        u64::try_from(passed).unwrap_or(u64::MAX - 1) + 1
    }

    fn count(&mut self, outcome: Outcome, now: Instant) {
        let failed = match outcome {
            Outcome::Ignored => return,
            Outcome::Success => 0,
            Outcome::Failure => 1,
        };
        let slot = self.slot(now);
        let bucket = &mut self.buckets[(slot % BUCKETS as u64) as usize];
        if bucket.slot != slot {
            *bucket = Bucket { slot, ..Bucket::default() };
        }
        bucket.calls += 1;
        bucket.failures += failed;
    }

    fn failing(&self, now: Instant) -> bool {
        let slot = self.slot(now);
        let recent = |bucket: &&Bucket| bucket.slot > 0 && bucket.slot + BUCKETS as u64 > slot;
        let (calls, failures) = self
            .buckets
            .iter()
            .filter(recent)
            .fold((0, 0), |(calls, failures), b| (calls + b.calls, failures + b.failures));
        calls >= self.config.minimum_calls
            && f64::from(failures) >= self.config.failure_ratio * f64::from(calls)
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
