//! The flags.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use hyper::Uri;

use super::{
    input::Shape,
    values::{RampRates, Slo, Spacing, duration, header, rate, share},
};
use crate::{Arrivals, Measured, Plan};

/// Puts a server under load and measures what its callers would see.
///
/// Requests start when a schedule says, however slow the server is, and their latency counts from
/// that moment: a stall shows in the latency of every request that it held up. `--closed` is the
/// exception, and measures throughput only.
///
/// Examples:
///   weir load --rate 200 --duration 30s
///   weir load --rate 500 --slo p99=50ms --html load.html --json load.json
///   weir load --find-max-rate --slo p99=50ms --dry-run
///   weir load --ramp 50:1000 --duration 2m --allow-refused --html ramp.html
///   weir load --closed 4 --duration 20s
///   weir load http://127.0.0.1:9000/echo --raw --input bodies.ndjson --arrivals constant
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Where to `POST`.
    #[arg(default_value = "http://127.0.0.1:8080/v1/screen")]
    pub(super) url: Uri,
    /// NDJSON, a body a line: a transaction, or `{"transaction": {...}}` with anything beside it.
    #[arg(long, value_name = "FILE", default_value = "samples/payments.ndjson")]
    pub(super) input: PathBuf,

    /// Requests per second; with `--find-max-rate` the first rate tried.
    #[arg(long, value_name = "N", default_value = "100", value_parser = rate, help_heading = "When")]
    rate: f64,
    /// How requests follow each other.
    #[arg(long, value_name = "KIND", default_value = "poisson", help_heading = "When")]
    arrivals: Spacing,
    /// Seed of the arrivals; the same seed gives the same.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "When")]
    seed: u64,
    /// Change the rate linearly over the duration, from one rate to another.
    #[arg(long, value_name = "FROM:TO", conflicts_with_all = ["rate", "arrivals", "closed"], help_heading = "When")]
    ramp: Option<RampRates>,
    /// Closed loop: so many connections that each send when they have been answered. Latencies
    /// then leave out what other callers would have waited.
    #[arg(long, value_name = "N", conflicts_with_all = ["rate", "arrivals", "connections"], help_heading = "When")]
    closed: Option<usize>,
    /// How long to measure, for each trial with `--find-max-rate`; 30s, or 10s for a trial.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "When")]
    duration: Option<Duration>,
    /// How long to send before measuring; 5s, or 2s for a trial.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "When")]
    warm_up: Option<Duration>,
    /// How long a caller waits for its answer, from the intended start.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, help_heading = "When")]
    timeout: Duration,

    /// The most connections that carry requests; requests wait where that is too few.
    #[arg(long, value_name = "N", default_value_t = 256, help_heading = "How")]
    connections: usize,
    /// Open so many more and leave them unused.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "How")]
    idle_connections: usize,
    /// Threads of the generator; one suffices for some ten thousand requests per second.
    #[arg(long, value_name = "N", default_value = "1", help_heading = "How")]
    pub(super) threads: NonZeroUsize,

    /// Send each line as it is.
    #[arg(long, conflicts_with_all = ["dry_run", "deadline_ms"], help_heading = "What")]
    raw: bool,
    /// Ask for screening that leaves no trace.
    #[arg(long, help_heading = "What")]
    dry_run: bool,
    /// The deadline that each request asks for, in milliseconds.
    #[arg(long, value_name = "MS", help_heading = "What")]
    deadline_ms: Option<u64>,
    /// Leave identifiers as they are when the input is sent again; otherwise they get a suffix.
    #[arg(long, help_heading = "What")]
    pub(super) same_ids: bool,
    /// A further header.
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = header, help_heading = "What")]
    pub(super) headers: Vec<(String, String)>,
    /// The type of the bodies.
    #[arg(long, value_name = "TYPE", default_value = "application/json", help_heading = "What")]
    pub(super) content_type: String,

    /// A latency to keep, as p99=50ms; may be given more than once.
    #[arg(long, value_name = "PNN=TIME", help_heading = "Verdict")]
    pub(super) slo: Vec<Slo>,
    /// The share of requests that may fail. Whatever is not answered 2xx has failed.
    #[arg(long, value_name = "SHARE", default_value = "0.01", value_parser = share, help_heading = "Verdict")]
    pub(super) max_error_share: f64,
    /// Do not count 429 and 503 as failures.
    #[arg(long, conflicts_with = "find_max_rate", help_heading = "Verdict")]
    allow_refused: bool,
    /// Look for the highest rate at which every `--slo` is kept, the share of errors is small
    /// enough, and nothing is refused.
    #[arg(long, requires = "slo", conflicts_with_all = ["closed", "ramp"], help_heading = "Verdict")]
    pub(super) find_max_rate: bool,

    /// Write the result as JSON.
    #[arg(long, value_name = "FILE", help_heading = "Result")]
    pub(super) json: Option<PathBuf>,
    /// Write the result as a page with charts.
    #[arg(long, value_name = "FILE", help_heading = "Result")]
    pub(super) html: Option<PathBuf>,
}

