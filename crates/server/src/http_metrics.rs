//! What the HTTP side counts.

use std::time::Duration;

use axum::http::Method;
use domain::{Label, LabelSource, PackageRef, PolicyRef, TruthLabel};
use prometheus::{
    Error, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    exponential_buckets,
};

/// The route of whatever matches none.
pub(crate) const UNMATCHED: &str = "unmatched";
/// The status of a request whose caller left before the answer.
pub(crate) const CALLER_LEFT: u16 = 499;

/// How an event of a backfill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventResult {
    Accepted,
    Rejected,
}

impl EventResult {
    const ALL: [Self; 2] = [Self::Accepted, Self::Rejected];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

/// The series of the HTTP side.
#[derive(Debug, Clone)]
pub(crate) struct HttpMetrics {
    /// `weir_http_requests_total{route,method,status}`.
    requests: IntCounterVec,
    /// `weir_http_request_duration_seconds{route}`: from the head's arrival to the last byte.
    durations: HistogramVec,
    /// `weir_http_in_flight`.
    in_flight: IntGauge,
    /// `weir_labels_total{label,source}`.
    labels: IntCounterVec,
    /// `weir_events_total{result}`.
    events: IntCounterVec,
    /// `weir_model_info{tier,name,version,sha256}`: always 1.
    models: IntGaugeVec,
    /// `weir_policy_info{version,sha256}`: always 1.
    policies: IntGaugeVec,
}

impl HttpMetrics {
    /// Registers everything, process metrics included.
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, Error> {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, Error> {
            let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauges.clone()))?;
            Ok(gauges)
        };
        // 50 microseconds to 105 seconds.
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "weir_http_request_duration_seconds",
                "Time of each request, body included.",
            )
            .buckets(exponential_buckets(50e-6, 2.0, 22)?),
            &["route"],
        )?;
        registry.register(Box::new(durations.clone()))?;
        let in_flight = IntGauge::new("weir_http_in_flight", "Requests being answered.")?;
        registry.register(Box::new(in_flight.clone()))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let metrics = Self {
            requests: counters(
                "weir_http_requests_total",
                "Requests answered.",
                &["route", "method", "status"],
            )?,
            durations,
            in_flight,
            labels: counters("weir_labels_total", "Labels recorded.", &["label", "source"])?,
            events: counters("weir_events_total", "Backfilled transactions.", &["result"])?,
            models: gauges(
                "weir_model_info",
                "The model packages in use.",
                &["tier", "name", "version", "sha256"],
            )?,
            policies: gauges("weir_policy_info", "The policy in force.", &["version", "sha256"])?,
        };
        metrics.create_series();
        Ok(metrics)
    }

    fn create_series(&self) {
        for label in TruthLabel::ALL {
            for source in LabelSource::ALL {
                self.labels.with_label_values(&[label.as_str(), source.as_str()]);
            }
        }
        for result in EventResult::ALL {
            self.events.with_label_values(&[result.as_str()]);
        }
        self.create_route(UNMATCHED, "GET", "404");
    }

    /// Makes a route's series visible before its first request.
    pub(crate) fn create_route(&self, route: &str, method: &str, status: &str) {
        self.requests.with_label_values(&[route, method, status]);
        self.durations.with_label_values(&[route]);
    }

    /// Names a model package in use.
    pub(crate) fn model(&self, tier: &str, package: &PackageRef) {
        let labels = [tier, &package.name, &package.version, &package.sha256];
        self.models.with_label_values(&labels).set(1);
    }

    /// Names the policy in force, and no other.
    pub(crate) fn policy(&self, policy: &PolicyRef) {
        self.policies.reset();
        self.policies.with_label_values(&[&policy.version, &policy.sha256]).set(1);
    }

    pub(crate) fn labelled(&self, label: &Label) {
        self.labels.with_label_values(&[label.label.as_str(), label.source.as_str()]).inc();
    }

    pub(crate) fn events(&self, result: EventResult, count: u64) {
        self.events.with_label_values(&[result.as_str()]).inc_by(count);
    }

    pub(crate) fn started(&self) {
        self.in_flight.inc();
    }

    pub(crate) fn ended(&self, route: &str, method: &Method, status: u16, took: Duration) {
        self.in_flight.dec();
        let labels = [route, method_label(method), &status.to_string()];
        self.requests.with_label_values(&labels).inc();
        self.durations.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    pub(crate) fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }
}

/// HTTP lets callers invent methods; a label must not.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}
