//! `weir calibrate`: fits and judges the calibration, and proposes thresholds.

mod collect;
mod documents;
mod judge;
mod package_copy;
mod plots;
mod propose;
mod report;
mod tables;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use clap::{Args as ClapArgs, ValueEnum};
use evaluation::{Costs, ReferenceBuilder, escalation_curve};
use package::Calibration;
use policy::Policy;
use screening::DRIFT_FEATURES;

use self::{
    collect::Collected,
    judge::{Split, Verdict},
    propose::{Proposal, Wishes},
    report::Report,
};
use crate::{models::offline_screening, settings::Settings};

/// Fits tier 1's calibration to labelled files and proposes thresholds for the policy.
///
/// Streams the files in event order through velocity, template and tier 1, as `weir screen` does;
/// labels take effect at their `label_at`. Fits Platt scaling and isotonic regression to the
/// earlier share of the labels, judges them and the package's own calibration on the later one,
/// and writes report.json, reliability.svg, escalation.svg, calibration.toml (for the package) and
/// policy.toml (a policy with the thresholds proposed). The default costs are placeholders: give
/// your own. docs/calibration.md says what each figure promises.
///
/// Examples:
///   weir calibrate samples/history.ndjson samples/payments.ndjson
///   weir calibrate --warm history.ndjson --max-missed 0.1 --confidence 0.9 labelled.ndjson
///   weir calibrate --cost-false-alarm 8 --cost-false-alarm-share 0.02 --escalate-by costs FILE
///   weir calibrate --reference --package-out models/screening-mine labelled.ndjson
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Files that only warm velocity before the first transaction is scored.
    #[arg(long, value_name = "FILE")]
    warm: Vec<PathBuf>,
    /// Where the results go; made when it is missing.
    #[arg(long, value_name = "DIR", default_value = "calibration")]
    out: PathBuf,
    /// Which calibration to use; `auto` keeps the package's own unless another is better on the
    /// later labels by more than one standard error of log loss.
    #[arg(long, value_enum, default_value = "auto")]
    method: Method,
    /// Fit on this earlier share of the labels, judge on the rest.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    fit_share: f64,
    /// Days left out between the two, as labels come late.
    #[arg(long, value_name = "DAYS", default_value_t = 0.0)]
    gap_days: f64,
    /// What is proposed as `escalate`: the bound on missed fraud, or the costs.
    #[arg(long, value_enum, default_value = "missed")]
    escalate_by: EscalateBy,
    /// The largest share of fraud that may stay below `escalate`.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    max_missed: f64,
    /// With what confidence.
    #[arg(long, value_name = "SHARE", default_value_t = 0.95)]
    confidence: f64,
    #[command(flatten)]
    costs: CostArgs,
    /// Amounts, rising, that part the bands which get thresholds of their own.
    #[arg(long, value_name = "AMOUNTS", value_delimiter = ',', default_values_t = [50.0, 250.0, 1000.0])]
    bands: Vec<f64>,
    /// Escalated shares, rising, that the table of the escalation curve shows.
    #[arg(long = "share", value_name = "SHARES", value_delimiter = ',',
        default_values_t = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5])]
    shares: Vec<f64>,
    /// Bins of the reliability table and plot.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=100))]
    bins: u16,
    /// Also write reference.json: what the score and the main features look like here, for drift.
    #[arg(long)]
    reference: bool,
    /// Also write a copy of the package with the chosen calibration (and the reference).
    #[arg(long, value_name = "DIR")]
    package_out: Option<PathBuf>,
    /// Labelled NDJSON files, in event order.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Costs in the currency of the amounts.
#[derive(Debug, ClapArgs)]
struct CostArgs {
    /// What declining a legitimate payment costs, whatever its amount.
    #[arg(long, value_name = "MONEY", default_value_t = 5.0)]
    cost_false_alarm: f64,
    /// And besides, as a share of its amount.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    cost_false_alarm_share: f64,
    /// What clearing a fraud costs, whatever its amount.
    #[arg(long, value_name = "MONEY", default_value_t = 0.0)]
    cost_missed: f64,
    /// And besides, as a share of its amount.
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    cost_missed_share: f64,
    /// What one escalation costs.
    #[arg(long, value_name = "MONEY", default_value_t = 0.25)]
    cost_escalation: f64,
}

