//! What the client tells Prometheus.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    exponential_buckets,
};

use crate::{breaker::State, error::ClientError};

/// Why an attempt was repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryReason {
    Connect,
    Reset,
    Overloaded,
    ServerError,
}

impl RetryReason {
    const ALL: [Self; 4] = [Self::Connect, Self::Reset, Self::Overloaded, Self::ServerError];

    fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server_error",
        }
    }
}

const RESULTS: [&str; 8] =
    ["ok", "overloaded", "deadline", "unavailable", "input", "malformed", "failed", "cancelled"];
const STATES: [(&str, State); 3] =
    [("closed", State::Closed), ("open", State::Open), ("half_open", State::HalfOpen)];

/// The client's metrics. They can be registered before there is a client, or without one, so that
/// every series exists from the start.
#[derive(Debug)]
pub struct Metrics {
    breaker: [IntGauge; STATES.len()],
    results: [IntCounter; RESULTS.len()],
    retries: [IntCounter; RetryReason::ALL.len()],
    duration: Histogram,
    time_to_verdict: Histogram,
    /// `weir_engine_in_flight`
    pub(crate) in_flight: IntGauge,
    /// `weir_engine_probed`
    pub(crate) probed: IntGauge,
}

impl Metrics {
    /// Registers:
    /// - `weir_engine_breaker_state{state}`: 1 for the state the breaker is in, of `closed`,
    ///   `open`, `half_open`.
    /// - `weir_engine_requests_total{result}`: `ok`, or why there was no answer; `cancelled` is a
    ///   caller that left, before or after the verdict.
    /// - `weir_engine_retries_total{reason}`: `connect`, `reset`, `overloaded`, `server_error`.
    /// - `weir_engine_request_duration_seconds`: from the call to the last byte, of answers that
    ///   were read to their end; from 1 ms.
    /// - `weir_engine_time_to_verdict_seconds`: from the call to the verdict.
    /// - `weir_engine_in_flight`: requests that hold a place.
    /// - `weir_engine_probed`: 1 once a probe has found out what the engine can do.
    ///
    /// # Errors
    /// When the registry holds one of them already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let breaker = IntGaugeVec::new(
            Opts::new("weir_engine_breaker_state", "1 for the circuit breaker's state."),
            &["state"],
        )?;
        let results = IntCounterVec::new(
            Opts::new("weir_engine_requests_total", "Requests to the engine, by how they ended."),
            &["result"],
        )?;
        let retries = IntCounterVec::new(
            Opts::new("weir_engine_retries_total", "Repeated attempts, by what failed before."),
            &["reason"],
        )?;
        let histogram = |name: &str, help: &str| -> Result<Histogram, prometheus::Error> {
            let buckets = exponential_buckets(1e-3, 2.0, 17)?;
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
        };
        let metrics = Self {
            breaker: STATES.map(|(name, _)| breaker.with_label_values(&[name])),
            results: RESULTS.map(|name| results.with_label_values(&[name])),
            retries: RetryReason::ALL.map(|reason| retries.with_label_values(&[reason.as_str()])),
            duration: histogram(
                "weir_engine_request_duration_seconds",
                "Time from the call to the end of the answer.",
            )?,
            time_to_verdict: histogram(
                "weir_engine_time_to_verdict_seconds",
                "Time from the call to the verdict.",
            )?,
            in_flight: IntGauge::new("weir_engine_in_flight", "Requests to the engine under way.")?,
            probed: IntGauge::new(
                "weir_engine_probed",
                "1 once a probe has found out what the engine can do.",
            )?,
        };
        registry.register(Box::new(breaker))?;
        registry.register(Box::new(results))?;
        registry.register(Box::new(retries))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.time_to_verdict.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.probed.clone()))?;
        metrics.breaker(State::Closed);
        Ok(metrics)
    }

    pub(crate) fn breaker(&self, current: State) {
        for (gauge, (_, state)) in self.breaker.iter().zip(STATES) {
            gauge.set(i64::from(state == current));
        }
    }

    pub(crate) fn retried(&self, reason: RetryReason) {
        self.retries[reason as usize].inc();
    }

    pub(crate) fn verdict(&self, elapsed: Duration) {
        self.time_to_verdict.observe(elapsed.as_secs_f64());
    }

    pub(crate) fn finished(&self, elapsed: Duration) {
        self.duration.observe(elapsed.as_secs_f64());
        self.results[0].inc();
    }

    pub(crate) fn failed(&self, error: &ClientError) {
        let index = match error {
            ClientError::Overloaded { .. } => 1,
            ClientError::Deadline => 2,
            ClientError::Unavailable { .. } => 3,
            ClientError::Input(_) => 4,
            ClientError::Malformed(_) => 5,
            ClientError::Failed(_) => 6,
        };
        self.results[index].inc();
    }

    pub(crate) fn cancelled(&self) {
        self.results[7].inc();
    }
}
