//! What a run found, as a table, as JSON and as a page.

mod chart;
mod html;
mod text;

use std::{collections::BTreeMap, fmt, num::NonZeroUsize, time::Duration};

use hdrhistogram::Histogram;
use hyper::Uri;
use serde::{Serialize, Serializer};

use crate::{Arrivals, Measured, Plan, Second};

/// Quantiles that are reported, as shares and names.
const QUANTILES: [(f64, &str); 6] =
    [(0.5, "p50"), (0.9, "p90"), (0.95, "p95"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max")];

/// What was asked for.
pub(crate) struct Context<'a> {
    pub(crate) url: &'a Uri,
    pub(crate) plan: &'a Plan,
    pub(crate) threads: NonZeroUsize,
}

/// A run, ready to be shown.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Seconds since 1970 would tell nobody anything: RFC 3339, at the end of the run.
    ended_at: String,
    url: String,
    arrivals: String,
    open_loop: bool,
    warm_up_seconds: f64,
    duration_seconds: f64,
    timeout_seconds: f64,
    connections: usize,
    idle_connections: usize,
    threads: usize,
    /// Only of a search: the highest rate that passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_rate_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trials: Option<Vec<Trial>>,
    #[serde(flatten, serialize_with = "figures")]
    pub(crate) measured: Measured,
}

impl Report {
    pub(crate) fn new(context: &Context<'_>, measured: Measured) -> Self {
        let Context { url, plan, threads } = context;
        Self {
            ended_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            url: url.to_string(),
            arrivals: arrivals(&plan.arrivals),
            open_loop: !matches!(plan.arrivals, Arrivals::Closed { .. }),
            warm_up_seconds: plan.warm_up.as_secs_f64(),
            duration_seconds: plan.duration.as_secs_f64(),
            timeout_seconds: plan.timeout.as_secs_f64(),
            connections: plan.connections(),
            idle_connections: plan.idle_connections,
            threads: threads.get(),
            max_rate_per_second: None,
            trials: None,
            measured,
        }
    }

    /// Whether a search found a rate that passes.
    pub(crate) fn found(&self) -> bool {
        self.max_rate_per_second.is_some()
    }

    /// The report as a page that needs nothing else.
    pub(crate) fn html(&self) -> String {
        html::page(self)
    }

    fn title(&self) -> String {
        let times =
            format!("{} s after {} s of warm-up", self.duration_seconds, self.warm_up_seconds);
        format!("{}, {times}, at most {} connections", self.arrivals, self.connections)
    }

    /// What a reader must know before trusting the figures.
    fn notes(&self) -> Vec<String> {
        let measured = &self.measured;
        let mut notes = Vec::new();
        if !self.open_loop {
            notes.push(
                "Closed loop: a slow answer delays the next request, so the latencies leave out \
                 what other callers would have waited. Use --rate to measure latency."
                    .into(),
            );
        }
        if measured.waited > 0 && self.open_loop {
            notes.push(format!(
                "{} requests waited for a connection; their latency includes it. Either the \
                 server stalled, or more --connections are needed.",
                measured.waited
            ));
        }
        let late = Duration::from_micros(measured.lateness.value_at_quantile(0.99));
        if late > Duration::from_millis(1) && self.open_loop {
            notes.push(format!(
                "The generator itself was late by {late:.1?} at p99; the latencies include it. \
                 It needs more of a processor, or --threads."
            ));
        }
        if measured.missing_retry_after > 0 {
            notes.push(format!(
                "{} of the 429 and 503 answers had no Retry-After.",
                measured.missing_retry_after
            ));
        }
        if measured.idle_closed > 0 {
            notes.push(format!(
                "The server closed idle connections {} times; they were opened again.",
                measured.idle_closed
            ));
        }
        notes
    }
}

fn arrivals(arrivals: &Arrivals) -> String {
    match arrivals {
        Arrivals::Closed { connections } => format!("closed loop of {connections}"),
        Arrivals::Constant { per_second } => format!("constant {per_second:.1}/s"),
        Arrivals::Poisson { per_second, seed } => format!("poisson {per_second:.1}/s, seed {seed}"),
        Arrivals::Ramp { from_per_second, to_per_second } => {
            format!("ramp from {from_per_second:.1}/s to {to_per_second:.1}/s")
        }
    }
}