/// Which calibration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// The best on the later labels.
    Auto,
    /// The package's own.
    Present,
    /// Platt scaling.
    Platt,
    /// Isotonic regression.
    Isotonic,
}

/// What `escalate` follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EscalateBy {
    /// The bound on missed fraud.
    Missed,
    /// The costs.
    Costs,
}

pub(crate) fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let costs = args.check()?;
    let present_policy = settings.policy_document()?;
    let policy = Policy::parse(&present_policy)?;
    let (package, classifier, renderer) = offline_screening(settings)?;
    let collected = Collected::read(args, settings, classifier, &renderer)?;
    let present = package.manifest().map(|m| m.calibration.clone()).unwrap_or_default();
    let split = Split::of(&collected.labelled, args.fit_share, args.gap_days)?;
    let verdict = Verdict::reach(&split, &present, args.method, usize::from(args.bins))?;
    let wishes = Wishes {
        costs,
        bands: &args.bands,
        max_missed: args.max_missed,
        confidence: args.confidence,
        by: args.escalate_by,
    };
    let proposal = Proposal::make(&collected, &split, &verdict, &wishes, &policy)?;
    let calibrated = split.spending(verdict.chosen());
    let curve = escalation_curve(&calibrated, &costs, 0.95);
    let report = Report::new(&package, &collected, &split, verdict, proposal, curve);
    write_out(args, &report, &present_policy)?;
    if args.reference || args.package_out.is_some() {
        let reference = reference(&collected, report.verdict.chosen())?;
        write(&args.out.join(package::REFERENCE), reference.as_bytes())?;
        if let Some(dir) = &args.package_out {
            package_copy::write(&package, dir, report.verdict.chosen(), &reference)?;
        }
    }
    let mut out = std::io::stdout().lock();
    tables::print(&mut out, &report, &args.shares)?;
    writeln!(out, "\nwritten to {}", args.out.display())?;
    Ok(if collected.skipped == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

impl Args {
    fn check(&self) -> anyhow::Result<Costs> {
        let unit = |name: &str, value: f64| {
            ensure!(value > 0.0 && value < 1.0, "--{name} {value} must lie between 0 and 1");
            Ok(())
        };
        unit("fit-share", self.fit_share)?;
        unit("max-missed", self.max_missed)?;
        unit("confidence", self.confidence)?;
        ensure!((0.0..=3650.0).contains(&self.gap_days), "--gap-days must be 0 to 3650");
        let rising = |list: &[f64]| list.windows(2).all(|pair| pair[0] < pair[1]);
        ensure!(
            rising(&self.bands) && self.bands.iter().all(|edge| *edge > 0.0 && edge.is_finite()),
            "--bands must be amounts above 0 that rise"
        );
        ensure!(
            rising(&self.shares) && self.shares.iter().all(|share| *share > 0.0 && *share <= 1.0),
            "--share must be shares above 0 to 1 that rise"
        );
        let costs = Costs {
            false_alarm: self.costs.cost_false_alarm,
            false_alarm_share: self.costs.cost_false_alarm_share,
            missed: self.costs.cost_missed,
            missed_share: self.costs.cost_missed_share,
            escalation: self.costs.cost_escalation,
        };
        costs.check()?;
        Ok(costs)
    }
}

fn write_out(args: &Args, report: &Report, present_policy: &str) -> anyhow::Result<()> {
    let out = &args.out;
    std::fs::create_dir_all(out).with_context(|| format!("{}", out.display()))?;
    let policy = documents::policy(present_policy, report)?;
    write(&out.join("policy.toml"), policy.as_bytes())?;
    write(&out.join("calibration.toml"), documents::calibration(report)?.as_bytes())?;
    write(&out.join("report.json"), &serde_json::to_vec_pretty(report)?)?;
    let reliability = plots::reliability(report).context("reliability.svg")?;
    write(&out.join("reliability.svg"), reliability.as_bytes())?;
    let escalation = plots::escalation(report).context("escalation.svg")?;
    write(&out.join("escalation.svg"), escalation.as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("{}", path.display()))
}

/// What the score and the main features look like in these files.
fn reference(collected: &Collected, calibration: &Calibration) -> anyhow::Result<String> {
    let mut builder = ReferenceBuilder::new(&DRIFT_FEATURES);
    for seen in &collected.seen {
        builder.add(calibration.probability(seen.margin), seen.features);
    }
    Ok(serde_json::to_string_pretty(&builder.build()?)? + "\n")
}
