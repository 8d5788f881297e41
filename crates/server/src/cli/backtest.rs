//! `weir policy backtest`: what a policy would have done with the decisions on record.

use std::{fs::File, io::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::Args as ClapArgs;
use domain::TransactionId;
use export::standing;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use ledger::{DecisionFilter, Ledger, StoredDecision, StoredLabel};
use policy::{Policy, Shift};
use prometheus::Registry;
use screening::{Compared, Comparison, project, read_record};

use super::replay::read_policy;
use crate::settings::Settings;

/// Applies a policy to recorded decisions and tells what would change, before it goes live.
///
/// Scores and analyses are those on record: no model runs. A transaction that the policy would
/// escalate and that was not analysed then is counted as "not analysed"; `weir replay --policy` runs
/// the models for those. Labels tell how much fraud and how many false alarms each change concerns.
///
/// Examples:
///   weir policy backtest candidate.toml
///   weir policy backtest candidate.toml --since 2026-11-01T00:00:00Z --json impact.json
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The policy document.
    file: PathBuf,
    /// Decisions made at or after this time; all of them without it.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Decisions made before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Also write the table as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What was counted.
#[derive(Default)]
struct Tally {
    comparison: Comparison,
    erased: u64,
    unusable: u64,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let policy = read_policy(&args.file)?;
    let ledger = Ledger::open(settings.ledger_config()?, &Registry::new()).await?;
    let tally = count(args, &policy, &ledger).await;
    ledger.close().await;
    let tally = tally?;
    if tally.comparison.total() == 0 {
        bail!("no decision with its content is recorded in this period");
    }
    if let Some(path) = &args.json {
        let file = File::create(path).with_context(|| format!("{}", path.display()))?;
        serde_json::to_writer_pretty(file, &tally.comparison)?;
    }
    let mut out = std::io::stdout().lock();
    write!(out, "{}", tally.comparison)?;
    if tally.erased + tally.unusable > 0 {
        writeln!(out, "left out: {} erased, {} unreadable", tally.erased, tally.unusable)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn count(args: &Args, policy: &Policy, ledger: &Ledger) -> anyhow::Result<Tally> {
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{pos} decisions  {per_sec}  {elapsed_precise}")?);
    let mut tally = Tally::default();
    let mut filter = DecisionFilter {
        since: args.since,
        until: args.until,
        limit: 500,
        ..DecisionFilter::default()
    };
    loop {
        let page = ledger.decisions(filter.clone()).await?;
        let ids: Vec<_> =
            page.items.iter().filter_map(|stored| transaction_id(stored).cloned()).collect();
        let labels = ledger.labels_for(&ids).await?;
        for stored in &page.items {
            let known = transaction_id(stored).and_then(|id| labels.get(id));
            tally.add(policy, stored, known.map_or(&[], Vec::as_slice));
        }
        bar.inc(page.items.len() as u64);
        match page.next {
            Some(next) => filter.cursor = Some(next),
            None => break,
        }
    }
    bar.finish_and_clear();
    Ok(tally)
}

fn transaction_id(stored: &StoredDecision) -> Option<&TransactionId> {
    stored.content.as_ref().map(|content| &content.transaction_id)
}

impl Tally {
    fn add(&mut self, policy: &Policy, stored: &StoredDecision, labels: &[StoredLabel]) {
        match compared(policy, stored, labels) {
            Ok(Some(compared)) => self.comparison.add(&compared),
            Ok(None) => self.erased += 1,
            Err(error) => {
                tracing::debug!(%error, decision = %stored.decision_id, "left out");
                self.unusable += 1;
            }
        }
    }
}

fn compared(
    policy: &Policy,
    stored: &StoredDecision,
    labels: &[StoredLabel],
) -> anyhow::Result<Option<Compared>> {
    let (Some(record), Some(content)) = (read_record(stored)?, &stored.content) else {
        return Ok(None);
    };
    let decided: domain::Decision = serde_json::from_str(&content.response)?;
    let score = decided.screening.score;
    // The candidate's own thresholds, unmoved: its controller has not run yet.
    let to = project(policy, &record.facts, score, Shift::ZERO, &decided);
    Ok(Some(Compared {
        from: decided.outcome,
        escalated: decided.escalated.is_some(),
        to,
        amount: record.facts.derived.amount,
        truth: standing(labels.iter().map(|stored| stored.label)).map(|label| label.label),
    }))
}
