//! `weir replay`: computes recorded decisions once more.

mod difference;
mod findings;

use std::{fs::File, io::BufWriter, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use clap::Args as ClapArgs;
use futures::{StreamExt, stream::FuturesOrdered};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use ledger::{DecisionFilter, Ledger, StoredDecision};
use policy::Policy;
use screening::{Recomputed, ScreenError, Screener};

use self::findings::Findings;
use crate::{models::offline_with_ledger, settings::Settings};

/// Recomputes recorded decisions and compares them with what was answered.
///
/// Facts, times and failures are taken from the record; texts, scores, the policy's assessment,
/// prompts, reports and reasons are computed again. With the packages and the policies of the record,
/// every byte must agree, and the command fails when one does not. With another policy (--policy) or
/// other packages it reports what they would have decided instead.
///
/// The ledger may be in use by a running service.
///
/// Examples:
///   weir replay --since 2026-11-01T00:00:00Z
///   weir replay --limit 10000 --concurrency 8
///   weir replay --since 2026-11-01T00:00:00Z --policy candidate.toml --out changed.ndjson
///   weir replay --screening models/candidate --limit 5000
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Decisions made at or after this time; all of them without it.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Decisions made before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// At most this many, the oldest first.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Decide under this policy instead of the recorded ones.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Score with this package instead of the one in the settings.
    #[arg(long, value_name = "DIR")]
    screening: Option<PathBuf>,
    /// Analyse with this package instead of the one in the settings.
    #[arg(long, value_name = "DIR")]
    analysis: Option<PathBuf>,
    /// Write each decision that differs as a line of JSON.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How many are computed at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
}

pub(crate) async fn run(args: &Args, mut settings: Settings) -> anyhow::Result<ExitCode> {
    if let Some(package) = &args.screening {
        settings.screening.package.clone_from(package);
    }
    if let Some(package) = &args.analysis {
        settings.analysis.package.clone_from(package);
    }
    let candidate = args.policy.as_deref().map(read_policy).transpose()?;
    let out = match &args.out {
        Some(path) => {
            let file = File::create(path).with_context(|| format!("{}", path.display()))?;
            Some(BufWriter::new(file))
        }
        None => None,
    };
    let (offline, ledger) = offline_with_ledger(&settings).await?;
    let mut findings = Findings::new(candidate.is_some(), out);
    let replay = Replay { screener: Arc::clone(&offline.screener), candidate };
    let result = replay.all(args, &ledger, &mut findings).await;
    drop(replay);
    ledger.close().await;
    offline.shutdown();
    result?;
    findings.finish()
}

pub(crate) fn read_policy(path: &std::path::Path) -> anyhow::Result<Arc<Policy>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    Ok(Arc::new(Policy::parse(&text).with_context(|| format!("{}", path.display()))?))
}

struct Replay {
    screener: Arc<Screener>,
    candidate: Option<Arc<Policy>>,
}

type Answer = (StoredDecision, Result<Recomputed, ScreenError>);

impl Replay {
    async fn all(
        &self,
        args: &Args,
        ledger: &Ledger,
        findings: &mut Findings,
    ) -> anyhow::Result<()> {
        let progress = progress(args.limit);
        let mut filter = DecisionFilter {
            since: args.since,
            until: args.until,
            limit: 200,
            ..DecisionFilter::default()
        };
        let mut left = args.limit.unwrap_or(u64::MAX);
        let mut running = FuturesOrdered::new();
        loop {
            let page = ledger.decisions(filter.clone()).await?;
            for stored in page.items {
                if left == 0 {
                    break;
                }
                left -= 1;
                if running.len() >= usize::from(args.concurrency)
                    && let Some((stored, recomputed)) = running.next().await
                {
                    take(findings, ledger, &stored, recomputed, &progress).await?;
                }
                running.push_back(self.one(stored));
            }
            match page.next {
                Some(next) if left > 0 => filter.cursor = Some(next),
                Some(_) | None => break,
            }
        }
        while let Some((stored, recomputed)) = running.next().await {
            take(findings, ledger, &stored, recomputed, &progress).await?;
        }
        progress.finish_and_clear();
        if findings.total() == 0 {
            bail!("no decision is recorded in this period");
        }
        Ok(())
    }

    async fn one(&self, stored: StoredDecision) -> Answer {
        let recomputed = self.recompute(&stored).await;
        (stored, recomputed)
    }

    async fn recompute(&self, stored: &StoredDecision) -> Result<Recomputed, ScreenError> {
        let policy = match &self.candidate {
            Some(policy) => Arc::clone(policy),
            None => {
                let recorded = screening::read_record(stored)?;
                let recorded = recorded.ok_or(ScreenError::Incomplete(stored.decision_id))?;
                self.screener.policy_of(&recorded.decision).await?
            }
        };
        self.screener.recompute(stored, &policy).await
    }
}

async fn take(
    findings: &mut Findings,
    ledger: &Ledger,
    stored: &StoredDecision,
    recomputed: Result<Recomputed, ScreenError>,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    let labels = match &stored.content {
        Some(content) => ledger.labels(&content.transaction_id).await?,
        None => Vec::new(),
    };
    progress.inc(1);
    findings.take(stored, &labels, recomputed)?;
    progress.set_message(findings.progress());
    Ok(())
}

fn progress(limit: Option<u64>) -> ProgressBar {
    let bar = limit.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = "{pos} replayed  {per_sec}  {elapsed_precise}  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
