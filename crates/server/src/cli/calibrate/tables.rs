//! What a person reads.

use std::io::{self, Write};

use evaluation::{CurvePoint, thin};

use super::{propose::Bounded, report::Report};

pub(super) fn print(out: &mut impl Write, report: &Report, shares: &[f64]) -> io::Result<()> {
    input(out, report)?;
    calibrations(out, report)?;
    reliability(out, report)?;
    curve(out, report, shares)?;
    bounds(out, report)?;
    thresholds(out, report)
}

fn input(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let input = &report.input;
    writeln!(
        out,
        "package     {} {}\nlabelled    {}, {} of them fraud from {} accounts; {} without a label, {} lines skipped",
        report.package.name,
        report.package.version,
        input.labelled,
        input.frauds,
        input.fraud_accounts,
        input.unlabelled,
        input.skipped
    )?;
    for (name, part) in [("fitted on", &input.fit), ("judged on", &input.held)] {
        let day = |at: Option<jiff::Timestamp>| {
            at.map_or_else(String::new, |at| at.strftime("%Y-%m-%d").to_string())
        };
        let (from, to) = (day(part.from), day(part.to));
        writeln!(out, "{name}   {} labels, {} fraud, {from} to {to}", part.labels, part.frauds)?;
    }
    if input.currencies.len() > 1 {
        let names: Vec<_> = input.currencies.keys().map(String::as_str).collect();
        let names = names.join(", ");
        writeln!(out, "amounts     as they stand, not converted, in {names}")?;
    }
    Ok(())
}

fn calibrations(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(
        out,
        "\ncalibration   log loss      Brier  cal. error   mean p   fraud      AUC       AP   log loss above present"
    )?;
    for judged in &report.verdict.judged {
        let proper = &judged.proper;
        let (mean, error) = judged.log_loss_above_present;
        let (p, fraud) = (proper.mean_probability, proper.fraud_share);
        write!(
            out,
            "{:<11} {:>10.5} {:>10.5} {:>11.5} {:>8.4} {:>7.4} {:>8.4} {:>8.4}",
            judged.name,
            proper.log_loss,
            proper.brier,
            proper.calibration_error,
            p,
            fraud,
            judged.auc,
            judged.average_precision
        )?;
        if judged.name == "present" {
            writeln!(out)?;
        } else {
            writeln!(out, "   {mean:+.6} (s.e. {error:.6})")?;
        }
    }
    for (name, reason) in &report.verdict.refused {
        writeln!(out, "{name:<11} not fitted: {reason}")?;
    }
    writeln!(out, "chosen: {}, {}", report.verdict.chosen_name(), report.verdict.why)
}

fn reliability(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let name = report.verdict.chosen_name();
    writeln!(out, "\nreliability of {name} on the later labels, bins of equal mass")?;
    writeln!(
        out,
        "        score from         to      n  fraud   mean score     observed   95 % interval"
    )?;
    let chosen = report.verdict.judged.iter().filter(|judged| judged.name == name);
    for bin in chosen.flat_map(|judged| &judged.bins) {
        writeln!(
            out,
            "        {:>10.6} {:>10.6} {:>6} {:>6} {:>12.6} {:>12.6}   {:.6} to {:.6}",
            bin.from,
            bin.to,
            bin.count,
            bin.frauds,
            bin.predicted,
            bin.observed,
            bin.interval.low,
            bin.interval.high
        )?;
    }
    Ok(())
}

const CURVE_HEAD: &str =
    "score from   escalated   share   recall (95 % interval)   precision   money   cost/1000";

fn curve(out: &mut impl Write, report: &Report, shares: &[f64]) -> io::Result<()> {
    writeln!(out, "\nescalation curve on the later labels (whole in report.json)\n  {CURVE_HEAD}")?;
    for point in thin(&report.curve, shares) {
        writeln!(out, "  {}", row(Some(point.threshold), &point))?;
    }
    Ok(())
}

fn row(threshold: Option<f64>, point: &CurvePoint) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let interval = point.recall_interval;
    format!(
        "{:>10}   {:>9} {:>7}   {:>7} ({:>6} to {:>7})   {:>9} {:>7}   {:>9.2}",
        threshold.map_or_else(|| "by band".to_owned(), |threshold| format!("{threshold:.6}")),
        point.escalated,
        percent(point.share),
        percent(point.recall),
        percent(interval.low),
        percent(interval.high),
        percent(point.precision),
        percent(point.value_recall),
        point.cost_per_thousand
    )
}

fn bounds(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "\nmissed fraud, from all labelled frauds")?;
    for (name, bounded) in [
        ("confident", &report.proposal.confident),
        ("expected", &report.proposal.expected),
        ("by account", &report.proposal.by_account),
    ] {
        match bounded {
            Bounded::Kept { bound, escalate } => writeln!(
                out,
                "  {name:<10}  {}: escalate from {escalate} ({} of {} lie below, {} may)",
                bound.promise, bound.missed, bound.frauds, bound.allowed
            )?,
            Bounded::Refused(reason) => writeln!(out, "  {name:<10}  refused: {reason}")?,
        }
    }
    if report.input.fraud_accounts * 2 < report.input.frauds {
        writeln!(
            out,
            "  note       {} frauds come from {} accounts: the first two promises are weaker \
             than they read, the third is not",
            report.input.frauds, report.input.fraud_accounts
        )?;
    }
    Ok(())
}

fn thresholds(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let proposal = &report.proposal;
    writeln!(out, "\nthresholds on the later labels\n  {:<18} {CURVE_HEAD}", "")?;
    for effect in &proposal.effects {
        match &effect.point {
            Some(point) => {
                writeln!(out, "  {:<18} {}", effect.name, row(effect.threshold, point))?;
            }
            None => writeln!(out, "  {:<18} escalates nothing", effect.name)?,
        }
    }
    let share = |name| {
        let effect = proposal.effects.iter().find(|effect| effect.name == name);
        100.0 * effect.and_then(|effect| effect.point).map_or(0.0, |point| point.share)
    };
    writeln!(
        out,
        "\nproposed: escalate from {}, by {}\nescalates {:.1} %, the present policy {:.1} %\n  amounts from    to below        n   mean amount   escalate    decline",
        proposal.escalate,
        proposal.why,
        share("proposed policy"),
        share("present policy")
    )?;
    for band in &proposal.bands {
        let below = band.below.map_or_else(|| "-".to_owned(), |below| below.to_string());
        writeln!(
            out,
            "  {:>12} {:>11} {:>8} {:>13.2} {:>10} {:>10}",
            band.from, below, band.count, band.mean_amount, band.escalate, band.decline
        )?;
    }
    let costs = &proposal.decline_costs;
    writeln!(
        out,
        "declining by tier 1 alone costs, per 1000: {:.2} with the present threshold, {:.2} with these, {:.2} without any",
        costs.present, costs.bands, costs.never
    )
}
