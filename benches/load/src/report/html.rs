//! The report as one page: no script, nothing loaded, readable in light and dark.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::{
    QUANTILES, Report, Trial,
    chart::{Axis, Scale, Series, lines},
    text::{latencies, micros, outcomes},
};
use crate::Second;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1c2024;--quiet:#667;--rule:#d8dce2;--paper:#fff;
--s0:#1668c7;--s1:#d2691e;--s2:#8a3ffc;--s3:#c62840}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--quiet:#9aa2ad;--rule:#343a42;--paper:#15181c;
--s0:#6db1ff;--s1:#ffa657;--s2:#c4a1ff;--s3:#ff7b8b}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:900px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;margin-bottom:.2rem}h2{font-size:1.05rem;margin:2rem 0 .4rem}
p{margin:.3rem 0}.quiet{color:var(--quiet)}.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .8rem .2rem 0;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
td:first-child,th:first-child,td.text{text-align:left}
.note{border-left:3px solid var(--s1);padding-left:.7rem;margin:.6rem 0}
svg{width:100%;height:auto}svg text{fill:var(--quiet);font-size:12px}
svg text.name{fill:var(--ink)}svg text.x{text-anchor:middle}svg text.y{text-anchor:end}
.grid{stroke:var(--rule)}.line{fill:none;stroke-width:2;stroke-linejoin:round}
.s0{stroke:var(--s0)}.s1{stroke:var(--s1)}.s2{stroke:var(--s2)}.s3{stroke:var(--s3)}
";

pub(super) fn page(report: &Report) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Load on {url}</title>\n<style>{STYLE}</style>\n\
         <h1>Load on {url}</h1>\n<p class=\"quiet\">{title}; ended at {ended}</p>\n",
        url = escaped(&report.url),
        title = escaped(&report.title()),
        ended = escaped(&report.ended_at)
    );
    for note in report.notes() {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "<p class=\"note\">{}</p>", escaped(&note));
    }
    if let Some(trials) = &report.trials {
        page.push_str(&search(report.max_rate_per_second, trials));
    }
    page.push_str(&tables(report));
    let seconds = &report.measured.seconds;
    if !seconds.is_empty() {
        let _ = write!(
            page,
            "<h2>Latency over time</h2>\n<p class=\"quiet\">2xx answers, from the intended start, \
             by the second in which they came.</p>\n{}",
            latency_over_time(seconds)
        );
    }
    let _ = write!(
        page,
        "<h2>Latency by percentile</h2>\n<p class=\"quiet\">Where the lines part, requests waited \
         before they could be sent.</p>\n{}",
        percentiles(report)
    );
    if !seconds.is_empty() {
        let _ = write!(page, "<h2>Throughput over time</h2>\n{}", throughput_over_time(seconds));
    }
    page.push_str("</html>\n");
    page
}

fn search(best: Option<f64>, trials: &[Trial]) -> String {
    let verdict = best.map_or_else(
        || "No rate passed; the rest of the page shows the last run.".to_owned(),
        |rate| format!("The highest rate that passed is {rate:.1}/s; the rest shows its run."),
    );
    let mut table = format!(
        "<h2>Search for the highest rate</h2>\n<p>{verdict}</p>\n<div class=\"scroll\"><table>\
         <tr><th>rate</th><th>2xx</th><th>p50</th><th>p99</th><th></th></tr>\n"
    );
    for trial in trials {
        let _ = writeln!(
            table,
            "<tr><td>{:.1}/s</td><td>{:.1}/s</td><td>{}</td><td>{}</td><td class=\"text\">{}</td></tr>",
            trial.rate_per_second,
            trial.throughput_per_second,
            micros(trial.p50_us),
            micros(trial.p99_us),
            escaped(trial.verdict())
        );
    }
    table + "</table></div>\n"
}

fn tables(report: &Report) -> String {
    let mut tables = "<h2>Requests</h2>\n<div class=\"scroll\"><table>\n".to_owned();
    for (name, count, detail) in outcomes(report) {
        let _ = writeln!(
            tables,
            "<tr><td>{name}</td><td>{count}</td><td class=\"text\">{}</td></tr>",
            escaped(&detail)
        );
    }
    let share = 100.0 * report.measured.error_share();
    let _ = writeln!(
        tables,
        "<tr><td>errors and refusals</td><td>{share:.2} %</td><td></td></tr></table></div>"
    );
    tables.push_str("<h2>Latency</h2>\n<div class=\"scroll\"><table>\n<tr><th></th>");
    for (_, name) in QUANTILES {
        let _ = write!(tables, "<th>{name}</th>");
    }
    tables.push_str("</tr>\n");
    for (name, histogram) in latencies(report) {
        let _ = write!(tables, "<tr><td>{name}</td>");
        for (q, _) in QUANTILES {
            let _ = write!(tables, "<td>{}</td>", micros(histogram.value_at_quantile(q)));
        }
        tables.push_str("</tr>\n");
    }
    tables + "</table></div>\n"
}