/// One rate that a search tried.
#[derive(Debug, Serialize)]
pub(crate) struct Trial {
    rate_per_second: f64,
    throughput_per_second: f64,
    p50_us: u64,
    p99_us: u64,
    error_share: f64,
    /// Why it did not pass.
    problem: Option<String>,
}

impl Trial {
    pub(crate) fn new(rate: f64, measured: &Measured, problem: Option<String>) -> Self {
        Self {
            rate_per_second: rate,
            throughput_per_second: measured.throughput(),
            p50_us: measured.latency.value_at_quantile(0.5),
            p99_us: measured.latency.value_at_quantile(0.99),
            error_share: measured.error_share(),
            problem,
        }
    }

    pub(crate) fn passed(&self) -> bool {
        self.problem.is_none()
    }

    fn verdict(&self) -> &str {
        self.problem.as_deref().unwrap_or("passed")
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>9.1}/s  2xx {:>9.1}/s  p50 {:>9}  p99 {:>9}  {}",
            self.rate_per_second,
            self.throughput_per_second,
            text::micros(self.p50_us),
            text::micros(self.p99_us),
            self.verdict()
        )
    }
}

/// The figures of a run in the units that their names say.
#[derive(Serialize)]
struct Figures<'a> {
    throughput_per_second: f64,
    error_share: f64,
    error_share_besides_refusals: f64,
    scheduled: u64,
    sent: u64,
    by_status: &'a BTreeMap<u16, u64>,
    errors: &'a BTreeMap<String, u64>,
    unsent: u64,
    waited: u64,
    missing_retry_after: u64,
    idle_closed: u64,
    latency_us: BTreeMap<&'static str, u64>,
    service_us: BTreeMap<&'static str, u64>,
    refused_us: BTreeMap<&'static str, u64>,
    generator_lateness_us: BTreeMap<&'static str, u64>,
    seconds: &'a [Second],
}

fn figures<S: Serializer>(measured: &Measured, serializer: S) -> Result<S::Ok, S::Error> {
    Figures {
        throughput_per_second: measured.throughput(),
        error_share: measured.error_share(),
        error_share_besides_refusals: measured.error_share_besides_refusals(),
        scheduled: measured.scheduled,
        sent: measured.sent,
        by_status: &measured.by_status,
        errors: &measured.errors,
        unsent: measured.unsent,
        waited: measured.waited,
        missing_retry_after: measured.missing_retry_after,
        idle_closed: measured.idle_closed,
        latency_us: quantiles(&measured.latency),
        service_us: quantiles(&measured.service),
        refused_us: quantiles(&measured.refused),
        generator_lateness_us: quantiles(&measured.lateness),
        seconds: &measured.seconds,
    }
    .serialize(serializer)
}

fn quantiles(histogram: &Histogram<u64>) -> BTreeMap<&'static str, u64> {
    QUANTILES.iter().map(|&(q, name)| (name, histogram.value_at_quantile(q))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn report(latencies: &[u64]) -> Report {
        let plan = Plan {
            arrivals: Arrivals::Constant { per_second: 2.0 },
            connections_max: 4,
            idle_connections: 0,
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
        };
        let mut measured = Measured::new(plan.duration).unwrap();
        for latency in latencies {
            measured.latency.record(*latency).unwrap();
            measured.scheduled += 1;
            *measured.by_status.entry(200).or_default() += 1;
        }
        measured.seconds = vec![Second { scheduled: 2, ok: 2, ..Second::default() }; 2];
        let url = "http://127.0.0.1:1/<x>".parse().unwrap_or_default();
        Report::new(&Context { url: &url, plan: &plan, threads: NonZeroUsize::MIN }, measured)
    }

    #[test]
    fn the_json_names_its_units_and_holds_the_figures() {
        let json = serde_json::to_value(report(&[1_000, 2_000, 3_000, 4_000])).unwrap();
        assert_eq!(json["scheduled"], 4);
        assert_eq!(json["by_status"]["200"], 4);
        assert_eq!(json["latency_us"]["p50"], 2_000);
        assert_eq!(json["seconds"][1]["ok"], 2);
        assert!(json.get("trials").is_none());
    }

    #[test]
    fn a_closed_loop_and_waiting_requests_are_pointed_out() {
        let mut report = report(&[1]);
        assert_eq!(report.notes(), [""; 0]);
        report.measured.waited = 3;
        assert!(report.notes()[0].contains("3 requests waited"));
        report.open_loop = false;
        assert!(report.notes()[0].contains("Closed loop"));
    }
}