impl Args {
    pub(super) fn shape(&self) -> Shape {
        Shape { raw: self.raw, dry_run: self.dry_run, deadline_ms: self.deadline_ms }
    }

    pub(super) fn first_rate(&self) -> f64 {
        self.rate
    }

    pub(super) fn plan(&self) -> Plan {
        let arrivals = match (self.closed, self.ramp) {
            (Some(connections), _) => Arrivals::Closed { connections },
            (None, Some(RampRates { from, to })) => {
                Arrivals::Ramp { from_per_second: from, to_per_second: to }
            }
            (None, None) => self.open(self.rate, self.seed),
        };
        self.plan_of(arrivals, [30, 5])
    }

    /// One trial at this rate; each trial has arrivals of its own.
    pub(super) fn trial(&self, rate: f64, number: u32) -> Plan {
        self.plan_of(self.open(rate, self.seed.wrapping_add(u64::from(number))), [10, 2])
    }

    /// What `--max-error-share` bounds.
    pub(super) fn errors_of(&self, measured: &Measured) -> f64 {
        if self.allow_refused {
            measured.error_share_besides_refusals()
        } else {
            measured.error_share()
        }
    }

    fn open(&self, per_second: f64, seed: u64) -> Arrivals {
        match self.arrivals {
            Spacing::Poisson => Arrivals::Poisson { per_second, seed },
            Spacing::Constant => Arrivals::Constant { per_second },
        }
    }

    /// Defaults are the duration and the warm-up in seconds.
    fn plan_of(&self, arrivals: Arrivals, defaults: [u64; 2]) -> Plan {
        let [duration, warm_up] = defaults.map(Duration::from_secs);
        Plan {
            arrivals,
            connections_max: self.connections,
            idle_connections: self.idle_connections,
            warm_up: self.warm_up.unwrap_or(warm_up),
            duration: self.duration.unwrap_or(duration),
            timeout: self.timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn plan(flags: &str) -> Plan {
        let words = std::iter::once("load").chain(flags.split_whitespace());
        Cli::try_parse_from(words).unwrap().args.plan()
    }

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_make_the_plan_they_name() {
        let open = plan("--rate 7 --seed 9");
        assert_eq!(open.arrivals, Arrivals::Poisson { per_second: 7.0, seed: 9 });
        assert_eq!((open.duration.as_secs(), open.warm_up.as_secs()), (30, 5));
        let constant = plan("--rate 7 --arrivals constant --duration 1m").arrivals;
        assert_eq!(constant, Arrivals::Constant { per_second: 7.0 });
        assert_eq!(plan("--closed 3").arrivals, Arrivals::Closed { connections: 3 });
        let ramp = Arrivals::Ramp { from_per_second: 1.0, to_per_second: 5.0 };
        assert_eq!(plan("--ramp 1:5").arrivals, ramp);
    }

    #[test]
    fn flags_that_contradict_each_other_are_refused() {
        for flags in [
            "--closed 3 --rate 7",
            "--ramp 1:5 --rate 7",
            "--raw --dry-run",
            "--find-max-rate",
            "--find-max-rate --slo p99=1s --ramp 1:5",
            "--threads 0",
        ] {
            let words = std::iter::once("load").chain(flags.split_whitespace());
            assert!(Cli::try_parse_from(words).is_err(), "{flags}");
        }
    }
}