fn time_axis(seconds: &[Second]) -> Axis {
    Axis {
        name: "seconds into the window",
        scale: Scale::Linear { from: 0.0, to: seconds.len().max(1) as f64 },
        label: |second| format!("{second:.0}"),
    }
}

fn micros_axis(low: u64, high: u64) -> Axis {
    Axis {
        name: "latency",
        scale: Scale::log_around(low as f64, high as f64),
        label: |us| micros(us as u64),
    }
}

fn latency_over_time(seconds: &[Second]) -> String {
    let of = |name, value: fn(&Second) -> u64| Series {
        name,
        points: seconds
            .iter()
            .enumerate()
            .filter(|(_, second)| second.ok > 0)
            .map(|(index, second)| (index as f64 + 0.5, value(second) as f64))
            .collect(),
    };
    let answered = || seconds.iter().filter(|second| second.ok > 0);
    let low = answered().map(|second| second.p50_us).min().unwrap_or(1);
    let high = answered().map(|second| second.max_us).max().unwrap_or(1);
    lines(
        &time_axis(seconds),
        &micros_axis(low, high),
        &[
            of("p50", |second| second.p50_us),
            of("p99", |second| second.p99_us),
            of("max", |second| second.max_us),
        ],
    )
}

fn throughput_over_time(seconds: &[Second]) -> String {
    let of = |name, value: fn(&Second) -> u64| Series {
        name,
        points: seconds
            .iter()
            .enumerate()
            .map(|(index, second)| (index as f64 + 0.5, value(second) as f64))
            .collect(),
    };
    let most = seconds.iter().map(|second| second.scheduled.max(second.ok)).max().unwrap_or(1);
    let count = Axis {
        name: "requests per second",
        scale: Scale::linear_to(most as f64),
        label: |count| format!("{count:.0}"),
    };
    lines(
        &time_axis(seconds),
        &count,
        &[
            of("2xx", |second| second.ok),
            of("scheduled", |second| second.scheduled),
            of("refused", |second| second.refused),
            of("errors", |second| second.errors),
        ],
    )
}

/// Latency against the share of answers that were slower, on logarithmic axes.
fn percentiles(report: &Report) -> String {
    let measured = &report.measured;
    let most = measured.latency.len().max(10) as f64;
    let x = Axis {
        name: "percentile",
        scale: Scale::log_around(1.0, most),
        // 1 of so many was slower.
        label: |one_of| {
            let digits = (one_of.log10().round() as usize).saturating_sub(2);
            format!("{:.digits$} %", 100.0 - 100.0 / one_of)
        },
    };
    let curve = |name, histogram: &Histogram<u64>| Series {
        name,
        points: (0..)
            .map(|nth| 10_f64.powf(f64::from(nth) / 24.0))
            .take_while(|one_of| *one_of <= histogram.len() as f64 * 1.2)
            .map(|one_of| (one_of, histogram.value_at_quantile(1.0 - 1.0 / one_of) as f64))
            .collect(),
    };
    let low = measured.latency.min().min(measured.service.min());
    let high = measured.latency.max().max(measured.service.max());
    lines(
        &x,
        &micros_axis(low, high),
        &[curve("from intended", &measured.latency), curve("from actual send", &measured.service)],
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::{super::tests::report, *};

    #[test]
    fn a_page_holds_three_charts_loads_nothing_and_escapes_what_it_shows() {
        let mut report = report(&[1_000, 2_000, 50_000]);
        report.url = "http://h/<script>".into();
        let page = page(&report);
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("&lt;script&gt;"));
        for never in ["<script", "NaN", "inf", " src=", " href="] {
            assert!(!page.contains(never), "{never}");
        }
    }

    #[test]
    fn a_run_without_any_answer_still_makes_a_page() {
        let mut report = report(&[]);
        report.measured.seconds.clear();
        let page = page(&report);
        assert!(!page.contains("NaN") && page.matches("<svg").count() == 1);
    }
}
