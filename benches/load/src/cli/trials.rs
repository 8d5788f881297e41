//! `--find-max-rate`: one short run after another.

use std::{
    io::{self, Write as _},
    thread,
    time::Duration,
};

use super::{Args, Sending};
use crate::{
    Measured, Search,
    report::{Context, Report, Trial},
};

/// How close the answer comes to the lowest rate that failed.
const PRECISION: f64 = 0.05;
/// Lets the server come to rest between trials.
const REST: Duration = Duration::from_millis(500);

/// Tries rates until the highest that passes is known; the report is of that run, or of the last
/// one if none passed.
pub(super) fn find_max_rate(args: &Args, sending: &Sending) -> anyhow::Result<Report> {
    let mut search = Search::new(args.first_rate(), PRECISION);
    let mut trials = Vec::new();
    let mut shown = None;
    while let Some(rate) = search.next_rate() {
        if !trials.is_empty() {
            thread::sleep(REST);
        }
        let number = trials.len() as u32;
        let plan = args.trial(rate, number);
        let measured = sending.play(&plan, number)?;
        let problem = problem(args, &measured);
        let trial = Trial::new(rate, &measured, problem);
        writeln!(io::stderr(), "{trial}")?;
        search.report(trial.passed());
        if trial.passed() || search.best().is_none() {
            let context = Context { url: &args.url, plan: &plan, threads: args.threads };
            shown = Some(Report::new(&context, measured));
        }
        trials.push(trial);
    }
    let mut report = shown.ok_or_else(|| anyhow::anyhow!("no rate could be tried"))?;
    report.max_rate_per_second = search.best();
    report.trials = Some(trials);
    Ok(report)
}

/// Why a trial does not pass.
fn problem(args: &Args, measured: &Measured) -> Option<String> {
    if measured.refusals() > 0 {
        return Some(format!("{} refused", measured.refusals()));
    }
    if measured.unsent > 0 {
        return Some(format!("{} never sent", measured.unsent));
    }
    let share = measured.error_share();
    if share > args.max_error_share {
        return Some(format!("{:.2} % errors", 100.0 * share));
    }
    let broken = args.slo.iter().find(|slo| !slo.holds(measured))?;
    Some(format!("{} is {:.1?}", broken.quantile_name(), broken.value(measured)))
}
