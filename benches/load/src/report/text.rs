//! The report as a table for a terminal.

use std::fmt;

use hdrhistogram::Histogram;

use super::{QUANTILES, Report};

/// Microseconds with a unit and three digits or so.
pub(super) fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..10_000 => format!("{:.2} ms", us as f64 / 1e3),
        10_000..100_000 => format!("{:.1} ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// Rows of what became of the requests: name, count, detail.
pub(super) fn outcomes(report: &Report) -> Vec<(&'static str, u64, String)> {
    let measured = &report.measured;
    let seconds = report.duration_seconds;
    let other = measured
        .by_status
        .iter()
        .filter(|(status, _)| !matches!(status, 200..300 | 429 | 503))
        .map(|(status, count)| format!("{count} x {status}"));
    let failed = measured.errors.iter().map(|(name, count)| format!("{count} {name}"));
    let refused = [429, 503]
        .iter()
        .filter_map(|status| Some(format!("{} x {status}", measured.by_status.get(status)?)));
    let answered = measured.by_status.values().sum::<u64>();
    vec![
        ("scheduled", measured.scheduled, per_second(measured.scheduled as f64 / seconds)),
        ("answered 2xx", measured.ok(), per_second(measured.throughput())),
        ("refused", measured.refusals(), refused.collect::<Vec<_>>().join(", ")),
        (
            "answered otherwise",
            answered - measured.ok() - measured.refusals(),
            other.collect::<Vec<_>>().join(", "),
        ),
        ("no answer", measured.errors.values().sum(), failed.collect::<Vec<_>>().join(", ")),
        ("never sent", measured.unsent, String::new()),
    ]
}

fn per_second(rate: f64) -> String {
    format!("{rate:.1}/s")
}

/// Rows of latencies: name and distribution; those that hold nothing are left out.
pub(super) fn latencies(report: &Report) -> Vec<(&'static str, &Histogram<u64>)> {
    let measured = &report.measured;
    [
        ("from intended start", &measured.latency),
        ("from actual send", &measured.service),
        ("of refusals", &measured.refused),
        ("generator's lateness", &measured.lateness),
    ]
    .into_iter()
    .filter(|(_, histogram)| !histogram.is_empty())
    .collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(trials) = &self.trials {
            match self.max_rate_per_second {
                Some(rate) => writeln!(
                    f,
                    "The highest rate that passed is {rate:.1}/s, of {} tried. Its run:\n",
                    trials.len()
                )?,
                None => writeln!(f, "No rate passed, of {} tried. The last run:\n", trials.len())?,
            }
        }
        writeln!(f, "POST {}\n{}\n", self.url, self.title())?;
        for (name, count, detail) in outcomes(self) {
            writeln!(f, "{}", format!("{name:<20} {count:>10}  {detail}").trim_end())?;
        }
        let share = 100.0 * self.measured.error_share();
        writeln!(f, "{:<20} {:>10}\n", "errors and refusals", format!("{share:.2} %"))?;
        write!(f, "{:<20}", "latency")?;
        for (_, name) in QUANTILES {
            write!(f, " {name:>9}")?;
        }
        writeln!(f)?;
        for (name, histogram) in latencies(self) {
            write!(f, "{name:<20}")?;
            for (q, _) in QUANTILES {
                write!(f, " {:>9}", micros(histogram.value_at_quantile(q)))?;
            }
            writeln!(f)?;
        }
        for note in self.notes() {
            writeln!(f, "\nNote: {note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::report, *};

    #[test]
    fn times_keep_about_three_digits() {
        for (us, expected) in [
            (7, "7 us"),
            (1_234, "1.23 ms"),
            (12_345, "12.3 ms"),
            (123_456, "123 ms"),
            (1_234_567, "1.23 s"),
        ] {
            assert_eq!(micros(us), expected);
        }
    }

    #[test]
    fn the_table_accounts_for_every_request() {
        let mut report = report(&[1_000; 5]);
        report.measured.by_status.extend([(429, 1), (503, 1), (400, 2)]);
        report.measured.errors.insert("timeout".into(), 3);
        report.measured.unsent = 4;
        report.measured.scheduled = 16;
        let rows = outcomes(&report);
        assert_eq!(rows[1..].iter().map(|(_, count, _)| count).sum::<u64>(), rows[0].1);
        let text = report.to_string();
        for expected in ["1 x 429, 1 x 503", "2 x 400", "3 timeout", "1.00 ms", "68.75 %"] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
    }
}
